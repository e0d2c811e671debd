"""Networks of ncnn files: how layers read one another, and published figures of published networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.ncnn_files import IMAGE, ncnn_graph

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import GRAPH_INPUT
from ednas.hw.ncnn.reader import load_ncnn

PUBLISHED = {"mobilenet_v2": (300e6, 3.50e6), "resnet50": (3.87e9, 25.5e6), "squeezenet": (0.39e9, 1.24e6)}
"""Multiply-accumulates and parameters as their papers print them, on images of 224x224 (SqueezeNet: 227x227)."""


def test_layers_read_one_another_through_splits(tmp_path: Path) -> None:
    graph = ncnn_graph(
        tmp_path,
        IMAGE,
        "Split s 1 2 data a b",
        "ReLU r 1 1 a c",
        "MemoryData m 0 1 constant 0=32 1=16 2=8",
        "BinaryOp p 2 1 b constant d",
        "Eltwise e 2 1 c d y 0=1",
    )
    assert [(layer.name, layer.inputs) for layer in graph.layers] == [
        ("r", (GRAPH_INPUT,)),
        ("p", (GRAPH_INPUT,)),
        ("e", (0, 1)),
    ]
    assert graph.input_bytes == graph.output_bytes == 4 * 16 * 32 * 8


def test_every_tensor_that_nothing_reads_is_an_output(tmp_path: Path) -> None:
    graph = ncnn_graph(tmp_path, IMAGE, "Slice s 1 2 data a b -23300=2,2,-233 1=0", "ReLU r 1 1 a y")
    assert graph.output_bytes == 4 * 16 * 32 * (2 + 6)


def test_an_input_without_a_size_is_asked_for(tmp_path: Path) -> None:
    lines = ["Input data 0 1 data", "Convolution c 1 1 data y 0=4 1=1 6=12"]
    with pytest.raises(TargetError, match=r"Input 'data': the file leaves the input's size open; say it"):
        ncnn_graph(tmp_path, *lines)
    assert ncnn_graph(tmp_path, *lines, input_size=(6, 7)).layers[0].input == (6, 7, 3)
    grey = ["Input data 0 1 data 2=1", "Convolution c 1 1 data y 0=4 1=1 6=4"]
    assert ncnn_graph(tmp_path, *grey, input_size=(6, 7)).layers[0].input == (6, 7, 1)
    twice = ["Input data 0 2 data other", "ReLU r 1 1 data y"]
    assert ncnn_graph(tmp_path, *twice, input_size=(6, 7)).input_bytes == 2 * 4 * 6 * 7 * 3
    with pytest.raises(TargetError, match="fixes its own input size"):
        ncnn_graph(tmp_path, IMAGE, "ReLU r 1 1 data y", input_size=(6, 7))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["ReLU r 1 1 x y"], "reads 'x', which no layer before it makes"),
        ([IMAGE, "ReLU r 1 1 data data"], "makes 'data', which another layer makes"),
        ([IMAGE], "the network has no layer"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(TargetError) as error:
        ncnn_graph(tmp_path, *lines)
    assert message in str(error.value)


def test_published_networks_have_their_published_sizes(shared_data: Path) -> None:
    folder = shared_data / "devices" / "ncnn" / "models"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    for name, (macs, parameters) in PUBLISHED.items():
        graph = load_ncnn(folder / f"{name}.param")
        assert graph.macs == pytest.approx(macs, rel=0.08), name
        assert graph.weight_bytes / 4 == pytest.approx(parameters, rel=0.03), name
