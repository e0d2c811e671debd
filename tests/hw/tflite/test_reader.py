"""TFLite files become the layers that they hold; anything else is one clear error."""

from __future__ import annotations

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
from helpers.tflite_files import (
    CONV,
    DEPTHWISE,
    POOL,
    STEP,
    TRANSPOSED,
    TfliteFile,
    add_convolution,
    graph_of,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ednas.exceptions import TargetError
from ednas.hw import trace_module
from ednas.hw.tflite.flatbuffer import Content
from ednas.hw.tflite.reader import load_tflite, read_tflite

REAL_FILES = (
    "deeplabv3_mnv2_pascal_quant",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_0.75_192_quant",
    "mobilenet_v2_1.0_224_quant",
    "posenet_mobilenet_v1_075_481_641_quant_decoder",
)


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
