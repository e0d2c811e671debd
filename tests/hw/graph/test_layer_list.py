"""Layer lists are read as written, and anything else is one clear error."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.profiles import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ednas.exceptions import ConfigError, EdnasError, TargetError
from ednas.hw import LayerGraph, load_layer_list, load_target, network_names, simulate

CONV = {
    "op": "CONV_2D",
    "input": [8, 8, 3],
    "output": [4, 4, 16],
    "kernel": [3, 3],
    "stride": 2,
    "groups": 1,
    "inputs": 1,
    "weight_bytes": 496,
}
ADD = {"op": "ADD", "input": [4, 4, 16], "output": [4, 4, 16], "inputs": 2}


def network(*layers: Any) -> dict[str, Any]:
    return {"input_bytes": 192, "output_bytes": 256, "layers": list(layers)}


def read(tmp_path: Path, content: Any, name: str | None = None) -> LayerGraph:
    path = tmp_path / "net.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_layer_list(path, name)


def test_a_single_network(tmp_path: Path) -> None:
    graph = read(tmp_path, network(CONV, CONV | {"input": [4, 4, 16], "stride": 1, "weight_bytes": 2368}, ADD))
    assert [layer.inputs for layer in graph.layers] == [(-1,), (0,), (1, 0)]
    assert [layer.macs for layer in graph.layers] == [4 * 4 * 16 * 9 * 3, 4 * 4 * 16 * 9 * 16, 0]
    assert (graph.input_bytes, graph.output_bytes, graph.weight_bytes) == (192, 256, 496 + 2368)


def test_producers_can_be_given(tmp_path: Path) -> None:
    graph = read(tmp_path, network(CONV, CONV | {"inputs": [-1]}, ADD | {"inputs": [0, 1]}))
    assert [layer.inputs for layer in graph.layers] == [(-1,), (-1,), (0, 1)]


def test_a_layer_has_its_type(tmp_path: Path) -> None:
    graph = read(tmp_path, network(CONV | {"dtype": "float32"}, ADD | {"inputs": [0, 0]}))
    assert [layer.dtype for layer in graph.layers] == ["float32", "int8"]
    with pytest.raises(TargetError, match=r"computes float32, the target int8.*quantise"):
        simulate(read(tmp_path, network(CONV | {"dtype": "float32"})), load_target("coral_usb"))


def test_every_published_list_is_read(shared_data: Path) -> None:
    path = shared_data / "coral" / "layer_lists.json"
    content = json.loads(path.read_text())
    assert network_names(path) == tuple(content)
    for name in content:
        graph = load_layer_list(path, name)
        assert len(graph.layers) == len(content[name]["layers"])
        assert graph.weight_bytes == sum(layer["weight_bytes"] for layer in content[name]["layers"])
    assert load_layer_list(path, "vgg16").macs == pytest.approx(15.5e9, rel=0.01)
    assert load_layer_list(path, "mobilenet_v1_1.0_224").macs == pytest.approx(569e6, rel=0.01)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("{", None, "not valid JSON"),
        ("[]", None, "holds a list, expected a network"),
        ("{}", None, "holds an empty object"),
        ({"a": network(CONV), "b": network(CONV)}, None, "holds several networks, choose one of: a, b"),
        ({"alexnet": network(CONV), "b": network(CONV)}, "alexnt", "no network 'alexnt'; did you mean 'alexnet'?"),
        (network(CONV), "a", "holds a single network, 'a' cannot be chosen"),
        ({"a": 3}, None, "a: holds a int, expected a network"),
        (network(), None, "'layers' is empty"),
        ({"layers": [CONV]}, None, "key 'input_bytes' is missing"),
        (network(CONV, 7), None, "layer 1: holds a int"),
        (network({"op": "CONV_2D", "input": [8, 8, 3]}), None, "layer 0: key 'output' is missing"),
        (network(CONV | {"kernal": [3, 3]}), None, "layer 0: unknown key 'kernal'; did you mean 'kernel'?"),
        (network(CONV | {"op": "CONV2D"}), None, "layer 0: unknown op 'CONV2D'; did you mean 'CONV_2D'?"),
        (network(CONV | {"input": [8, 8, 0]}), None, "layer 0: 'input.2': Input should be greater than or equal to 1"),
        (network(CONV | {"input": [8, 8]}), None, "layer 0: "),
        (network(CONV | {"input": [8, 8, 2**40]}), None, "layer 0: 'input.2': Input should be less than 2147483648"),
        (network(CONV | {"stride": 1.5}), None, "layer 0: 'stride': Input should be a valid integer"),
        (network(CONV | {"weight_bytes": -1}), None, "layer 0: 'weight_bytes'"),
        (
            network(CONV | {"dtype": "float"}),
            None,
            "layer 0: layer '0 conv_2d' (CONV_2D): dtype is 'float', must be one",
        ),
        (network(CONV | {"groups": 2}), None, "layer 0: layer '0 conv_2d' (CONV_2D): 2 groups do not divide"),
        (network(CONV | {"inputs": [0]}), None, "layer 0: 'inputs' is [0], a layer can only read layers before it"),
    ],
)
def test_wrong_content_is_one_clear_error(tmp_path: Path, content: Any, name: str | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, content, name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def conv(input_: list[int], output: list[int], **more: Any) -> dict[str, Any]:
    return {"op": "CONV_2D", "input": input_, "output": output, "kernel": [3, 3], **more}


@pytest.mark.parametrize(
    "layers",
    [
        [conv([32, 32, 3], [16, 16, 8], stride=2)],  # SAME
        [conv([32, 32, 3], [15, 15, 8], stride=2)],  # VALID
        [conv([33, 32, 3], [17, 16, 8], stride=2)],
        [conv([32, 32, 3], [34, 34, 8])],  # padding of its own
        [conv([32, 32, 3], [16, 32, 8], stride=2)],  # a stride of 2x1, of which the larger is written
        [conv([8, 8, 3], [8, 8, 8], dilation=4)],
        [{"op": "AVERAGE_POOL_2D", "input": [7, 7, 8], "output": [1, 1, 8]}],  # a window that is not told
        [conv([8, 8, 3], [8, 8, 8]), conv([4, 4, 8], [4, 4, 8])],  # producers that are counted are guessed
        [
            conv([8, 8, 3], [8, 8, 8]),
            {"op": "FULLY_CONNECTED", "input": [1, 1, 512], "output": [1, 1, 9], "inputs": [0]},
        ],
    ],
)
def test_shapes_that_may_be_right_are_accepted(tmp_path: Path, layers: list[dict[str, Any]]) -> None:
    assert len(read(tmp_path, network(*layers)).layers) == len(layers)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [conv([32, 32, 3], [320, 320, 8], stride=2)],
            "32x32 to 320x320 cannot be with kernel 3x3, stride 2, dilation 1",
        ),
        ([conv([32, 32, 3], [32, 32, 8], stride=2)], "32x32 to 32x32 cannot be"),
        ([conv([32, 32, 3], [8, 8, 8])], "32x32 to 8x8 cannot be"),
        ([{"op": "MAX_POOL_2D", "input": [8, 8, 3], "output": [4, 4, 8], "stride": 2}], "makes 8 channels of 3"),
        (
            [conv([64, 64, 3], [64, 64, 16]), conv([10, 10, 3], [10, 10, 3], inputs=[0])],
            "layer 1: layer '1 conv_2d' (CONV_2D): reads 10x10x3, its producer, layer 0, makes 64x64x16",
        ),
    ],
)
def test_shapes_that_cannot_be_are_refused(tmp_path: Path, layers: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, network(*layers))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_long_list_takes_no_time_squared(tmp_path: Path) -> None:
    layers = [conv([16, 16, 8], [16, 16, 8])] * 10_000
    begin = time.process_time()
    graph = read(tmp_path, network(*layers))
    assert graph.layers[-1].inputs == (9998,)
    assert time.process_time() - begin < 5  # 0.5 s on a slow machine; with time squared 12 s


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for function in (load_layer_list, network_names):
        with pytest.raises(ConfigError, match=r"nothing\.json: no such file"):
            function(tmp_path / "nothing.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*CONV, "layers", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
CHANGES = st.dictionaries(st.sampled_from(list(CONV)), JSON, max_size=2)
LAYERS = st.builds(lambda base, change: base | change, st.sampled_from([CONV, ADD]), CHANGES)


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    JSON
    | st.builds(network, LAYERS, LAYERS)
    | st.dictionaries(st.text(max_size=3), st.builds(network, LAYERS), max_size=2)
)
@example({"a": network(CONV | {"kernel": [10**9, 10**9], "input": [10**9] * 3, "output": [10**9] * 3})})
def test_anything_is_a_network_or_a_clear_error(tmp_path: Path, content: Any) -> None:
    message, latency_ms = "", 1.0
    try:
        latency_ms = simulate(read(tmp_path, content), load_target("coral_usb")).latency_ms
    except EdnasError as error:
        message = str(error)
    assert "\n" not in message
    assert latency_ms > 0


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load_layer_list(path)
