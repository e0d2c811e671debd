"""What one operator of a file costs, from its tensors and options."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.tflite_files import (
    CONV,
    DEPTHWISE,
    POOL,
    PRODUCT,
    STEP,
    TRANSPOSED,
    TfliteFile,
    graph_of,
    layer_of,
)

from ednas.hw.graph import ops
from ednas.hw.graph.layers import Layer


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


@pytest.mark.parametrize("has_shape", [True, False])
@pytest.mark.parametrize(("dtype", "bits"), [("float32", 32), ("int8", 8)])
def test_an_lstm_multiplies_all_gates_at_every_step(dtype: str, bits: int, has_shape: bool) -> None:
    steps, depth, cells, places = 5, 3, 4, dict.fromkeys(range(1, 5), (4, 3)) | dict.fromkeys(range(5, 9), (4, 4))
    file = TfliteFile()
    x = file.tensor(1, steps, depth, dtype="float32")
    y = file.tensor(1, steps, cells, dtype="float32", has_shape=has_shape)  # old converters left it out
    z = file.tensor(1, steps, cells, dtype="float32")
    inputs = [x, *[file.constant(*shape, dtype=dtype) for shape in places.values()], -1, -1, -1]
    inputs += [file.constant(cells, dtype="float32") for _ in range(4)]
    inputs += [-1, -1, *[file.tensor(1, cells, dtype="float32", is_variable=True) for _ in range(2)]]
    file.add("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y])
    file.add("RELU", [y], [z])
    layer, reader = graph_of(file, [x], [z]).layers
    assert layer.output == reader.input == (1, steps, cells)
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
