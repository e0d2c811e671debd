from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ednas.data.colors import color_normals
from ednas.data.formats import open_dataset
from ednas.data.preview import preview
from ednas.exceptions import ConfigError, DataError, EdnasError


def test_a_sheet_of_every_format(made_once, tmp_path):
    dataset = open_dataset(made_once.path)
    out = preview(dataset, tmp_path / "sheet.png", count=2, width=64)
    with Image.open(out) as sheet:
        assert sheet.mode == "RGB"
        columns = 1 + len(dataset.info.targets)
        assert sheet.width == 4 + columns * 68
        assert sheet.height == 20 + 2 * (16 + 48 + 4)


def test_the_cells_are_the_sample(tmp_path, makers):
    dataset = open_dataset(makers.folder(tmp_path / "data").path)
    with Image.open(preview(dataset, tmp_path / "sheet.png", count=1, width=16)) as picture:
        sheet = np.asarray(picture)
    sample = dataset[0]
    np.testing.assert_array_equal(sheet[36:48, 4:20], sample.image)
    left = 4 + (1 + list(sample.targets).index("normals")) * 20
    np.testing.assert_array_equal(sheet[36:48, left : left + 16], color_normals(sample.targets["normals"]))


def test_more_than_there_are_is_all(tmp_path, makers):
    dataset = open_dataset(makers.folder(tmp_path / "data").path, "val")
    with Image.open(preview(dataset, tmp_path / "sheet.png", count=50, width=16)) as sheet:
        assert sheet.height == 20 + 2 * (16 + 12 + 4)


def test_wrong_input(tmp_path, makers):
    dataset = open_dataset(makers.folder(tmp_path / "data").path)
    with pytest.raises(ConfigError, match="at least 1"):
        preview(dataset, tmp_path / "sheet.png", count=0)
    with pytest.raises(ConfigError, match="is a PNG"):
        preview(dataset, tmp_path / "sheet.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(EdnasError, match="cannot write"):
        preview(dataset, tmp_path / "file" / "sheet.png")


def test_a_bad_sample_is_named_and_nothing_is_written(tmp_path, makers):
    made = makers.folder(tmp_path / "data")
    (made.path / "pictures" / "train" / "depth" / "0.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"depth/0\.png"):
        preview(open_dataset(made.path), tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
