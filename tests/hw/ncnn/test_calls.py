"""What a layer of an ncnn file computes, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.ncnn_files import IMAGE, ncnn_graph

from ednas.exceptions import TargetError
from ednas.hw.graph import ops
from ednas.hw.graph.layers import Layer
from ednas.hw.ncnn.calls import FORMS, OPERATORS


def only(folder: Path, line: str) -> Layer:
    (layer,) = ncnn_graph(folder, IMAGE, line).layers
    return layer


def test_a_convolution(tmp_path: Path) -> None:
    layer = only(tmp_path, "Convolution c 1 1 data y 0=24 1=5 11=3 2=1 3=2 4=2 14=1 5=1 6=2880")
    assert (layer.op, layer.input, layer.output) == ("CONV_2D", (16, 32, 8), (8, 16, 24))
    assert (layer.kernel, layer.stride, layer.groups, layer.dtype) == ((3, 5), 2, 1, "float32")
    assert layer.macs == 8 * 16 * 24 * 15 * 8
    assert layer.weight_bytes == 4 * 2880 + 4 * 24


def test_an_int8_convolution(tmp_path: Path) -> None:
    layer = only(tmp_path, "Convolution c 1 1 data y 0=24 1=1 6=192 8=102")
    assert (layer.dtype, layer.weight_bytes, layer.weight_bits) == ("int8", 192, 8)


@pytest.mark.parametrize(("groups", "weights", "op"), [(8, 72, "DEPTHWISE_CONV_2D"), (4, 144, "CONV_2D")])
def test_a_convolution_in_groups(tmp_path: Path, groups: int, weights: int, op: str) -> None:
    layer = only(tmp_path, f"ConvolutionDepthWise c 1 1 data y 0=8 1=3 4=1 6={weights} 7={groups}")
    assert (layer.op, layer.groups, layer.macs) == (op, groups, 16 * 32 * weights)


def test_a_transposed_convolution(tmp_path: Path) -> None:
    layer = only(tmp_path, "Deconvolution c 1 1 data y 0=4 1=4 3=2 4=1 6=512")
    assert (layer.op, layer.output, layer.macs) == ("TRANSPOSE_CONV", (32, 64, 4), 16 * 32 * 512)


def test_an_adaptive_pooling_reads_as_much_as_gives_its_outputs(tmp_path: Path) -> None:
    layer = only(tmp_path, "Pooling p 1 1 data y 0=1 7=1 8=4 18=4")
    assert (layer.op, layer.output, layer.kernel) == ("AVERAGE_POOL_2D", (4, 4, 8), (4, 8))


def test_a_fully_connected_layer(tmp_path: Path) -> None:
    layer = only(tmp_path, "InnerProduct f 1 1 data y 0=10 1=1 2=40960")
    assert (layer.op, layer.input, layer.output) == ("FULLY_CONNECTED", (1, 1, 4096), (1, 1, 10))
    assert (layer.macs, layer.weight_bytes) == (40960, 4 * 40960 + 4 * 10)


def test_attention_is_its_products(tmp_path: Path) -> None:
    lines = ["Input data 0 1 data 0=12 1=5", "MultiHeadAttention a 1 1 data y 0=12 1=3 2=144"]
    layers = ncnn_graph(tmp_path, *lines).layers
    assert [layer.op for layer in layers].count("FULLY_CONNECTED") == 4
    assert sum(layer.macs for layer in layers) == 4 * 5 * 12 * 12 + 2 * 5 * 5 * 12
    assert [layer.op for layer in layers][3:6] == ["BATCH_MATMUL", "SOFTMAX", "BATCH_MATMUL"]
    assert layers[4].output == (1, 5, 3 * 5)


@pytest.mark.parametrize(
    ("line", "op"),
    [
        ("Pooling p 1 1 data y 0=0 1=2 2=2", "MAX_POOL_2D"),
        ("Pooling p 1 1 data y 0=1 1=2 2=2", "AVERAGE_POOL_2D"),
        ("Pooling p 1 1 data y 0=1 4=1", "AVERAGE_POOL_2D"),
        ("Reduction m 1 1 data y 0=3 1=0 -23303=2,1,2 4=1", "MEAN"),
        ("ReLU r 1 1 data y", "RELU"),
        ("ReLU r 1 1 data y 0=0.1", "LEAKY_RELU"),
        ("BinaryOp b 2 1 data data y 0=2", "MUL"),
        ("Eltwise e 2 1 data data y 0=1", "ADD"),
        ("Interp i 1 1 data y 0=1 1=2.0 2=2.0", "RESIZE_NEAREST_NEIGHBOR"),
        ("ShuffleChannel s 1 1 data y 0=2", "TRANSPOSE"),
        ("UnaryOp u 1 1 data y 0=7", "EXP"),
    ],
)
def test_operators(tmp_path: Path, line: str, op: str) -> None:
    assert only(tmp_path, line).op == op


def test_all_operators_are_known_to_the_cost_model() -> None:
    assert all(ops.is_known(op) for op in (*OPERATORS.values(), *(op for forms in FORMS.values() for op in forms)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Convolution c 1 1 data y 0=24 1=3 6=999", "has 999 weights, its shapes ask for 1,728"),
        ("ConvolutionDepthWise c 1 1 data y 0=8 1=3 6=72 7=3", "3 groups do not divide 8 input and 8 output channels"),
        ("Convolutoin c 1 1 data y 0=8", "this kind of layer is not known; did you mean 'Convolution'?"),
        ("BinaryOp b 2 1 data data y 0=99", "parameter 0 is 99, must be below"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(TargetError, match=r"network\.param: line 4") as error:
        only(tmp_path, line)
    assert message in str(error.value)
