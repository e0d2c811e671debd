"""The files that the writer makes run in TFLite's own runtime and give what the graph says."""

from __future__ import annotations

import random
from math import prod
from pathlib import Path

import numpy as np
import pytest
import tflite
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch import Architecture, SearchSpace, load_architecture
from ednas.arch.zoo import names
from ednas.exceptions import TargetError
from ednas.hw.graph import ops
from ednas.hw.graph.layer_list import load_layer_list
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph, Shape
from ednas.hw.graph.trace import trace_network
from ednas.hw.tflite.reader import load_tflite
from ednas.hw.tflite.writer import write_tflite

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

IMAGE: Shape = (8, 12, 16)
DTYPES = ("int8", "float32")


def layer(op: str, output: Shape = IMAGE, **fields) -> Layer:
    return Layer(**{"name": "x", "scope": "", "op": op, "input": IMAGE, "output": output, **fields})


def graph_of(*layers: Layer, outputs: tuple[int, ...] = ()) -> LayerGraph:
    return LayerGraph(layers, prod(layers[0].input), prod(layers[-1].output), outputs)


def run(path: Path, image: np.ndarray | None = None) -> list[np.ndarray]:
    """Run a file in LiteRT; a random image if none is given."""
    runtime = interpreter.Interpreter(str(path), num_threads=1)
    runtime.allocate_tensors()
    (detail,) = runtime.get_input_details()
    if image is None:
        numbers = np.random.default_rng(0)
        image = (
            numbers.integers(-128, 128, detail["shape"])
            if detail["dtype"] is np.int8
            else numbers.random(detail["shape"])
        )
    runtime.set_tensor(detail["index"], image.astype(detail["dtype"]))
    runtime.invoke()
    return [runtime.get_tensor(output["index"]) for output in runtime.get_output_details()]


def opcodes(path: Path) -> list[tuple[int, int]]:
    model = tflite.Model.GetRootAs(path.read_bytes(), 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    return [(code.BuiltinCode(), code.Version()) for code in codes]


SINGLE = [
    layer("CONV_2D", (8, 12, 24), kernel=(3, 3)),
    layer("CONV_2D", (6, 10, 24), kernel=(3, 3)),
    layer("CONV_2D", (4, 6, 8), kernel=(5, 5), stride=2),
    layer("CONV_2D", (8, 6, 8), kernel=(1, 3), stride=2),
    layer("CONV_2D", (8, 12, 8), kernel=(3, 3), dilation=2),
    layer("CONV_2D", (8, 12, 24), kernel=(3, 3), groups=4),
    layer("DEPTHWISE_CONV_2D", kernel=(3, 3), groups=16),
    layer("DEPTHWISE_CONV_2D", (4, 6, 32), kernel=(5, 5), stride=2, groups=16),
    layer("DEPTHWISE_CONV_2D", (4, 8, 16), kernel=(3, 3), dilation=2, groups=16),
    layer("TRANSPOSE_CONV", (16, 24, 8), kernel=(4, 4), stride=2),
    layer("TRANSPOSE_CONV", (17, 25, 8), kernel=(3, 3), stride=2),
    layer("FULLY_CONNECTED", (1, 1, 10)),
    layer("FULLY_CONNECTED", (1, 96, 10), input=(1, 96, 16)),
    layer("ADD", weight_bytes=16),
    layer("MUL", weight_bytes=16),
    layer("SUB"),
    layer("MAXIMUM"),
    layer("MINIMUM", inputs=(GRAPH_INPUT, GRAPH_INPUT)),
    layer("SQUARED_DIFFERENCE", inputs=(GRAPH_INPUT, GRAPH_INPUT)),
    layer("PRELU", weight_bytes=16),
    layer("PAD", (10, 14, 16)),
    layer("PAD", (9, 13, 20)),
    layer("PADV2", (10, 14, 16)),
    layer("MIRROR_PAD", (10, 14, 16)),
    layer("MAX_POOL_2D", (4, 6, 16), kernel=(3, 3), stride=2),
    layer("MAX_POOL_2D", (1, 6, 16), input=(1, 12, 16), kernel=(1, 3), stride=2),
    layer("AVERAGE_POOL_2D", (1, 1, 16), kernel=(8, 12), stride=12),
    layer("MEAN", (1, 1, 16)),
    layer("MEAN", (8, 12, 1)),
    layer("MEAN", (1, 1, 16), input=(1, 1, 16)),
    layer("SUM", (1, 1, 16)),
    layer("REDUCE_MAX", (8, 1, 16)),
    layer("REDUCE_MIN", (8, 1, 16)),
    layer("RESIZE_BILINEAR", (16, 24, 16)),
    layer("RESIZE_NEAREST_NEIGHBOR", (16, 24, 16)),
    layer("RESHAPE", (4, 24, 16)),
    layer("EXPAND_DIMS", (1, 96, 16)),
    layer("TRANSPOSE", (16, 8, 12)),
    layer("SLICE", (4, 6, 16)),
    layer("STRIDED_SLICE", (8, 12, 4)),
    layer("DEPTH_TO_SPACE", (16, 24, 4)),
    layer("SPACE_TO_DEPTH", (4, 6, 64)),
    layer("CONCATENATION", (8, 12, 32), input=(8, 12, 32), inputs=(0, 0)),
    layer("CONCATENATION", (16, 12, 16), input=(16, 12, 16), inputs=(0, GRAPH_INPUT)),
    layer("BATCH_MATMUL", (8, 12, 12), inputs=(0, 1)),
    *(
        layer(op)
        for op in ("ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG", "LOGISTIC")
    ),
    *(layer(op) for op in ("LOG_SOFTMAX", "RELU", "RELU6", "RELU_N1_TO_1", "SOFTMAX", "TANH")),
]


def single(of: Layer) -> LayerGraph:
    """A graph that ends with one layer; those that read layers get them."""
    if of.op == "BATCH_MATMUL":
        return graph_of(layer("RELU"), layer("TRANSPOSE", (8, 16, 12)), of)
    return graph_of(layer("RELU"), of) if 0 in of.inputs else graph_of(of)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("of", SINGLE, ids=lambda one: f"{one.op}-{'x'.join(map(str, one.output))}")
def test_each_operator_runs_and_gives_its_shape(of: Layer, dtype, tmp_path: Path) -> None:
    write_tflite(single(of), tmp_path / "x.tflite", dtype=dtype)
    (output,) = run(tmp_path / "x.tflite")
    assert output.dtype == dtype
    assert (1, 1, 1, *output.shape)[-3:] == of.output


@pytest.mark.parametrize("op", ["COS", "DIV", "FLOOR", "NEG", "POW", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE"])
def test_operators_without_int8_run_in_float32(op: str, tmp_path: Path) -> None:
    write_tflite(graph_of(layer(op)), tmp_path / "x.tflite", dtype="float32")
    assert run(tmp_path / "x.tflite")[0].shape == (1, *IMAGE)
    with pytest.raises(TargetError, match=rf"layer 'x' \({op}\): cannot be written with int8 elements; use float32"):
        write_tflite(graph_of(layer(op)), tmp_path / "y.tflite")
    assert not (tmp_path / "y.tflite").exists()


@pytest.mark.parametrize(("op", "output"), [("ARG_MAX", (1, 8, 12)), ("ARG_MIN", (1, 12, 16))])
def test_an_index_leaves_out_its_axis(op: str, output: Shape, tmp_path: Path) -> None:
    write_tflite(graph_of(layer(op, output)), tmp_path / "x.tflite")
    assert run(tmp_path / "x.tflite")[0].shape == output
    with pytest.raises(TargetError, match="reads indices"):
        write_tflite(graph_of(layer(op, output), layer("RELU", output, input=output, inputs=(0,))), tmp_path / "y")


def test_what_has_no_weights_computes_what_its_name_says(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((1, *IMAGE), np.float32)
    nearest = image.repeat(2, 1).repeat(2, 2)
    expected = {
        ("PAD", (10, 15, 16)): np.pad(image, ((0, 0), (1, 1), (1, 2), (0, 0))),
        ("MEAN", (1, 1, 16)): image.mean((1, 2), keepdims=True),
        ("RESIZE_NEAREST_NEIGHBOR", (16, 24, 16)): nearest,
        ("TRANSPOSE", (16, 8, 12)): image.transpose(0, 3, 1, 2),
        ("STRIDED_SLICE", (4, 12, 16)): image[:, :4],
    }
    for (op, output), wanted in expected.items():
        write_tflite(graph_of(layer(op, output)), tmp_path / "x.tflite", dtype="float32")
        np.testing.assert_allclose(run(tmp_path / "x.tflite", image)[0], wanted, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_signals_survive_a_deep_network(dtype, tmp_path: Path) -> None:
    """Random weights that saturated or killed everything would be no fair load for float hardware."""
    layers = [layer("CONV_2D", kernel=(3, 3), inputs=(index,)) for index in range(-1, 12)]
    write_tflite(graph_of(*layers), tmp_path / "x.tflite", dtype=dtype)
    (output,) = run(tmp_path / "x.tflite")
    assert np.isfinite(output).all()
    assert output.std() > 0.01
    assert (np.abs(output.astype(float)) > 126).mean() < 0.05


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_concatenation_takes_results_of_prescribed_scales(dtype, tmp_path: Path) -> None:
    graph = graph_of(
        layer("CONV_2D"),
        layer("LOGISTIC", inputs=(0,)),
        layer("TANH", inputs=(0,)),
        layer("MAX_POOL_2D", kernel=(3, 3), inputs=(1,)),
        layer("CONCATENATION", (8, 12, 64), input=(8, 12, 64), inputs=(0, 1, 2, 3)),
    )
    write_tflite(graph, tmp_path / "x.tflite", dtype=dtype)
    assert run(tmp_path / "x.tflite")[0].shape == (1, 8, 12, 64)
    quantises = [code for code, _ in opcodes(tmp_path / "x.tflite") if code == tflite.BuiltinOperator.QUANTIZE]
    assert len(quantises) == (dtype == "int8")


def test_outputs_are_what_nothing_reads_and_what_the_graph_names(tmp_path: Path) -> None:
    layers = (
        layer("CONV_2D", (8, 12, 4)),
        layer("RELU", (8, 12, 4), input=(8, 12, 4), inputs=(0,)),
        layer("CONV_2D", (8, 12, 6)),
    )
    write_tflite(graph_of(*layers, outputs=(0,)), tmp_path / "x.tflite")
    assert [output.shape[3] for output in run(tmp_path / "x.tflite")] == [4, 4, 6]
    write_tflite(graph_of(*layers), tmp_path / "x.tflite")
    assert [output.shape[3] for output in run(tmp_path / "x.tflite")] == [4, 6]


def test_operands_are_broadcast_and_flattened(tmp_path: Path) -> None:
    gate = graph_of(
        layer("CONV_2D"),
        layer("MEAN", (1, 1, 16), inputs=(0,)),
        layer("FULLY_CONNECTED", (1, 1, 16), input=(1, 1, 16), inputs=(1,)),
        layer("LOGISTIC", (1, 1, 16), input=(1, 1, 16), inputs=(2,)),
        layer("MUL", inputs=(0, 3)),
        layer("FULLY_CONNECTED", (1, 1, 10), input=(1, 1, 8 * 12 * 16), inputs=(4,)),
    )
    write_tflite(gate, tmp_path / "x.tflite")
    assert run(tmp_path / "x.tflite")[0].shape == (1, 10)


def test_versions_are_the_oldest_that_hold_the_kernels(tmp_path: Path) -> None:
    """Vendors' compilers refuse versions that they do not know."""
    builtin = tflite.BuiltinOperator
    graph = trace_network(load_architecture("base"), {"segmentation": 19}, (64, 128))
    write_tflite(graph, tmp_path / "x.tflite")
    assert dict(opcodes(tmp_path / "x.tflite")) == {
        builtin.ADD: 2,
        builtin.CONV_2D: 3,
        builtin.DEPTHWISE_CONV_2D: 3,
        builtin.MAX_POOL_2D: 2,
        builtin.PAD: 2,
        builtin.RESIZE_BILINEAR: 3,
        builtin.RESIZE_NEAREST_NEIGHBOR: 2,
    }


def test_a_float_network_does_not_become_another_one_in_silence(tmp_path: Path) -> None:
    graph = graph_of(layer("CONV_2D", dtype="float32"))
    with pytest.raises(TargetError, match=r"computes float32; quantise the network first, or use float32"):
        write_tflite(graph, tmp_path / "a.tflite")
    assert not (tmp_path / "a.tflite").exists()
    write_tflite(graph, tmp_path / "a.tflite", dtype="float32")
    assert load_tflite(tmp_path / "a.tflite").layers[0].dtype == "float32"


def test_the_seed_determines_the_file(tmp_path: Path) -> None:
    graph = graph_of(*SINGLE[:1])
    names = {"a": 0, "b": 0, "c": 1}
    for name, seed in names.items():
        write_tflite(graph, tmp_path / name, seed=seed)
    contents = {name: (tmp_path / name).read_bytes() for name in names}
    assert contents["a"] == contents["b"] != contents["c"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((layer("CUSTOM:Decoder"),), r"layer 'x' \(CUSTOM:Decoder\): cannot be written to a TFLite file; replace it"),
        ((layer("SPLIT"),), "cannot be written to a TFLite file"),
        ((layer("CONV_2D", (7, 12, 4), kernel=(3, 3)),), "neither SAME nor VALID padding of a 3x3 window"),
        ((layer("CONV_2D", (1, 1, 4), kernel=(30, 30)),), "neither SAME nor VALID"),
        ((layer("DEPTHWISE_CONV_2D", (8, 12, 20)),), "20 output channels are no multiple of 16"),
        ((layer("TRANSPOSE_CONV", (20, 24, 8), stride=2),), "neither SAME nor VALID"),
        ((layer("TRANSPOSE_CONV", (8, 12, 16), groups=2),), "no transposed convolution with groups"),
        ((layer("FULLY_CONNECTED", (1, 7, 10)),), "is not 7 rows"),
        ((layer("ADD", (8, 12, 4)),), "cannot be broadcast"),
        ((layer("ADD", inputs=(-1, -1, -1)),), "must read 1 or 2"),
        ((layer("RELU", inputs=()),), "no known size"),
        ((layer("RELU"), layer("RELU", inputs=(1,))), "must read layers before it"),
        (
            (layer("RELU"), layer("CONV_2D", input=(4, 4, 4), inputs=(0,))),
            "its input is 4x4x4, its producer gives 8x12x16",
        ),
        ((layer("RELU"), layer("CONV_2D", inputs=(0, 0))), "reads 2 layers"),
        ((layer("PAD", (7, 12, 16)),), "cannot pad"),
        ((layer("MIRROR_PAD", (8, 12, 99)),), "too few elements"),
        ((layer("MAX_POOL_2D", (8, 12, 4)),), "16 channels into 4"),
        ((layer("MAX_POOL_2D", kernel=(3, 3), dilation=2),), "no pooling with dilation"),
        ((layer("MEAN", (4, 12, 16)),), "must be 1"),
        ((layer("RESIZE_BILINEAR", (16, 24, 4)),), "16 channels into 4"),
        ((layer("RESHAPE", (8, 12, 15)),), "cannot reshape"),
        ((layer("TRANSPOSE", (8, 12, 15)),), "no order"),
        ((layer("SLICE", (9, 12, 16)),), "is no part of"),
        ((layer("DEPTH_TO_SPACE", (16, 24, 5)),), "no block size"),
        ((layer("SPACE_TO_DEPTH", (8, 12, 4)),), "no block size"),
        ((layer("ARG_MAX", (1, 1, 5)),), "no axis"),
        ((layer("RELU", (8, 12, 4)),), "its output has its input's shape"),
        ((layer("BATCH_MATMUL"),), "must read 2"),
        ((layer("CONCATENATION", input=(8, 12, 32), output=(8, 12, 32)),), "no known size"),
        ((layer("RELU"), layer("CONCATENATION", (8, 12, 33), inputs=(0, 0))), "do not join to 8x12x33"),
        ((layer("CONV_2D", (8, 12, 1 << 20), input=(8, 12, 1 << 20)),), "a TFLite file holds 2 GB"),
    ],
)
def test_what_fits_together_in_no_way_is_one_line(wrong: tuple[Layer, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        write_tflite(LayerGraph(wrong, 1, 1), tmp_path / "x.tflite")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["effnet_M", "mobilenet_v1_1.0_224"])
def test_published_networks_run(shared_data: Path, tmp_path: Path, name: str) -> None:
    write_tflite(load_layer_list(shared_data / "coral" / "layer_lists.json", name), tmp_path / "x.tflite")
    assert run(tmp_path / "x.tflite")


@pytest.mark.parametrize("name", names())
def test_the_zoo_runs(name: str, tmp_path: Path) -> None:
    graph = trace_network(load_architecture(name), {"segmentation": 19, "depth": 1}, (64, 128))
    write_tflite(graph, tmp_path / "x.tflite")
    assert [output.shape for output in run(tmp_path / "x.tflite")] == [(1, 16, 32, 19), (1, 16, 32, 1)]


def resolved(graph: LayerGraph) -> tuple[list[tuple], set[int], int, int]:
    """What two graphs of one network agree on: all but names, and outputs that are named though nothing reads them."""
    layers = [tuple(value for key, value in vars(one).items() if key not in ("name", "scope")) for one in graph.layers]
    read = {producer for one in graph.layers for producer in one.inputs}
    outputs = {index for index in range(len(layers)) if index not in read} | set(graph.outputs)
    return layers, outputs, graph.input_bytes, graph.output_bytes


def random_architectures(count: int) -> list[Architecture]:
    space = SearchSpace(load_architecture("base"))
    generator = random.Random(0)
    return [space.decode([generator.randrange(len(d.candidates)) for d in space.decisions]) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [*map(load_architecture, names()), *random_architectures(20)], ids=str)
def test_reading_a_written_network_gives_it_back(architecture: Architecture, tmp_path: Path) -> None:
    graph = trace_network(architecture, {"segmentation": 19, "depth": 1}, (64, 128))
    write_tflite(graph, tmp_path / "x.tflite")
    assert resolved(load_tflite(tmp_path / "x.tflite")) == resolved(graph)


@pytest.mark.parametrize("of", SINGLE, ids=lambda one: f"{one.op}-{'x'.join(map(str, one.output))}")
def test_reading_a_written_operator_gives_it_back(of: Layer, tmp_path: Path) -> None:
    write_tflite(single(of), tmp_path / "x.tflite")
    read = load_tflite(tmp_path / "x.tflite").layers[-1]
    # Equal in cost: a matrix product of a flattened image, and a shape in other words.
    given_input = (1, 1, prod(of.input)) if of.op == "FULLY_CONNECTED" and of.output[1] == 1 else of.input
    op = "RESHAPE" if of.op in ops.RESHAPES else of.op
    assert (read.op, read.input, read.output) == (op, given_input, of.output)
    assert (read.kernel, read.stride, read.dilation, read.groups) == (of.kernel, of.stride, of.dilation, of.groups)
    assert read.inputs == of.inputs


@st.composite
def chains(draw: st.DrawFn) -> LayerGraph:
    """Networks of windows, additions and resizes, each layer reading the one before it."""
    layers: list[Layer] = []
    shape: Shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    for index in range(draw(st.integers(1, 5))):
        op = draw(
            st.sampled_from(
                ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD", "RESIZE_BILINEAR"]
            )
        )
        stride, kernel = draw(st.integers(1, 3)), (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
        sides = [-(-side // stride) for side in shape[:2]]
        channels = draw(st.integers(1, 9)) if op == "CONV_2D" else shape[2]
        fields = {"kernel": kernel, "stride": stride}
        if op == "RESIZE_BILINEAR":
            sides, fields = [side * stride for side in shape[:2]], {}
        if op == "ADD":
            sides, fields = list(shape[:2]), {"weight_bytes": channels}
        output: Shape = (sides[0], sides[1], channels)
        layers.append(layer(op, output, input=shape, inputs=(index - 1,), **fields))
        shape = output
    return graph_of(*layers)


@settings(max_examples=examples(40))
@given(graph=chains(), dtype=st.sampled_from(DTYPES))
def test_small_networks_run(graph: LayerGraph, dtype, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("files") / "x.tflite"
    write_tflite(graph, path, dtype=dtype)
    (output,) = run(path)
    assert output.shape == (1, *graph.layers[-1].output)


def test_a_tensor_that_no_runtime_can_count_is_refused(tmp_path: Path) -> None:
    huge = Layer("a", "", "CONV_2D", (20_000, 20_000, 64), (20_000, 20_000, 64))
    with pytest.raises(TargetError, match=r"layer 'a' \(CONV_2D\): a tensor has 25600000000 elements"):
        write_tflite(LayerGraph((huge,), 1, 1), tmp_path / "x.tflite")
    assert not list(tmp_path.iterdir())
