"""TFLite files become the layers that they hold; anything else is one clear error."""

from __future__ import annotations

import json
import os
import random
import resource
import struct
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.tflite_files import TfliteFile
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ednas.exceptions import TargetError
from ednas.hw import LayerGraph, load_layer_list, trace_module
from ednas.hw.graph import ops
from ednas.hw.graph.layers import Layer
from ednas.hw.tflite.flatbuffer import Content
from ednas.hw.tflite.reader import load_tflite, read_tflite

CONV, DEPTHWISE, POOL = "Conv2DOptions", "DepthwiseConv2DOptions", "Pool2DOptions"
TRANSPOSED, PRODUCT, STEP = "TransposeConvOptions", "BatchMatMulOptions", {"StrideW": 1, "StrideH": 1}
REAL_FILES = (
    "deeplabv3_mnv2_pascal_quant",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_0.75_192_quant",
    "mobilenet_v2_1.0_224_quant",
    "posenet_mobilenet_v1_075_481_641_quant_decoder",
)


def graph_of(file: TfliteFile, inputs: list[int], outputs: list[int]) -> LayerGraph:
    return read_tflite(file.content(inputs, outputs), "net.tflite")[0]


def layer_of(
    op: str,
    inputs: list[tuple[int, ...]],
    output: tuple[int, ...],
    constants: dict[int, str] | None = None,
    options: str = "",
    dtype: str = "int8",
    **values: Any,
) -> Layer:
    """Return the layer of a model with one operator, some of whose inputs are constants of a type."""
    file = TfliteFile()
    constants = constants or {}
    indices = [
        file.constant(*shape, dtype=constants[place]) if place in constants else file.tensor(*shape, dtype=dtype)
        for place, shape in enumerate(inputs)
    ]
    computed = [index for place, index in enumerate(indices) if place not in constants]
    result = file.tensor(*output, dtype=dtype, name="result")
    file.add(op, indices, [result], options, **values)
    (layer,) = graph_of(file, computed, [result]).layers
    return layer


def add_convolution(file: TfliteFile, x: int, x_shape: tuple[int, ...], filters: int, kernel: int = 3) -> int:
    weights = file.constant(filters, kernel, kernel, x_shape[3])
    y = file.tensor(*x_shape[:3], filters)
    file.add("CONV_2D", [x, weights, file.constant(filters, dtype="int32")], [y], CONV, **STEP)
    return y


# -- operators ---------------------------------------------------------------------------------------------------------


def test_a_convolution() -> None:
    file = TfliteFile()
    x, y = file.tensor(1, 10, 12, 8), file.tensor(1, 5, 4, 16, name="net/conv/Relu6;net/conv/Conv2D")
    weights, bias = file.constant(16, 5, 3, 8), file.constant(16, dtype="int32")
    options = {"StrideW": 3, "StrideH": 2, "DilationWFactor": 2, "DilationHFactor": 1}
    file.add("CONV_2D", [x, weights, bias], [y], CONV, **options)
    graph = graph_of(file, [x], [y])
    assert graph.layers == (
        Layer(
            name="net/conv/Relu6",
            scope="network",
            op="CONV_2D",
            input=(10, 12, 8),
            output=(5, 4, 16),
            kernel=(5, 3),
            stride=3,
            dilation=2,
            weight_bytes=16 * 5 * 3 * 8 + 4 * 16,
            macs=5 * 4 * 16 * 5 * 3 * 8,
        ),
    )
    assert (graph.input_bytes, graph.output_bytes, graph.outputs) == (10 * 12 * 8, 5 * 4 * 16, (0,))


def test_groups_follow_from_the_weights() -> None:
    layer = layer_of("CONV_2D", [(1, 6, 6, 32), (8, 3, 3, 4)], (1, 6, 6, 8), {1: "int8"}, CONV, **STEP)
    assert (layer.groups, layer.macs) == (8, 6 * 6 * 8 * 9 * 4)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_a_depthwise_convolution(multiplier: int) -> None:
    filters = 6 * multiplier
    shapes = [(1, 8, 8, 6), (1, 3, 5, filters)]
    values = {"StrideW": 1, "StrideH": 2, "DepthMultiplier": multiplier, "DilationWFactor": 1, "DilationHFactor": 4}
    layer = layer_of("DEPTHWISE_CONV_2D", shapes, (1, 4, 8, filters), {1: "int8"}, DEPTHWISE, **values)
    assert (layer.groups, layer.kernel, layer.stride, layer.dilation) == (6, (3, 5), 2, 4)
    assert (layer.macs, layer.weight_bytes) == (4 * 8 * filters * 15, 15 * filters)


def test_a_transposed_convolution_reads_its_third_input() -> None:
    shapes = [(4,), (5, 2, 2, 7), (1, 4, 6, 7), (5,)]
    constants = {0: "int32", 1: "int8", 3: "int32"}
    layer = layer_of("TRANSPOSE_CONV", shapes, (1, 8, 12, 5), constants, TRANSPOSED, StrideW=2, StrideH=2)
    assert (layer.input, layer.output, layer.inputs) == ((4, 6, 7), (8, 12, 5), (-1,))
    assert (layer.kernel, layer.stride, layer.macs) == ((2, 2), 2, 4 * 6 * 7 * 4 * 5)
    assert layer.weight_bytes == 5 * 4 * 7 + 4 * 5


@pytest.mark.parametrize(
    ("op", "data", "weights", "output", "macs"),
    [
        ("CONV_3D", (1, 4, 6, 8, 3), (2, 3, 5, 3, 7), (1, 2, 3, 4, 7), 2 * 3 * 4 * 7 * 30 * 3),
        ("CONV_3D_TRANSPOSE", (1, 4, 6, 8, 3), (2, 3, 5, 7, 3), (1, 8, 12, 16, 7), 4 * 6 * 8 * 3 * 30 * 7),
    ],
)
def test_three_dimensional_convolutions(op: str, data: Any, weights: Any, output: Any, macs: int) -> None:
    is_transposed = op.endswith("TRANSPOSE")
    inputs = [(5,), weights, data] if is_transposed else [data, weights]
    constants = {0: "int32", 1: "float32"} if is_transposed else {1: "float32"}
    values = {"StrideD": 2, "StrideW": 1, "StrideH": 1}
    layer = layer_of(op, inputs, output, constants, "Conv3DOptions", "float32", **values)
    assert (layer.input, layer.output) == ((24, 8, 3), (output[1] * output[2], output[3], 7))
    assert (layer.kernel, layer.stride, layer.macs) == ((6, 5), 2, macs)
    assert (layer.weight_bytes, layer.weight_bits, layer.dtype) == (4 * 30 * 21, 32, "float32")


@pytest.mark.parametrize("data", [(1, 60), (6, 10), (1, 2, 3, 10), (2, 30)])
def test_a_fully_connected_layer_maps_rows(data: tuple[int, ...]) -> None:
    depth = 60 if data == (1, 60) else 10
    rows = 60 // depth
    layer = layer_of("FULLY_CONNECTED", [data, (4, depth), (4,)], (rows, 4), {1: "int4", 2: "int32"})
    assert (layer.input, layer.output) == ((1, rows, depth), (1, rows, 4))
    assert (layer.macs, layer.weight_bytes, layer.weight_bits) == (60 * 4, 4 * depth // 2 + 16, 4)


@pytest.mark.parametrize(("left", "is_transposed"), [((2, 5, 7), False), ((2, 7, 5), True)])
def test_a_matrix_product(left: tuple[int, ...], is_transposed: bool) -> None:
    layer = layer_of("BATCH_MATMUL", [left, (2, 7, 3)], (2, 5, 3), None, PRODUCT, AdjX=is_transposed)
    assert (layer.macs, layer.inputs, layer.output) == (2 * 5 * 7 * 3, (-1, -1), (2, 5, 3))


def test_stablehlo_products() -> None:
    layer = layer_of(
        "STABLEHLO_DOT_GENERAL",
        [(2, 5, 7), (2, 7, 3)],
        (2, 5, 3),
        options="StablehloDotGeneralOptions",
        LhsContractingDimensions=[2],
    )
    assert layer.macs == 2 * 5 * 7 * 3
    layer = layer_of("STABLEHLO_CONVOLUTION", [(1, 8, 8, 4), (3, 3, 4, 6)], (1, 8, 8, 6), {1: "float32"})
    assert (layer.macs, layer.weight_bytes) == (64 * 9 * 4 * 6, 4 * 9 * 4 * 6)


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 32), ("int8", 8)])
def test_an_lstm_multiplies_all_gates_at_every_step(dtype: str, bits: int) -> None:
    steps, depth, cells, places = 5, 3, 4, dict.fromkeys(range(1, 5), (4, 3)) | dict.fromkeys(range(5, 9), (4, 4))
    file = TfliteFile()
    x, y = file.tensor(1, steps, depth, dtype="float32"), file.tensor(1, steps, cells, dtype="float32")
    inputs = [x, *[file.constant(*shape, dtype=dtype) for shape in places.values()], -1, -1, -1]
    inputs += [file.constant(cells, dtype="float32") for _ in range(4)]
    inputs += [-1, -1, *[file.tensor(1, cells, dtype="float32", is_variable=True) for _ in range(2)]]
    file.add("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y])
    (layer,) = graph_of(file, [x], [y]).layers
    assert layer.macs == steps * 4 * (cells * depth + cells * cells)
    assert layer.weight_bytes == 4 * (cells * depth + cells * cells) * bits // 8 + 4 * 4 * cells
    assert (layer.inputs, layer.input, layer.weight_bits) == ((-1,), (1, 5, 3), bits)


def test_svdf() -> None:
    layer = layer_of("SVDF", [(1, 40), (8, 40), (8, 10), (4,)], (1, 4), {1: "int8", 2: "int8", 3: "int32"})
    assert (layer.macs, layer.weight_bytes) == (8 * 40 + 8 * 10, 8 * 40 + 8 * 10 + 16)


@pytest.mark.parametrize("op", sorted(ops.POOLS))
def test_pools(op: str) -> None:
    values = {"StrideW": 2, "StrideH": 1, "FilterWidth": 3, "FilterHeight": 5}
    layer = layer_of(op, [(1, 8, 8, 6)], (1, 4, 4, 6), options=POOL, **values)
    assert (layer.kernel, layer.stride, layer.macs) == ((5, 3), 2, 0)


@pytest.mark.parametrize(
    ("op", "shapes", "output", "constants", "weight_bytes"),
    [
        ("ADD", [(1, 4, 4, 8), (8,)], (1, 4, 4, 8), {1: "int8"}, 8),
        ("MUL", [(8,), (1, 4, 4, 8)], (1, 4, 4, 8), {0: "float32"}, 32),
        ("PRELU", [(1, 4, 4, 8), (1, 1, 8)], (1, 4, 4, 8), {1: "int8"}, 8),
        ("GATHER", [(100, 16), (1, 5)], (1, 5, 16), {0: "int8"}, 1600),
        ("GATHER", [(100, 16), (5,)], (5, 16), {1: "int32"}, 0),
        ("EMBEDDING_LOOKUP", [(5,), (100, 16)], (5, 16), {1: "float32"}, 6400),
        ("CONCATENATION", [(1, 4, 4, 8), (1, 4, 4, 2)], (1, 4, 4, 10), {1: "int8"}, 32),
        ("RESHAPE", [(1, 4, 4, 8), (2,)], (1, 128), {1: "int32"}, 0),
        ("PAD", [(1, 4, 4, 8), (4, 2)], (1, 6, 6, 8), {1: "int32"}, 0),
        ("PADV2", [(1, 4, 4, 8), (4, 2), (1,)], (1, 6, 6, 8), {1: "int32", 2: "int8"}, 0),
        ("TRANSPOSE", [(1, 4, 4, 8), (4,)], (1, 8, 4, 4), {1: "int32"}, 0),
        ("MEAN", [(1, 4, 4, 8), (2,)], (1, 8), {1: "int32"}, 0),
        ("RESIZE_BILINEAR", [(1, 4, 4, 8), (2,)], (1, 8, 8, 8), {1: "int32"}, 0),
        ("STRIDED_SLICE", [(1, 4, 4, 8), (4,), (4,), (4,)], (1, 2, 4, 8), dict.fromkeys((1, 2, 3), "int32"), 0),
        ("CUMSUM", [(1, 4), ()], (1, 4), {1: "int32"}, 0),
        ("SPACE_TO_BATCH_ND", [(1, 4, 4, 8), (2,), (2, 2)], (4, 2, 2, 8), {1: "int32", 2: "int32"}, 0),
    ],
)
def test_constants_are_weights_if_they_are_operands(
    op: str, shapes: Any, output: Any, constants: Any, weight_bytes: int
) -> None:
    layer = layer_of(op, shapes, output, constants)
    assert (layer.weight_bytes, layer.inputs) == (weight_bytes, (-1,))


@pytest.mark.parametrize("op", sorted(ops.BUILTIN - {"CALL_ONCE", "STABLEHLO_CASE"}))
def test_every_operator_is_read(op: str) -> None:
    shapes, constants, output, options = [(1, 4, 4, 8)], {}, (1, 4, 4, 8), {}
    kernel = {"CONV_3D": 5, "CONV_3D_TRANSPOSE": 5, "FULLY_CONNECTED": 2}.get(op, 4)
    if op in ops.CONVOLUTIONS:
        data = (1,) * (kernel - 4) + (1, 4, 4, 8) if kernel > 2 else (16, 8)
        weights = (8,) * kernel
        shapes, constants, output = [data, weights], {1: "int8"}, data
        if "TRANSPOSE" in op:
            shapes, constants = [(4,), weights, data], {0: "int32", 1: "int8"}
        table = {"STABLEHLO_DOT_GENERAL": "StablehloDotGeneralOptions", "BATCH_MATMUL": PRODUCT}
        table |= {"CONV_2D": CONV, "DEPTHWISE_CONV_2D": DEPTHWISE, "TRANSPOSE_CONV": TRANSPOSED}
        table |= dict.fromkeys(("CONV_3D", "CONV_3D_TRANSPOSE"), "Conv3DOptions")
        if op in table:
            depth = {"StrideD": 1} if kernel == 5 else {}
            options = {"options": table[op], **({} if "MAT" in op or "DOT" in op else STEP | depth)}
    elif op in ops.POOLS:
        options = {"options": POOL, "FilterWidth": 2, "FilterHeight": 2, **STEP}
    layer = layer_of(op, shapes, output, constants, **options)
    assert (layer.op, layer.inputs, layer.dtype) == (op, (-1,), "int8")
    assert layer.macs > 0 or op not in ops.CONVOLUTIONS - ops.RECURRENT


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1, 1)),
        ((7,), (1, 1, 7)),
        ((1, 7), (1, 1, 7)),
        ((5, 7), (1, 5, 7)),
        ((1, 5, 7), (1, 5, 7)),
        ((3, 5, 7), (3, 5, 7)),
        ((1, 3, 5, 7), (3, 5, 7)),
        ((2, 3, 5, 7), (6, 5, 7)),
        ((1, 2, 3, 5, 7), (6, 5, 7)),
        ((2, 2, 1, 3, 5, 7), (12, 5, 7)),
    ],
)
def test_shapes_keep_their_elements(shape: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    assert layer_of("RESHAPE", [(1, 1)], shape).output == expected


def test_an_output_that_is_split() -> None:
    file = TfliteFile()
    axis, x = file.constant(dtype="int32"), file.tensor(1, 4, 4, 8)
    halves = [file.tensor(1, 4, 4, 4) for _ in range(2)]
    y = file.tensor(1, 4, 4, 4)
    file.add("SPLIT", [axis, x], halves)
    file.add("ADD", halves, [y])
    split, add = graph_of(file, [x], [y]).layers
    assert (split.input, split.output, split.inputs, split.weight_bytes) == ((4, 4, 8), (4, 4, 8), (-1,), 0)
    assert add.inputs == (0, 0)


def test_several_outputs_are_held_by_one_shape() -> None:
    file = TfliteFile()
    x, values, indices, scratch = file.tensor(1, 50), file.tensor(1, 5), file.tensor(1, 5), file.tensor(1, 999)
    file.add("TOPK_V2", [x, file.constant(dtype="int32")], [values, indices, scratch])
    graph = graph_of(file, [x], [values, indices])
    assert (graph.layers[0].output, graph.output_bytes, graph.outputs) == ((1, 1, 10), 10, (0,))


def test_float16_weights_are_folded_into_their_reader() -> None:
    file = TfliteFile()
    x, y = file.tensor(1, 4, 4, 8, dtype="float32"), file.tensor(1, 4, 4, 16, dtype="float32")
    half, full = file.constant(16, 1, 1, 8, dtype="float16"), file.tensor(16, 1, 1, 8, dtype="float32")
    z = file.tensor(1, 4, 4, 16, dtype="float32")
    file.add("DEQUANTIZE", [half], [full])
    file.add("CONV_2D", [x, full], [y], CONV, **STEP)
    file.add("RELU", [y], [z])
    graph = graph_of(file, [x], [z])
    assert [(layer.op, layer.inputs) for layer in graph.layers] == [("CONV_2D", (-1,)), ("RELU", (0,))]
    assert (graph.weight_bytes, graph.layers[0].weight_bits, graph.layers[0].dtype) == (2 * 16 * 8, 16, "float32")
    assert (graph.input_bytes, graph.output_bytes) == (4 * 4 * 8 * 4, 4 * 4 * 16 * 4)


def test_what_runs_once_is_no_layer() -> None:
    file = TfliteFile(subgraphs=2)
    x, y = file.tensor(1, 4), file.tensor(1, 4)
    file.add("CALL_ONCE", [], [], "CallOnceOptions", InitSubgraphIndex=1)
    file.add("RELU", [x], [y])
    assert [layer.op for layer in graph_of(file, [x], [y]).layers] == ["RELU"]


def test_outputs_that_others_read_too_are_outputs() -> None:
    file = TfliteFile()
    x = file.tensor(1, 4, 4, 8)
    first = add_convolution(file, x, (1, 4, 4, 8), 8)
    second = add_convolution(file, first, (1, 4, 4, 8), 8)
    graph = graph_of(file, [x], [first, second, x])
    assert (graph.outputs, graph.output_bytes) == ((0, 1), 3 * 128)


def test_names_are_printable_and_short() -> None:
    file = TfliteFile()
    x, y, z = file.tensor(1, 4), file.tensor(1, 4, name="a" * 99 + "z"), file.tensor(1, 4, name="line\nbreak\x1b[0m")
    file.add("CUSTOM:My\nOp", [x], [y])
    file.add("RELU", [y], [z])
    first, second = graph_of(file, [x], [z]).layers
    assert (first.op, first.name) == ("CUSTOM:My\\nOp", "..." + "a" * 76 + "z")
    assert second.name == "line\\nbreak\\x1b[0m"


def test_old_files_have_only_the_old_number() -> None:
    file = TfliteFile(old=True)
    x, y = file.tensor(1, 4), file.tensor(1, 4)
    file.add("RELU6", [x], [y])
    assert graph_of(file, [x], [y]).layers[0].op == "RELU6"


def test_a_batch_left_open_is_the_one_that_the_file_says() -> None:
    file = TfliteFile()
    x, y = file.tensor(1, 8, signature=[-1, 8]), file.tensor(1, 8, signature=[-1, 8])
    file.add("RELU", [x], [y])
    assert graph_of(file, [x], [y]).layers[0].output == (1, 1, 8)


# -- the same as through other doors -----------------------------------------------------------------------------------


class Everything(nn.Module):
    """What a traced module and its exported file both hold."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.grouped = nn.Conv2d(8, 16, 1, groups=4)
        self.up = nn.ConvTranspose2d(16, 6, 2, stride=2)
        self.classifier = nn.Linear(14, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depthwise(self.stem(x))
        x = F.max_pool2d(self.grouped(x), 2)
        x = torch.cat([self.up(x), F.interpolate(x, scale_factor=2)[:, :8]], 1)
        x = F.avg_pool2d(F.pad(x, (1, 1, 0, 0)), (4, 6), 1) * 2
        return F.softmax(self.classifier(x.mean((2, 3))), 1)


def everything() -> bytes:
    file = TfliteFile()
    x = file.tensor(1, 10, 10, 3)

    def convolve(op: str, source: int, weights: tuple[int, ...], output: tuple[int, ...], options: str, **values: int):
        filters = output[3]
        constants = [file.constant(*weights), file.constant(filters, dtype="int32")]
        y = file.tensor(1, *output[1:])
        inputs = [source, *constants]
        if op == "TRANSPOSE_CONV":
            inputs = [file.constant(4, dtype="int32"), constants[0], source, constants[1]]
        return file.add(op, inputs, [y], options, **values)[0]

    def step(op: str, sources: list[int], *output: int, options: str = "", **values: int) -> int:
        return file.add(op, sources, [file.tensor(*output)], options, **values)[0]

    two = {"StrideW": 2, "StrideH": 2}
    dilated = STEP | {"DepthMultiplier": 1, "DilationWFactor": 2, "DilationHFactor": 2}
    a = convolve("CONV_2D", x, (8, 4, 4, 3), (1, 4, 4, 8), CONV, **two)
    b = convolve("DEPTHWISE_CONV_2D", a, (1, 3, 3, 8), (1, 4, 4, 8), DEPTHWISE, **dilated)
    c = convolve("CONV_2D", b, (16, 1, 1, 2), (1, 4, 4, 16), CONV, **STEP)
    d = step("MAX_POOL_2D", [c], 1, 2, 2, 16, options=POOL, FilterWidth=2, FilterHeight=2, **two)
    e = convolve("TRANSPOSE_CONV", d, (6, 2, 2, 16), (1, 4, 4, 6), TRANSPOSED, **two)
    size = file.constant(2, dtype="int32")
    f = step("RESIZE_NEAREST_NEIGHBOR", [d, size], 1, 4, 4, 16)
    g = step("STRIDED_SLICE", [f, *[file.constant(4, dtype="int32") for _ in range(3)]], 1, 4, 4, 8)
    h = step("CONCATENATION", [e, g], 1, 4, 4, 14)
    i = step("PAD", [h, file.constant(4, 2, dtype="int32")], 1, 4, 6, 14)
    j = step("AVERAGE_POOL_2D", [i], 1, 1, 1, 14, options=POOL, FilterWidth=6, FilterHeight=4, **STEP)
    k = step("MUL", [j, file.tensor(data=b"2")], 1, 1, 1, 14)
    m = step("MEAN", [k, file.constant(2, dtype="int32")], 1, 14)
    n = step("FULLY_CONNECTED", [m, file.constant(5, 14), file.constant(5, dtype="int32")], 1, 5)
    return file.content([x], [step("SOFTMAX", [n], 1, 5)])


def test_a_file_costs_what_its_traced_module_costs() -> None:
    read = read_tflite(everything(), "everything.tflite")[0]
    traced = trace_module(Everything().eval(), (1, 3, 10, 10))
    fields = ("op", "input", "output", "kernel", "stride", "dilation", "groups", "inputs", "macs", "dtype")
    for ours, theirs in zip(read.layers, traced.layers, strict=True):
        assert {field: getattr(ours, field) for field in fields} == {field: getattr(theirs, field) for field in fields}
        assert ours.weight_bytes == theirs.weight_bytes or ours.op == "MUL"  # the file holds the 2
    assert (read.input_bytes, read.output_bytes) == (traced.input_bytes, traced.output_bytes)


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [  # Howard et al. 2017, table 6 and 7 (with 0.5 M and 2.6 M parameters); Sandler et al. 2018, tables 4 and 6
        ("mobilenet_v1_0.25_128_quant", 14e6, 0.47e6),
        ("mobilenet_v1_0.75_192_quant", 239e6, 2.6e6),
        ("mobilenet_v2_1.0_224_quant", 300e6, 3.47e6),
        ("deeplabv3_mnv2_pascal_quant", 2.75e9, 2.11e6),
    ],
)
def test_counts_of_real_networks_are_the_published_ones(
    shared_data: Path, name: str, macs: float, parameters: float
) -> None:
    graph = load_tflite(shared_data / "coral" / f"{name}.tflite")
    assert graph.macs == pytest.approx(macs, rel=0.035)
    biases = sum(layer.output[2] for layer in graph.layers if layer.weight_bytes)
    assert graph.weight_bytes - 3 * biases == pytest.approx(parameters, rel=0.03)
    assert {layer.dtype for layer in graph.layers} <= {"uint8", "int64"}


def test_real_files_hold_what_the_compiler_saw(shared_data: Path) -> None:
    published = json.loads((shared_data / "coral" / "published.json").read_text())
    for row in published["compiler"]["rows"]:
        graph = load_tflite(shared_data / "coral" / row["file"])
        assert graph.input_bytes == pytest.approx(row["input_bytes"], abs=64)  # the compiler pads
        assert graph.weight_bytes == pytest.approx(row["parameter_bytes"], rel=0.1)  # and lays out in groups of filters
        assert all(producer < index for index, layer in enumerate(graph.layers) for producer in layer.inputs)
    decoder = graph_named(shared_data, "posenet").layers[-1]
    assert (decoder.op, decoder.inputs) == ("CUSTOM:PosenetDecoderOp", (27, 28, 31))


def graph_named(shared_data: Path, prefix: str) -> LayerGraph:
    return load_tflite(next((shared_data / "coral").glob(f"{prefix}*.tflite")))


def test_a_file_and_a_layer_list_of_relatives_agree(shared_data: Path) -> None:
    """MobileNetV1 is the same network at any width: layer by layer, the larger costs (1 / 0.75)^2 at equal size."""
    listed = load_layer_list(shared_data / "coral" / "layer_lists.json", "mobilenet_v1_1.0_224").layers
    read = graph_named(shared_data, "mobilenet_v1_0.75").layers
    for ours, theirs in zip(read[:28], listed[:28], strict=True):
        assert (ours.op, ours.kernel) == (theirs.op, theirs.kernel if ours.op != "AVERAGE_POOL_2D" else (6, 6))
        assert ours.output[2] == theirs.output[2] * 3 // 4
        assert ours.groups == (theirs.groups * 3 // 4 or 1)


# -- errors ------------------------------------------------------------------------------------------------------------


def relu(**fields: Any) -> tuple[TfliteFile, int, int]:
    file = TfliteFile(**fields)
    return file, file.tensor(1, 4, name="x"), file.tensor(1, 4, name="y")


def future_operator() -> bytes:
    file, x, y = relu()
    file.add(999, [x], [y])
    return file.content([x], [y])


def placeholder() -> bytes:
    file, x, y = relu(old=True)
    file.add(127, [x], [y])
    return file.content([x], [y])


def nameless_custom() -> bytes:
    file, x, y = relu()
    file.add("CUSTOM:", [x], [y])
    return file.content([x], [y])


def compiled() -> bytes:
    file, x, y = relu()
    file.add("CUSTOM:edgetpu-custom-op", [x], [y])
    return file.content([x], [y])


def unary(**fields: Any) -> bytes:
    file = TfliteFile()
    x = file.tensor(1, 8, 8, 3, name="x")
    y = file.tensor(*fields.pop("shape", (1, 8, 8, 3)), name="y", **fields)
    file.add("RELU", [x], [y])
    return file.content([x], [y])


def batch() -> bytes:
    file = TfliteFile()
    x, y = file.tensor(2, 8, 8, 3, name="image"), file.tensor(2, 8, 8, 3)
    file.add("RELU", [x], [y])
    return file.content([x], [y])


def backwards() -> bytes:
    file, x, y = relu()
    z = file.tensor(1, 4, name="z")
    file.add("RELU", [z], [y])
    file.add("RELU", [y], [z])
    return file.content([x], [z])


def twice() -> bytes:
    file, x, y = relu()
    file.add("RELU", [x], [y])
    file.add("ABS", [x], [y])
    return file.content([x], [y])


def wired(inputs: list[int], outputs: list[int]) -> bytes:
    file, x, y = relu()
    file.add("RELU", inputs, outputs)
    return file.content([x], [y])


def convolution(weights: tuple[int, ...] = (16, 3, 3, 8), options: str = CONV, data: int = 0, **values: int) -> bytes:
    file = TfliteFile()
    x, y = file.tensor(1, 8, 8, 8), file.tensor(1, 8, 8, 16, name="conv")
    w = file.tensor(*weights, data=bytes(data), name="w") if data else file.constant(*weights, name="w")
    file.add("CONV_2D", [x, w], [y], options, **(STEP | values if options == CONV else values))
    return file.content([x], [y])


def no_operator() -> bytes:
    file, x, _ = relu()
    return file.content([x], [x])


ERRORS: dict[str, tuple[Callable[[], bytes], str]] = {
    "future operator": (future_operator, "has operator number 999, which is newer than this version knows"),
    "placeholder": (placeholder, "has operator number 127"),
    "nameless custom operator": (nameless_custom, "has a custom operator without a name"),
    "compiled": (compiled, "was compiled for the Edge TPU; read the file that its compiler was given"),
    "schema": (lambda: TfliteFile(version=7).content([], []), "is of schema version 7, only 3 is known"),
    "no subgraph": (lambda: TfliteFile(subgraphs=0).content([], []), "has no subgraph"),
    "no operator": (no_operator, "the network has no layer"),
    "batch": (batch, "input 'image' has a batch of 2; export it with a batch of 1"),
    "dynamic": (
        lambda: unary(signature=[1, -1, 8, 3]),
        "operator 0 (RELU): tensor 'y' has the dynamic shape 1x?x8x3; export the model with fixed shapes",
    ),
    "dynamic batch of 2": (lambda: unary(shape=(2, 8), signature=[-1, 8]), "has the dynamic shape ?x8"),
    "negative side": (lambda: unary(shape=(1, -1, 8, 3)), "has the dynamic shape 1x?x8x3"),
    "no shape": (lambda: unary(has_shape=False), "operator 0 (RELU): tensor 'y' has no shape"),
    "empty": (lambda: unary(shape=(1, 0, 8, 3)), "output is 0x8x3, must be 3 sides of at least 1"),
    "huge": (lambda: unary(shape=(2**31 - 1,) * 3), "elements, at most 1099511627776 can be costed"),
    "many sides": (lambda: unary(shape=(1,) * 99), "tensor 'y' has 99 sides, at most 8 can be read"),
    "future type": (lambda: unary(dtype=77), "tensor 'y' is of type 77, which is newer than this version knows"),
    "cycle": (backwards, "operator 0 (RELU): tensor 'z' is read, but no operator before makes it"),
    "two makers": (twice, "operator 1 (ABS): it overwrites tensor 'y'"),
    "missing tensor": (lambda: wired([77], [1]), "is damaged: it refers to tensor 77 of 2"),
    "negative tensor": (lambda: wired([-7], [1]), "is damaged: it refers to tensor -7 of 2"),
    "no output": (lambda: wired([0], []), "operator 0 (RELU): it has no output"),
    "nothing": (lambda: wired([-1], []), "operator 0 (RELU): it has neither an input nor an output"),
    "stride": (lambda: convolution(StrideW=0), "operator 0 (CONV_2D): its stride is 0, must be at least 1"),
    "dilation": (lambda: convolution(DilationWFactor=-3), "its dilation is -3, must be at least 1"),
    "kernel": (lambda: convolution((16, 0, 3, 8)), "kernel is 0x3"),
    "filters": (lambda: convolution((12, 3, 3, 8)), "tensor 'w' is for 12 output channels, there are 16"),
    "groups": (lambda: convolution((16, 3, 3, 5)), "takes 5 channels, which do not divide the input's 8"),
    "sides": (lambda: convolution((16, 8)), "tensor 'w' has 2 sides, must have 4"),
    "size": (lambda: convolution(data=7), "tensor 'w' holds 7 bytes, its shape asks for 1152"),
    "options": (lambda: convolution(options="SoftmaxOptions"), "its options are of kind 9, must be of kind 1"),
    "no options": (lambda: convolution(options=""), "its options are of kind 0, must be of kind 1"),
}


@pytest.mark.parametrize(("build", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_wrong_models_are_one_clear_error(build: Callable[[], bytes], message: str) -> None:
    with pytest.raises(TargetError) as caught:
        read_tflite(build(), "net.tflite")
    assert str(caught.value).startswith("net.tflite: ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_wrong_files_are_one_clear_error(tmp_path: Path) -> None:
    large = tmp_path / "large.tflite"
    with large.open("wb") as file:
        file.truncate(2**31 + 1)
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path / "missing.tflite": "no such file",
        tmp_path: "is not a file",
        tmp_path / "pipe": "is not a file",
        large: "has 2147483649 bytes, a TFLite model at most 2147483648",
        write(tmp_path / "empty.tflite", b""): "is empty",
        write(tmp_path / "short.tflite", b"\0\0\0\x7fTF"): "is not a TFLite model",
        write(tmp_path / "picture.tflite", b"\x89PNG\r\n\x1a\n" + bytes(99)): "is not a TFLite model",
        write(tmp_path / "header.tflite", b"\0\0\0\x7fTFL3"): "is damaged",
        tmp_path / "null\0.tflite": "cannot be read",
        tmp_path / ("x" * 999): "cannot be read",
        write(tmp_path / "two\nlines", b"no model"): "two\\nlines: is not a TFLite model",
    }
    for path, message in cases.items():
        with pytest.raises(TargetError) as caught:
            load_tflite(path)
        assert message in str(caught.value)
        assert str(caught.value).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = write(tmp_path / "net.tflite", everything())
    path.chmod(0)
    with pytest.raises(TargetError, match="cannot be read"):
        load_tflite(path)


def test_a_path_can_be_text(tmp_path: Path) -> None:
    path = write(tmp_path / "net.tflite", everything())
    assert load_tflite(str(path)) == read_tflite(path.read_bytes(), "net")[0]


# -- hostile files -----------------------------------------------------------------------------------------------------


def outcome(content: bytes) -> str:
    """Return what becomes of a file; anything but a graph or one printable line of error fails."""
    try:
        graph = read_tflite(content, "net.tflite")[0]
    except TargetError as error:
        assert str(error).isprintable(), str(error)
        assert len(str(error)) < 500
        return "error"
    assert all(producer < index for index, layer in enumerate(graph.layers) for producer in layer.inputs)
    assert 0 <= graph.macs < 2**200
    return "graph"


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC])
def test_any_word_may_be_extreme(value: int) -> None:
    content = everything()
    word = struct.pack("<I", value)
    found = {outcome(content[:start] + word + content[start + 4 :]) for start in range(0, len(content) - 3, 4)}
    assert found == {"error", "graph"}


def test_a_file_cut_anywhere_is_an_error() -> None:
    content = everything()
    assert {outcome(content[:length]) for length in range(len(content))} <= {"error", "graph"}
    assert outcome(content[: len(content) // 2]) == "error"


@given(st.binary(max_size=300))
def test_any_bytes_are_an_error(content: bytes) -> None:
    assert outcome(content) == "error"
    assert outcome(content[:4] + b"TFL3" + content[8:]) == "error"


@pytest.mark.parametrize(("repeat", "inputs"), [(60_000, 2000), (100_000, 1), (1, 100_000), (2, 100_000)])
def test_parts_that_overlap_cost_no_more_than_the_file(repeat: int, inputs: int) -> None:
    file, x, y = relu(repeat=repeat)
    file.add("ADD_N", [x] * inputs, [y])
    content = file.content([x], [y])
    tracemalloc.start()
    start = time.process_time()
    found = outcome(content)
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ("graph" if repeat == 1 else "error")
    assert peak < 100 * len(content)
    assert seconds < 10


def mutations(content: bytes, count: int, seed: str) -> Iterator[bytes]:
    """Yield damaged copies of a file, mostly damaged where its structure is rather than in its weights."""
    dice = random.Random(seed)
    places = structure(content)
    for _ in range(count):
        damaged = bytearray(content)
        for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
            place = dice.choice(places) if dice.random() < 0.9 else dice.randrange(len(damaged))
            place = min(place + dice.choice((0, 0, 0, 1, 2, 3)), len(damaged) - 1)
            kind = dice.randrange(7)
            if kind == 0:
                damaged[place] ^= 1 << dice.randrange(8)
            elif kind == 1:
                damaged[place] = dice.randrange(256)
            elif kind == 2:
                length = dice.choice((2, 8, 64, 1024))
                damaged[place : place + length] = bytes([dice.randrange(256)]) * len(damaged[place : place + length])
            elif kind == 3:
                source = dice.choice(places)
                piece = content[source : source + dice.choice((4, 16, 64))]
                damaged[place : place + len(piece)] = piece
            elif kind == 4:
                value = dice.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, len(content), len(content) - place, 10**9))
                damaged[place : place + 4] = struct.pack("<I", value)
            elif kind == 5:
                value = struct.unpack_from("<I", damaged.ljust(place + 4, b"\0"), place)[0]
                damaged[place : place + 4] = struct.pack("<I", (value + dice.choice((-8, -4, -1, 1, 4, 8))) % 2**32)
            elif dice.random() < 0.1:
                del damaged[max(place, 8) :]
        yield bytes(damaged)


def structure(content: bytes) -> list[int]:
    """Return where the reader looks: all but the weights."""
    places: list[int] = []

    class Recorder(Content):
        def number(self, kind: struct.Struct, position: int) -> int:
            places.append(position)
            return super().number(kind, position)

        def check(self, position: int, count: int) -> None:
            places.extend(range(position, position + min(count, 256), 2))
            super().check(position, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ednas.hw.tflite.reader.Content", Recorder)
        outcome(content)
    return [place for place in sorted(set(places)) if place < len(content)]


def fuzz(content: bytes, count: int, seed: str) -> Counter[str]:
    """Read damaged copies; each within 5 s and all without memory that grows."""
    found: Counter[str] = Counter()
    for number, damaged in enumerate(mutations(content, count, seed)):
        start = time.process_time()
        found[outcome(damaged)] += 1
        assert time.process_time() - start < 5, f"mutation {number} of {seed}"
    return found


def split_lstm() -> bytes:
    """Return a model with several outputs, variables, folded weights, a custom operator and a second subgraph."""
    file = TfliteFile(subgraphs=2)
    x, halves = file.tensor(1, 6, dtype="float32"), [file.tensor(1, 3, dtype="float32") for _ in range(2)]
    file.add("SPLIT", [file.constant(dtype="int32"), x], halves)
    half, full = file.constant(4, 3, dtype="float16"), file.tensor(4, 3, dtype="float32")
    file.add("DEQUANTIZE", [half], [full])
    y, z = file.tensor(1, 4, dtype="float32"), file.tensor(1, 4, dtype="float32", signature=[-1, 4])
    state = file.tensor(1, 4, dtype="float32", is_variable=True)
    recurrent, bias = file.constant(4, 4, dtype="float32"), file.constant(4, dtype="float32")
    file.add("RNN", [halves[0], full, recurrent, bias, state], [y], "RNNOptions")
    file.add("CUSTOM:Mystery", [y, -1, halves[1]], [z])
    return file.content([x], [z, halves[1]])


@pytest.mark.slow
@pytest.mark.parametrize("build", [everything, split_lstm])
def test_damaged_models_are_read_or_refused(build: Callable[[], bytes]) -> None:
    assert outcome(build()) == "graph"
    found = fuzz(build(), 1500, build.__name__)
    assert min(found["graph"], found["error"]) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL_FILES)
def test_damaged_real_files_are_read_or_refused(shared_data: Path, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = fuzz((shared_data / "coral" / f"{name}.tflite").read_bytes(), 150, name)
    assert min(found["graph"], found["error"]) > 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB
