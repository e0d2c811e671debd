from __future__ import annotations

import numpy as np
import pytest
from helpers.dataset_files import make_folder
from PIL import Image

from ednas.data.colors import NO_DEPTH, NO_LABEL, SKY, color_normals, color_scale, palette
from ednas.data.formats import open_dataset
from ednas.data.preview import preview
from ednas.data.sample import DatasetInfo, Sample, TargetInfo
from ednas.exceptions import ConfigError, DataError, EdnasError


def test_a_sheet_of_every_format(made_once, tmp_path):
    dataset = open_dataset(made_once.path)
    out = preview(dataset, tmp_path / "sheet.png", count=2, width=64)
    with Image.open(out) as sheet:
        assert sheet.mode == "RGB"
        columns = 1 + len(dataset.info.targets)
        assert sheet.width == 4 + columns * 68
        assert sheet.height > 20 + 2 * (16 + 48 + 4)  # the legends


def test_the_cells_are_the_sample(tmp_path):
    dataset = open_dataset(make_folder(tmp_path / "data").path)
    with Image.open(preview(dataset, tmp_path / "sheet.png", count=1, width=16)) as picture:
        sheet = np.asarray(picture)
    sample = dataset[0]
    np.testing.assert_array_equal(sheet[36:48, 4:20], sample.image)
    left = 4 + (1 + list(sample.targets).index("normals")) * 20
    np.testing.assert_array_equal(sheet[36:48, left : left + 16], color_normals(sample.targets["normals"]))


def test_more_than_there_are_is_all(tmp_path):
    dataset = open_dataset(make_folder(tmp_path / "data").path, "val")
    sheets = [preview(dataset, tmp_path / f"{count}.png", count=count, width=16) for count in (2, 50)]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()


class Samples(list):
    """A split of samples that are at hand."""

    split = "train"
    info = DatasetInfo(
        "small",
        "memory",
        {"segmentation": TargetInfo("labels", 3, ("road", "sky", "car")), "depth": TargetInfo("distance", unit="m")},
    )

    def source(self, index):
        return str(index)


@pytest.fixture
def streets():
    """Three samples of road, and sky without a depth, at 1, 2 and 0 (no label) times the same depth."""
    depth = np.array([[2.0, 4.0, 0.0, 0.0]], np.float32).repeat(3, 0)
    labels = np.array([[0, 0, 1, 0]], np.uint8).repeat(3, 0)
    image = np.full((3, 4, 3), 99, np.uint8)
    return Samples(Sample(image, {"segmentation": labels, "depth": depth * scale}) for scale in (1, 2, 0))


def test_depths_share_a_scale_and_the_sky_is_neither_far_nor_without_depth(streets, tmp_path):
    with Image.open(preview(streets, tmp_path / "sheet.png", width=4)) as picture:
        sheet = np.asarray(picture)
    first, second, third = (sheet[top : top + 3, 20:24] for top in (36, 59, 82))
    assert (first[0, 1] == second[0, 0]).all()  # 4 m in both
    assert (first[0, 0] != second[0, 0]).any()
    assert [tuple(pixel) for pixel in first[0, 2:].tolist()] == [SKY, NO_DEPTH]
    assert (third != SKY).any(axis=-1).all()  # it has no label of depth, in the sky neither


def test_legends_stand_at_the_foot_and_name_what_is_seen(streets, tmp_path):
    with Image.open(preview(streets, tmp_path / "sheet.png", width=240)) as picture:
        foot = np.asarray(picture)[-50:]
    road, sky, car = (tuple(colour) for colour in palette(3)[:3].tolist())
    labels, depth = (colours(foot[:, 4 + 244 * number : 244 * (number + 1)]) for number in (1, 2))
    assert {road, sky} <= labels
    assert not {car, NO_LABEL} & labels
    assert {SKY, NO_DEPTH, *colours(color_scale(np.array([[0, 1]])))} <= depth


def colours(picture):
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def test_wrong_input(tmp_path):
    dataset = open_dataset(make_folder(tmp_path / "data").path)
    with pytest.raises(ConfigError, match="at least 1"):
        preview(dataset, tmp_path / "sheet.png", count=0)
    with pytest.raises(ConfigError, match="is a PNG"):
        preview(dataset, tmp_path / "sheet.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(EdnasError, match="cannot write"):
        preview(dataset, tmp_path / "file" / "sheet.png")


def test_a_bad_sample_is_named_and_nothing_is_written(tmp_path):
    made = make_folder(tmp_path / "data")
    (made.path / "pictures" / "train" / "depth" / "0.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"depth/0\.png"):
        preview(open_dataset(made.path), tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
