"""Shapes that a file does not say follow from the parameters: as PyTorch has them, and as ncnn's own files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from helpers.ncnn_files import ncnn_call
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ednas.exceptions import TargetError
from ednas.hw.ncnn.param_file import Call, Sides
from ednas.hw.ncnn.reader import load_ncnn
from ednas.hw.ncnn.shapes import hwc, made_sides

OPEN_SIZES = {"FastestDet": (352, 352), "vision_transformer": (384, 384)}


def call(kind: str, outputs: int = 1, **params: float | tuple[float, ...]) -> Call:
    values = {
        int(key[1:]): tuple(map(float, value)) if isinstance(value, tuple) else value for key, value in params.items()
    }
    return Call(kind, "it", ("x",), tuple(f"y{number}" for number in range(outputs)), values, "here")


def shape(kind: str, *read: Sides, **params: float | tuple[float, ...]) -> Sides:
    return made_sides(call(kind, **params), read)[0]


windows = {
    "side": st.integers(7, 20),
    "kernel": st.integers(1, 5),
    "stride": st.integers(1, 3),
    "padding": st.integers(0, 2),
}


@given(**windows, dilation=st.integers(1, 2))
def test_a_convolution_as_in_pytorch(side: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    reach = (kernel - 1) * dilation + 1
    if reach > side + 2 * padding:
        return
    with torch.device("meta"):
        module = nn.Conv2d(4, 6, kernel, stride, padding, dilation)
        expected = module(torch.empty(1, 4, side, side + 1)).shape[1:]
    own = shape("Convolution", (4, side, side + 1), _0=6, _1=kernel, _2=dilation, _3=stride, _4=padding)
    assert own == tuple(expected)


@given(**windows)
def test_a_transposed_convolution_as_in_pytorch(side: int, kernel: int, stride: int, padding: int) -> None:
    if (side - 1) * stride + kernel <= 2 * padding:
        return
    with torch.device("meta"):
        expected = nn.ConvTranspose2d(4, 6, kernel, stride, padding)(torch.empty(1, 4, side, side)).shape[1:]
    assert shape("Deconvolution", (4, side, side), _0=6, _1=kernel, _3=stride, _4=padding) == tuple(expected)


@given(**windows, is_full=st.booleans())
def test_a_pooling_as_in_pytorch(side: int, kernel: int, stride: int, padding: int, is_full: bool) -> None:
    # PyTorch, unlike ncnn, leaves out a window that begins in the padding behind.
    if 2 * padding > kernel or (is_full and padding):
        return
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=is_full)
    if is_full and (-(-(side - kernel) // stride)) * stride >= side:
        return
    expected = pool(torch.zeros(1, 4, side, side)).shape[1:]
    assert shape("Pooling", (4, side, side), _1=kernel, _2=stride, _3=padding, _5=0 if is_full else 1) == expected


@pytest.mark.parametrize(
    ("kind", "read", "params", "expected"),
    [
        ("Convolution", [(4, 7, 9)], {"_0": 6, "_1": 3, "_3": 2, "_4": -233}, (6, 4, 5)),
        ("Pooling", [(4, 7, 9)], {"_4": 1}, (4,)),
        ("Pooling", [(4, 7, 9)], {"_7": 1, "_8": 3, "_18": -233}, (4, 7, 3)),
        ("Deconvolution", [(4, 7, 9)], {"_0": 6, "_1": 3, "_3": 2, "_4": 1, "_18": 1}, (6, 13, 18)),
        ("Deconvolution", [(4, 7, 9)], {"_0": 6, "_1": 3, "_3": 2, "_20": 20, "_21": 15}, (6, 15, 20)),
        ("Interp", [(4, 7, 9), (2, 28, 36)], {"_0": 2}, (4, 28, 36)),
        ("Pooling", [(4, 7, 9)], {"_1": 2, "_2": 2, "_5": 2}, (4, 4, 5)),
        ("InnerProduct", [(4, 2, 3)], {"_0": 10, "_2": 240}, (10,)),
        ("InnerProduct", [(5, 8)], {"_0": 10, "_2": 80}, (5, 10)),
        ("Gemm", [(5, 8)], {"_5": 1, "_8": 10, "_9": 8}, (5, 10)),
        ("MatMul", [(2, 5, 8), (2, 8, 3)], {}, (2, 5, 3)),
        ("MatMul", [(2, 5, 8), (2, 3, 8)], {"_0": 1}, (2, 5, 3)),
        ("BinaryOp", [(4, 5, 6), (4, 1, 1)], {}, (4, 5, 6)),
        ("BinaryOp", [(4, 5, 6), (4,)], {}, (4, 5, 6)),
        ("Concat", [(4, 5, 6), (2, 5, 6)], {}, (6, 5, 6)),
        ("Concat", [(4, 5, 6), (4, 5, 2)], {"_0": -1}, (4, 5, 8)),
        ("Crop", [(58, 5, 6)], {"_9": (10,), "_10": (-1,), "_11": (0,)}, (47, 5, 6)),
        ("Crop", [(8, 5, 6)], {"_2": 4, "_3": 6, "_4": 5, "_5": 4}, (4, 5, 6)),
        ("Reshape", [(4, 5, 6)], {"_0": -1, "_1": 4}, (4, 30)),
        ("Reshape", [(4, 5, 6)], {"_0": 0, "_1": -1}, (20, 6)),
        ("Permute", [(4, 5, 6)], {"_0": 3}, (5, 6, 4)),
        ("Permute", [(4, 5, 6)], {"_0": 0}, (4, 5, 6)),
        ("Permute", [(4, 5)], {"_0": 1}, (5, 4)),
        ("Flatten", [(4, 5, 6)], {}, (120,)),
        ("Interp", [(4, 5, 6)], {"_0": 2, "_1": 2.0, "_2": 1.5}, (4, 10, 9)),
        ("Interp", [(4, 5, 6)], {"_0": 2, "_3": 7, "_4": 8}, (4, 7, 8)),
        ("Padding", [(4, 5, 6)], {"_0": 1, "_1": 2, "_2": 3, "_3": 4, "_8": 5}, (9, 8, 13)),
        ("PixelShuffle", [(8, 5, 6)], {"_0": 2}, (2, 10, 12)),
        ("Reorg", [(2, 10, 12)], {"_0": 2}, (8, 5, 6)),
        ("Reduction", [(4, 5, 6)], {"_0": 3, "_1": 0, "_3": (1, 2), "_4": 1}, (4, 1, 1)),
        ("Reduction", [(4, 5, 6)], {"_0": 3, "_1": 0, "_3": (1, 2)}, (4,)),
        ("Reduction", [(4, 5, 6)], {"_0": 3}, (1,)),
        ("ReLU", [(4, 5, 6)], {}, (4, 5, 6)),
    ],
)
def test_shapes(kind: str, read: list[Sides], params: dict[str, float], expected: Sides) -> None:
    assert shape(kind, *read, **params) == expected


def test_a_slice_shares_what_is_left() -> None:
    sizes = made_sides(call("Slice", 3, _0=(2.0, -233.0, -233.0), _1=0), [(9, 5, 6)])
    assert sizes == [(2, 5, 6), (3, 5, 6), (4, 5, 6)]


@pytest.mark.parametrize(
    ("kind", "read", "params", "message"),
    [
        ("Convolution", [(4, 3, 3)], {"_0": 6, "_1": 5}, "cannot be"),
        ("Convolution", [(4, 3, 3)], {"_1": 3}, "parameter 0 is 0, must be at least 1"),
        ("Convolution", [(4, 3, 3)], {"_0": 6, "_1": 3, "_4": -2}, "a padding of -2"),
        ("Pooling", [(4, 3, 3)], {"_1": 2, "_3": -1}, "a padding of -1"),
        ("Interp", [(4, 5, 6)], {"_1": 1e300}, "parameter 1 is 1e+300, must be a number of at most 1e+09"),
        ("Gemm", [(5, 7)], {"_5": 1, "_8": 10, "_9": 8}, "multiplies 5x7 by 8 rows"),
        ("MatMul", [(5, 7)], {}, "reads one tensor, must read two"),
        ("Concat", [(4, 5), (4,)], {}, "joins 4x5 and 4, which differ in other sides"),
        ("Concat", [(4, 5, 6), (4, 5, 7)], {}, "joins 4x5x6 and 4x5x7, which differ in other sides"),
        ("BinaryOp", [(4, 5, 6), (4, 5, 7)], {}, "4x5x6 does not go with 4x5x7"),
        ("BinaryOp", [(4, 5, 6), (7,)], {}, "7 does not go with 4x5x6"),
        ("Eltwise", [(4, 5, 6), (4, 1, 1)], {}, "which must be equal"),
        ("MatMul", [(5, 8), (7, 3)], {}, "multiplies 5x8 by 7x3"),
        ("Concat", [(4, 5)], {"_0": 2}, "axis 2 of a tensor 4x5"),
        ("Reshape", [(4, 5)], {"_0": 7}, "gives 4x5 the shape 7"),
        ("PriorBox", [(4, 5, 6)], {}, "does not say its shape; write it anew"),
        ("Permute", [(4,)], {}, "does not say its shape"),
        ("Interp", [(4, 5, 6)], {"_1": (2.0,)}, "parameter 1 is"),
        ("ReLU", [], {}, "reads nothing"),
        ("Padding", [(4, 5, 6)], {"_0": 10**9, "_2": 10**9}, "cannot be"),
    ],
)
def test_what_cannot_be_is_refused(kind: str, read: list[Sides], params: dict[str, float], message: str) -> None:
    with pytest.raises(TargetError, match=f"here: {kind} 'it': .*{re.escape(message)}"):
        shape(kind, *read, **params)


def test_a_layer_that_makes_nothing_is_refused() -> None:
    with pytest.raises(TargetError, match="makes nothing"):
        made_sides(call("Slice", 0), [(4, 5, 6)])


def test_hints_go_before_parameters(tmp_path: Path) -> None:
    line = "Convolution c 1 1 x y -23330=4,3,9,8,7 0=6 1=3"
    assert made_sides(ncnn_call(tmp_path, line), [(4, 5, 6)]) == [(7, 8, 9)]


def test_height_width_and_channels() -> None:
    assert hwc((7,)) == (1, 1, 7)
    assert hwc((5, 7)) == (1, 5, 7)
    assert hwc((3, 5, 7)) == (5, 7, 3)


def test_published_files_mean_the_same_without_the_shapes_that_they_say(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "devices" / "ncnn" / "models"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    for path in folder.glob("*.param"):
        text = path.read_text()
        if "PriorBox" in text:
            continue
        bare = tmp_path / path.name
        bare.write_text(re.sub(r" -23330=\S+", "", text))
        size = OPEN_SIZES.get(path.stem)
        said, inferred = load_ncnn(path, size), load_ncnn(bare, size)
        ours = [layer for layer in said.layers if not layer.op.startswith("CUSTOM:")]
        assert [layer for layer in inferred.layers if not layer.op.startswith("CUSTOM:")] == ours, path.stem
