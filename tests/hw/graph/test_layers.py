"""Layers refuse shapes that make no sense; pieces join to graphs with the right producers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph, Piece, join


def layer(name: str = "a", **fields: object) -> Layer:
    values = {"name": name, "scope": "network", "op": "ADD", "input": (4, 4, 8), "output": (4, 4, 8)} | fields
    return Layer(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"output": (0, 4, 8)}, "layer 'a' (ADD): output is 0x4x8, must be 3 sides of at least 1"),
        ({"input": (4, 4)}, "layer 'a' (ADD): input is 4x4, must be 3 sides of at least 1"),
        ({"kernel": ()}, "layer 'a' (ADD): kernel is empty, must be 2 sides of at least 1"),
        ({"stride": 0}, "layer 'a' (ADD): stride is 0, must be at least 1"),
        ({"weight_bytes": -1}, "layer 'a' (ADD): weight_bytes is -1, must not be negative"),
        ({"op": "CONV_2D", "groups": 3}, "layer 'a' (CONV_2D): 3 groups do not divide 8 input and 8 output channels"),
    ],
)
def test_wrong_layers_are_one_clear_error(fields: dict[str, object], message: str) -> None:
    with pytest.raises(TargetError) as caught:
        layer(**fields)
    assert str(caught.value) == message


def test_a_graph_has_layers() -> None:
    with pytest.raises(TargetError, match="no layer"):
        LayerGraph((), 1, 1)


def test_a_graph_adds_up_its_layers() -> None:
    graph = LayerGraph((layer(macs=3, weight_bytes=5), layer(macs=4, weight_bytes=6)), 1, 1)
    assert (graph.macs, graph.weight_bytes) == (7, 11)


def test_join_connects_pieces_through_layers_and_passed_on_inputs() -> None:
    first = Piece((layer("a", inputs=(-1,)), layer("b", inputs=(0,))), (0, 1), ((1, 8, 4, 4),) * 2, params=1)
    passing = Piece((layer("c", inputs=(-2,)),), (-1, 0), ((1, 8, 4, 4),) * 2, params=1)
    last = Piece((layer("d", inputs=(-1, -2, -3)),), (0,), ((1, 8, 4, 4),), params=1)
    graph = join(
        [(first, [(-1, 0)]), (passing, [(0, 0), (0, 1)]), (last, [(1, 0), (1, 1), (-1, 0)])],
        input_bytes=1,
        output_bytes=2,
    )
    assert [(item.name, item.inputs) for item in graph.layers] == [
        ("a", (GRAPH_INPUT,)),
        ("b", (0,)),
        ("c", (1,)),  # input 1 of `passing` is output 1 of `first`: layer b
        ("d", (0, 2, GRAPH_INPUT)),  # output 0 of `passing` is its input 0: layer a
    ]
    assert first.layers[1].inputs == (0,)


def test_reading_targets_and_layer_lists_needs_no_torch() -> None:
    code = "import sys, ednas.hw; ednas.hw.load_target('coral_usb'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
