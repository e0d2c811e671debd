"""What each built-in task predicts without a network, against numpy, one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ednas.data.sample import TargetInfo
from ednas.tasks import Task, make_task

HEIGHT, WIDTH, CLASSES = 2, 3, 4

depths = arrays(np.float32, st.tuples(st.integers(1, 7), st.just(HEIGHT), st.just(WIDTH)), elements=st.sampled_from(
    [0.0, 0.5, 2.0, 70.0, float("nan")]
))  # fmt: skip
seeds = st.integers(0, 2**32 - 1)


def batches(array, size=2):
    return iter(torch.as_tensor(array).split(size))


@pytest.mark.parametrize(("kind", "min_valid"), [("distance", 0.0), ("disparity", 1.0)])
@given(array=depths)
def test_the_mean_of_each_pixels_valid_depths_else_of_all(kind, min_valid, array):
    depth = make_task("depth", TargetInfo(kind), min_valid=min_valid).trivial(batches(array[:, None]))
    valid = np.nan_to_num(array) > min_valid
    if not valid.any():
        assert depth is None
        return
    assert (depth.shape, depth.dtype) == ((1, 1, HEIGHT, WIDTH), torch.float32)
    for place in np.ndindex(HEIGHT, WIDTH):
        column = array[(slice(None), *place)][valid[(slice(None), *place)]].astype(np.float64)
        expected = column.mean() if column.size else array[valid].astype(np.float64).mean()
        assert depth[(0, 0, *place)] == pytest.approx(expected, rel=1e-6)


@given(seeds, st.integers(1, 7), st.floats(0, 1))
def test_the_mean_of_each_pixels_valid_normals_else_of_all(seed, count, share):
    random = np.random.default_rng(seed)
    array = random.normal(size=(count, 3, HEIGHT, WIDTH))
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    valid = random.random((count, HEIGHT, WIDTH)) < share
    array = np.where(valid[:, None], array, 0).astype(np.float32)
    normals = make_task("normals", TargetInfo("normals")).trivial(batches(array))
    if not valid.any():
        assert normals is None
        return
    assert normals.shape == (1, 3, HEIGHT, WIDTH)
    for y, x in np.ndindex(HEIGHT, WIDTH):
        column = array[:, :, y, x][valid[:, y, x]]
        expected = column.mean(0) if len(column) else array.transpose(0, 2, 3, 1)[valid].mean(0)
        np.testing.assert_allclose(normals[0, :, y, x], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "info"),
    [("segmentation", TargetInfo("labels", 3)), ("depth", TargetInfo("distance")), ("normals", TargetInfo("normals"))],
)
def test_no_sample_is_no_prediction(name, info):
    assert make_task(name, info).trivial(iter(())) is None


def test_a_task_of_ones_own_has_none_unless_it_says_so():
    assert Task.trivial(object(), [torch.zeros(1, 1, 2, 2)]) is None
