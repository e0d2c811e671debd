from __future__ import annotations

import numpy as np
import pytest
from helpers.dataset_files import make_mtan_cityscapes, make_mtan_nyuv2, save_npy

from ednas.data.check import check_dataset
from ednas.data.formats import dataset_splits, open_dataset
from ednas.exceptions import ConfigError, DataError


@pytest.mark.parametrize(("num_classes", "folder"), [(7, "label"), (19, "label"), (7, "label_7"), (19, "label_19")])
def test_the_number_of_classes_is_found_out(tmp_path, num_classes, folder):
    made = make_mtan_cityscapes(tmp_path / "data", num_classes, folder)
    for split in ("train", "val"):
        dataset = open_dataset(made.path, split)
        assert dataset.info.targets["segmentation"].num_classes == num_classes
        for sample, scene in zip(dataset, made.scenes[split], strict=True):
            np.testing.assert_array_equal(sample.targets["segmentation"], scene.segmentation)


def test_splits_agree_on_the_classes_even_if_one_shows_few(tmp_path):
    made = make_mtan_cityscapes(tmp_path / "data", 19)
    for i in range(2):
        save_npy(made.path / "val" / "label" / f"{i}.npy", np.full((12, 16), 3, np.float32))
    assert open_dataset(made.path, "val").info.targets["segmentation"].num_classes == 19


def test_the_number_of_classes_can_be_given(tmp_path):
    made = make_mtan_cityscapes(tmp_path / "data", 7)
    assert open_dataset(made.path, num_classes=2).info.targets["segmentation"].num_classes == 2
    made = make_mtan_cityscapes(tmp_path / "other", 7, "label_7")
    with pytest.raises(ConfigError, match="no labels of 19 classes; num_classes must fit label_7"):
        open_dataset(made.path, num_classes=19)


def test_nyuv2_and_cityscapes_are_told_apart(tmp_path):
    nyu = open_dataset(make_mtan_nyuv2(tmp_path / "nyu").path)
    assert nyu.info.name == "NYUv2 (MTAN)"
    assert (nyu.info.targets["segmentation"].num_classes, nyu.info.targets["depth"].unit) == (13, "m")
    city = open_dataset(make_mtan_cityscapes(tmp_path / "city").path)
    assert (city.info.name, city.info.targets["depth"].kind) == ("CityScapes (MTAN)", "disparity")
    assert open_dataset(tmp_path / "city", depth="distance").info.targets["depth"].kind == "distance"


def test_tiny_disparities_are_invalid(tmp_path):
    made = make_mtan_cityscapes(tmp_path / "data")
    depth = np.full((12, 16, 1), 2 / 65535, np.float32)
    depth[0, 0], depth[0, 1], depth[0, 2] = 1 / 65535, -1e-5, 0
    save_npy(made.path / "train" / "depth" / "0.npy", depth)
    found = open_dataset(made.path)[0].targets["depth"]
    assert (found[0, :3] == 0).all()
    assert (found == 0).sum() == 3


def test_the_axes_can_be_given_and_wrong_ones_are_noticed(tmp_path):
    made = make_mtan_nyuv2(tmp_path / "data")
    x, y, z = np.moveaxis(made.scenes["train"][0].normals, -1, 0)
    turned = open_dataset(made.path, normal_axes=("r", "g", "b"))[0].targets["normals"]
    np.testing.assert_allclose(turned, np.stack([x, z, -y], -1), atol=1e-5)
    assert not any("face the camera" in text for text in check_dataset(made.path).warnings)
    warnings = check_dataset(made.path, normal_axes=("r", "g", "b")).warnings
    assert any("train: normals" in text and "are their axes right?" in text for text in warnings)
    with pytest.raises(ConfigError, match="normal_axes"):
        open_dataset(made.path, normal_axes=("r", "r", "b"))


def test_samples_are_in_the_order_of_their_numbers(tmp_path):
    made = make_mtan_nyuv2(tmp_path / "data")
    for part in ("image", "label", "depth", "normal"):
        folder = made.path / "train" / part
        (folder / "1.npy").rename(folder / "10.npy")
    dataset = open_dataset(made.path)
    assert [dataset.source(i) for i in range(3)] == [f"train/image/{i}.npy" for i in (0, 2, 10)]


def test_missing_parts(tmp_path):
    made = make_mtan_nyuv2(tmp_path / "data")
    for part in ("label", "depth", "normal"):
        (made.path / "val" / part).rename(tmp_path / part)
    with pytest.raises(DataError, match="val: has none of the folders label"):
        open_dataset(made.path, "val")
    (made.path / "val").rename(tmp_path / "val")
    assert dataset_splits(made.path) == ("train",)
    with pytest.raises(DataError, match="no split 'val'; it has train"):
        open_dataset(made.path, "val")


def test_one_target_alone_is_enough(tmp_path):
    made = make_mtan_cityscapes(tmp_path / "data")
    (made.path / "train" / "label").rename(tmp_path / "label")
    assert set(open_dataset(made.path)[0].targets) == {"depth"}


def test_images_that_are_no_arrays_are_named(tmp_path):
    root = make_mtan_nyuv2(tmp_path / "data").path
    assert open_dataset(root).remarks() == ()
    (root / "train" / "image" / "7.png").touch()
    (remark,) = open_dataset(root).remarks()
    assert remark.endswith("are not called *.npy and are left out, for example 7.png")
