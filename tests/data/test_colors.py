from __future__ import annotations

import numpy as np
import pytest

from ednas.data.colors import color_depth, color_labels, color_normals, color_target, palette
from ednas.data.sample import TargetInfo


@pytest.mark.parametrize("num_classes", [1, 7, 13, 19, 40, 150, 255])
def test_every_class_has_a_colour_and_void_is_black(num_classes):
    colours = palette(num_classes)
    assert colours.shape == (256, 3)
    assert (colours[num_classes:] == 0).all()
    assert (colours[:num_classes].max(axis=1) >= 60).all()
    if num_classes <= 40:
        assert len({tuple(colour) for colour in colours[:num_classes].tolist()}) == num_classes


def test_cityscapes_has_its_own_colours():
    labels = np.array([[0, 10, 13, 255]], np.uint8)
    expected = [[(128, 64, 128), (70, 130, 180), (0, 0, 142), (0, 0, 0)]]
    np.testing.assert_array_equal(color_labels(labels, 19), expected)
    assert color_labels(labels.astype(np.int64), 19).dtype == np.uint8


def test_near_is_bright_and_invalid_is_black():
    depth = np.array([[1.0, 2.0, 4.0, 0.0, np.nan]], np.float32)
    brightness = color_depth(depth).astype(int).sum(-1)[0]
    assert brightness[0] > brightness[1] > brightness[2] > 0
    assert (brightness[3:] == 0).all()
    disparity = color_depth(depth, near_is_large=True).astype(int).sum(-1)[0]
    assert disparity[2] > disparity[1] > disparity[0] > 0


def test_depth_without_a_valid_pixel_or_with_one_value():
    assert (color_depth(np.zeros((3, 4), np.float32)) == 0).all()
    assert (color_depth(np.full((3, 4), 2.0, np.float32)) > 0).any()


def test_the_range_of_depth_can_be_fixed():
    depth = np.array([[1.0, 5.0]], np.float32)
    np.testing.assert_array_equal(
        color_depth(depth, low=1, high=9)[0, 0], color_depth(depth[:, :1], low=1, high=9)[0, 0]
    )


def test_normals():
    normals = np.array([[[0, 0, -1], [1, 0, 0], [0, 0, 0]]], np.float32)
    np.testing.assert_array_equal(color_normals(normals), [[[128, 128, 0], [255, 128, 128], [0, 0, 0]]])


@pytest.mark.parametrize(
    ("info", "shape"),
    [
        (TargetInfo("labels", 5), (3, 4)),
        (TargetInfo("distance"), (3, 4)),
        (TargetInfo("disparity"), (3, 4)),
        (TargetInfo("normals"), (3, 4, 3)),
    ],
)
def test_every_kind_has_a_picture(info, shape):
    picture = color_target(np.zeros(shape, np.float32), info)
    assert picture.shape == (3, 4, 3)
    assert picture.dtype == np.uint8
