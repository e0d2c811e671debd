from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ednas.data.decode import decode_depth, decode_labels, decode_normals, parse_axes
from ednas.exceptions import DataError

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)


@given(hnp.arrays(st.sampled_from([np.uint8, np.int64, np.uint16, np.int16]), SHAPES, elements=st.integers(0, 99)))
def test_classes_stay_and_void_becomes_255(values):
    decoded = decode_labels(values, num_classes=50, void=range(50, 100), where="f")
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, np.where(values < 50, values, 255))


def test_whole_floats_and_minus_one_are_read():
    decoded = decode_labels(np.array([[-1.0, 0.0, 12.0]]), num_classes=13, void=(-1,), where="f")
    np.testing.assert_array_equal(decoded, [[255, 0, 12]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, r"f: holds class id 5; allowed are 0\.\.4 and 255 for void"),
        (-1, "holds class id -1"),
        (10**12, "holds class id 1000000000000;"),
        (-(10**12), "holds class id -1000000000000;"),
        (0.5, "holds 0.5, class ids must be whole"),
        (float("nan"), "holds nan"),
        (float("inf"), "holds inf"),
    ],
)
def test_other_ids_are_named(value, message):
    with pytest.raises(DataError, match=message):
        decode_labels(np.array([[0, value]]), num_classes=5, where="f")


def test_a_map_of_ids():
    values = np.array([[7, 8, 11, 0, 255]], np.uint8)
    pairs = {7: 0, 8: 1, 11: 1}.items()
    decoded = decode_labels(values, num_classes=2, id_map=pairs, void=(0, 255), where="f")
    np.testing.assert_array_equal(decoded, [[0, 1, 1, 255, 255]])
    with pytest.raises(DataError, match=r"holds class id 0; allowed are 7\.\.8, 11 and 255 for void"):
        decode_labels(values, num_classes=2, id_map=pairs, where="f")
    rest = decode_labels(values, num_classes=2, id_map=pairs, void=(), rest_is_void=True, where="f")
    np.testing.assert_array_equal(rest, decoded)


@given(hnp.arrays(np.uint16, SHAPES), st.floats(1e-4, 10), st.integers(0, 65535))
def test_depth_is_scaled_and_zero_where_invalid(values, scale, invalid):
    depth = decode_depth(values, scale=scale, invalid=(0, invalid), where="f")
    assert depth.dtype == np.float32
    expected = np.where((values == 0) | (values == invalid), 0, values * scale)
    np.testing.assert_allclose(depth, expected, rtol=1e-5)


@given(hnp.arrays(st.sampled_from([np.float32, np.float64, np.float16]), SHAPES))
def test_any_floats_give_valid_depth_or_a_data_error(values):
    try:
        depth = decode_depth(values, scale=3, where="f")
    except DataError:
        assert (values < 0).any()
    else:
        assert np.isfinite(depth).all()
        assert (depth >= 0).all()


def test_limits_of_depth():
    values = np.array([[-1.0, 3e-5, 4e-5, 2.0, 90.0, np.nan, np.inf]])
    np.testing.assert_allclose(
        decode_depth(values, minimum=3e-5, maximum=80, where="f"), [[0, 0, 4e-5, 2, 0, 0, 0]], rtol=1e-6
    )
    np.testing.assert_allclose(decode_depth(values, invalid=(-1,), where="f")[0, :5], [0, 3e-5, 4e-5, 2, 90], rtol=1e-6)
    with pytest.raises(DataError, match="f: holds -1; depth cannot be negative"):
        decode_depth(values, where="f")


def test_bytes_are_decoded_to_unit_vectors():
    values = np.array([[[255, 128, 128], [128, 128, 0], [128, 128, 128], [127, 127, 127], [9, 9, 9]]], np.uint8)
    normals = decode_normals(values, invalid=[(9, 9, 9)], where="f")
    np.testing.assert_allclose(normals[0, :2], [[1, 0, 0], [0, 0, -1]], atol=0.006)
    assert (normals[0, 2:] == 0).all()
    assert normals.dtype == np.float32


def test_a_colour_that_is_no_normal_is_named():
    with pytest.raises(DataError, match=r"f: holds a vector of length 1.73 \(\[255, 255, 255\]\)"):
        decode_normals(np.full((2, 2, 3), 255, np.uint8), where="f")
    with pytest.raises(DataError, match="int32"):
        decode_normals(np.zeros((2, 2, 3), np.int32), where="f")


@given(hnp.arrays(np.float32, (3, 4, 3), elements=st.floats(-0.75, 0.75, width=32) | st.just(float("nan"))))
def test_components_are_normalised_or_invalid(values):
    normals = decode_normals(values, where="f")
    length = np.linalg.norm(normals, axis=-1)
    assert (np.isclose(length, 1, atol=1e-5) | (length == 0)).all()
    kept = length > 0
    cosine = (normals * values).sum(-1)[kept] / np.linalg.norm(values, axis=-1)[kept]
    np.testing.assert_allclose(cosine, 1, atol=1e-5)


@given(hnp.arrays(st.sampled_from([np.float16, np.float32, np.float64]), (2, 3, 3)))
def test_any_floats_give_unit_vectors_or_a_data_error(values):
    try:
        length = np.linalg.norm(decode_normals(values, where="f"), axis=-1)
    except DataError:
        return
    assert (np.isclose(length, 1, atol=1e-5) | (length == 0)).all()


@pytest.mark.parametrize("order", list(itertools.permutations("rgb")))
@pytest.mark.parametrize("signs", list(itertools.product(("", "-"), repeat=3)))
def test_all_signed_permutations(order, signs):
    stored = np.array([[[0.1, -0.5, 0.86]]])
    axes = parse_axes([sign + name for sign, name in zip(signs, order, strict=True)])
    turned = [stored[0, 0, "rgb".index(n)] * (-1 if s else 1) for s, n in zip(signs, order, strict=True)]
    np.testing.assert_allclose(decode_normals(stored, axes=axes, where="f")[0, 0], turned, atol=0.001)


@pytest.mark.parametrize(
    "names", [("r", "g", "g"), ("x", "y", "z"), ("r", "g"), ("rg", "b", ""), ("--r", "g", "b"), ()]
)
def test_other_axes_are_refused(names):
    with pytest.raises(ValueError, match="must name each"):
        parse_axes(names)
