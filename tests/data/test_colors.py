from __future__ import annotations

import numpy as np
import pytest

from ednas.data.colors import (
    NO_DEPTH,
    NO_LABEL,
    SKY,
    color_depth,
    color_labels,
    color_normals,
    color_scale,
    color_target,
    depth_range,
    mark_sky,
    palette,
    sky_pixels,
)
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


def test_ids_that_are_no_class_are_void():
    assert (color_labels(np.array([[3, -1, 255, 300]]), 3) == NO_LABEL).all()


def test_near_is_bright_and_neither_the_sky_nor_what_has_no_depth_is_on_the_scale():
    depth = np.array([[1.0, 2.0, 4.0, 0.0, np.nan, np.inf]], np.float32)
    picture = color_depth(depth)
    brightness = picture.astype(int).sum(-1)[0]
    assert brightness[0] > brightness[1] > brightness[2] > 0
    assert picture[0, 3:].tolist() == [list(NO_DEPTH), list(NO_DEPTH), list(SKY)]
    disparity = color_depth(depth, near_is_large=True).astype(int).sum(-1)[0]
    assert disparity[2] > disparity[1] > disparity[0] > 0
    scale = color_scale(np.linspace(0, 1, 1000)[None])[0].astype(int)
    assert all(np.abs(scale - colour).max(-1).min() > 40 for colour in (NO_DEPTH, SKY))


def test_the_scale_gets_brighter_steadily():
    luminance = color_scale(np.linspace(0, 1, 256)[None])[0] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) > -0.5).all()
    assert luminance[-1] - luminance[0] > 200


def test_depth_without_a_valid_pixel_or_with_one_value():
    assert (color_depth(np.zeros((3, 4), np.float32)) == NO_DEPTH).all()
    assert depth_range(np.zeros((3, 4), np.float32)) == (0, 1)
    assert (color_depth(np.full((3, 4), 2.0, np.float32)) == color_scale(np.array([[0.5]]))).all()


def test_the_range_leaves_out_a_few_outliers_the_sky_and_what_has_no_depth():
    depth = np.concatenate([np.linspace(1, 5, 1000), [900.0, 0.001], np.full(300, np.inf), np.zeros(300)])
    assert depth_range(depth) == pytest.approx((1.08, 4.92), abs=0.02)


def test_the_range_of_depth_can_be_fixed():
    depth = np.array([[1.0, 5.0]], np.float32)
    fixed = color_depth(depth, value_range=(1, 9))
    np.testing.assert_array_equal(fixed[0, 0], color_depth(depth[:, :1], value_range=(1, 9))[0, 0])
    assert (fixed != color_depth(depth)).any()


def test_any_class_called_sky_is_the_sky():
    targets = {
        "a": TargetInfo("labels", 3, ("sky", "road", "car")),
        "b": TargetInfo("labels", 2),
        "c": TargetInfo("distance"),
    }
    labels = {"a": np.array([[0, 1, 255]]), "b": np.array([[0, 0, 0]]), "c": np.zeros((1, 3))}
    assert sky_pixels(labels, targets).tolist() == [[True, False, False]]
    assert not sky_pixels({"b": labels["b"]}, targets)


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


def test_the_sky_of_a_depth():
    depth = np.array([[[0.0, 2.0, 3.0]]], np.float32)
    marked = mark_sky(depth, np.array([[True, False, False]]))
    assert (color_depth(marked[0]) == [SKY]).all(-1).tolist() == [[True, False, False]]
    np.testing.assert_array_equal(mark_sky(depth, np.False_), depth)
