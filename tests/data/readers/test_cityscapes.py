from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.dataset_files import make_cityscapes, save_png

from ednas.data.classes import CITYSCAPES_7, CITYSCAPES_19
from ednas.data.formats import open_dataset
from ednas.exceptions import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    return make_cityscapes(tmp_path / "data").path


def file(root, folder, end):
    return next((root / folder / "train" / "ulm").glob(f"ulm_000000*{end}"))


def test_all_label_ids(root):
    ids = np.zeros((12, 16), np.uint8)
    ids[0, :16], ids[1, :16], ids[2, :2], ids[2, 2] = range(16), range(16, 32), (32, 33), 255
    save_png(file(root, "gtFine", "labelIds.png"), ids)
    evaluated = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    expected = {raw: train for train, raw in enumerate(evaluated)}
    nineteen = open_dataset(root)[0].targets["segmentation"]
    for raw in range(34):
        assert nineteen[raw // 16, raw % 16] == expected.get(raw, 255)
    assert nineteen[2, 2] == 255
    seven = open_dataset(root, num_classes=7)[0].targets["segmentation"]
    groups = {7: 0, 8: 0, 11: 1, 12: 1, 13: 1, 17: 2, 19: 2, 20: 2, 21: 3, 22: 3, 23: 4, 24: 5, 25: 5}
    for raw in range(34):
        assert seven[raw // 16, raw % 16] == groups.get(raw, 6 if raw in evaluated else 255)
    np.testing.assert_array_equal(seven == 255, nineteen == 255)


def test_class_names(root):
    assert open_dataset(root).info.targets["segmentation"].class_names == CITYSCAPES_19
    assert open_dataset(root, num_classes=7).info.targets["segmentation"].class_names == CITYSCAPES_7


def test_an_unknown_label_id_is_named(root):
    path = file(root, "gtFine", "labelIds.png")
    save_png(path, np.full((12, 16), 34, np.uint8))
    with pytest.raises(DataError, match=rf"{path.name}: holds class id 34 .* allowed are 7\.\.8, 11\.\.13.*void"):
        open_dataset(root)[0]


def test_disparity_and_metric_depth(root):
    p = np.full((12, 16), 12801, np.uint16)  # d = 50 pixels
    p[0, :3] = 0, 1, 2
    save_png(file(root, "disparity", "disparity.png"), p)
    disparity = open_dataset(root)[0].targets["depth"]
    np.testing.assert_allclose(disparity[5, 5], 12801 / 65535, rtol=1e-6)
    assert disparity[0, :3].tolist() == [0, 0, pytest.approx(2 / 65535)]
    metric = open_dataset(root, depth="metric", max_depth=1e9)
    assert metric.info.targets["depth"].kind == "distance"
    depth = metric[0].targets["depth"]
    np.testing.assert_allclose(depth[5, 5], 2262.5 * 0.22 / 50, rtol=1e-6)
    assert depth[0, :3].tolist() == [0, 0, pytest.approx(2262.5 * 0.22 * 256, rel=1e-5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "lacks the numbers intrinsic.fx"),
        ("[1]", "lacks the numbers"),
        ('{"intrinsic": {"fx": "wide"}, "extrinsic": {"baseline": 0.2}}', "lacks the numbers"),
        ('{"intrinsic": {"fx": 2262}, "extrinsic": {"baseline": 0}}', "expected a positive number"),
        ('{"intrinsic": {"fx": NaN}, "extrinsic": {"baseline": 1}}', "expected a positive number"),
        ("{", "not valid JSON"),
    ],
)
def test_a_bad_camera_file_is_named(root, content, message):
    path = file(root, "camera", "camera.json")
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(root, depth="metric")[0]
    assert str(path) in str(caught.value)
    assert open_dataset(root)[0].targets["depth"].max() > 0, "disparity needs no camera"


def test_the_camera_belongs_to_the_fingerprint_of_metric_depth(root):
    before = [open_dataset(root, depth=kind).fingerprint() for kind in ("metric", "disparity")]
    file(root, "camera", "camera.json").write_text(json.dumps({"intrinsic": {"fx": 1}, "extrinsic": {"baseline": 1}}))
    after = [open_dataset(root, depth=kind).fingerprint() for kind in ("metric", "disparity")]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_metric_depth_has_a_limit(root):
    stored = np.full((12, 16), 5000, np.uint16)
    stored[0, :3] = 2  # a disparity of 1/256: 127 km
    save_png(file(root, "disparity", "disparity.png"), stored)
    depth = open_dataset(root, depth="metric")[0].targets["depth"]
    assert (depth[0, :3] == 0).all()
    assert 0 < depth.max() <= 80
    assert open_dataset(root, depth="metric", max_depth=1e9)[0].targets["depth"].max() > 100_000
    with pytest.raises(ConfigError, match="max_depth"):
        open_dataset(root, depth="metric", max_depth=0)


def test_without_disparities_there_is_no_depth(root, tmp_path):
    (root / "disparity").rename(tmp_path / "elsewhere")
    assert set(open_dataset(root)[0].targets) == {"segmentation"}
    assert "depth" in open_dataset(root, depth="disparity").info.targets
    with pytest.raises(DataError, match=r"disparity.png: no such file"):
        open_dataset(root, depth="disparity")[0]


def test_samples_can_be_made_smaller(root):
    full, half = open_dataset(root)[0], open_dataset(root, size=(6, 8))[0]
    blocks = full.image.reshape(6, 2, 8, 2, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(half.image, blocks, atol=1.01)  # Pillow rounds after each axis
    for name in ("segmentation", "depth"):
        np.testing.assert_array_equal(half.targets[name], full.targets[name][1::2, 1::2])
    with pytest.raises(ConfigError, match="size"):
        open_dataset(root, size=(0, 8))


def test_an_eight_bit_disparity_is_refused(root):
    save_png(file(root, "disparity", "disparity.png"), np.full((12, 16), 9, np.uint8))
    with pytest.raises(DataError, match="8 bits per pixel; a Cityscapes disparity has 16"):
        open_dataset(root)[0]


def test_images_that_are_called_otherwise_are_named(root):
    count = len(open_dataset(root))
    image = file(root, "leftImg8bit", ".png")
    image.with_name(f"._{image.name}").write_bytes(b"of a system")
    assert open_dataset(root).remarks() == ()
    assert len(open_dataset(root)) == count
    image = file(root, "leftImg8bit", ".png")
    image.rename(image.with_suffix(".jpg"))
    (remark,) = open_dataset(root).remarks()
    assert "1 files in " in remark
    assert f"are not called *_leftImg8bit.png and are left out, for example ulm/{image.stem}.jpg" in remark
