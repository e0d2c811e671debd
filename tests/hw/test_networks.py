"""Every description of a network leads to its layers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ednas.arch import load_architecture
from ednas.exceptions import ArchitectureError, ConfigError, TargetError
from ednas.hw import trace_network
from ednas.hw.networks import DEFAULT_HEADS, load_network
from ednas.hw.tflite_writer import write_tflite

LAYERS = {"op": "CONV_2D", "input": [4, 4, 3], "output": [4, 4, 4]}
LIST = {"input_bytes": 48, "output_bytes": 64, "layers": [LAYERS]}


def test_an_architecture_at_the_default_size_with_the_papers_tasks() -> None:
    network = load_network("base")
    assert network.graph == trace_network(load_architecture("base"), DEFAULT_HEADS, (256, 256))
    assert (network.name, network.model) == ("base", None)
    small = load_network("base", heads={"depth": 1}, input_size=(64, 96))
    assert (small.graph.input_bytes, small.graph.output_bytes) == (3 * 64 * 96, 16 * 24)


def test_a_checkpoint_says_its_tasks_and_size(tmp_path: Path) -> None:
    config = {
        "architecture": load_architecture("base").to_dict(),
        "tasks": ["segmentation", "normals"],
        "targets": {"segmentation": {"kind": "labels", "num_classes": 13}, "normals": {"kind": "normals"}},
        "input_size": [64, 128],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    network = load_network(str(tmp_path))
    assert network.graph.input_bytes == 3 * 64 * 128
    assert network.graph.output_bytes == (13 + 3) * 16 * 32


def test_layer_lists(tmp_path: Path) -> None:
    path = tmp_path / "lists.json"
    path.write_text(json.dumps({"small": LIST, "other": LIST}))
    assert load_network(f"{path}#small").graph == load_network(str(path), network="small").graph
    with pytest.raises(ConfigError, match="several networks"):
        load_network(str(path))


def test_a_tflite_file_whatever_its_name(tmp_path: Path) -> None:
    graph = trace_network(load_architecture("base"), DEFAULT_HEADS, (64, 64))
    path = tmp_path / "model.tflite"
    write_tflite(graph, path)
    network = load_network(str(path))
    assert network.model == path
    assert network.graph.macs == graph.macs
    other = path.rename(tmp_path / "model.bin")
    assert load_network(str(other)).graph == network.graph
    with pytest.raises(ConfigError, match="holds a single network"):
        load_network(str(other), network="a")


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="basse"):
        load_network("basse")
    with pytest.raises(TargetError, match="nowhere"):
        load_network(str(tmp_path / "nowhere.tflite"))
    picture = tmp_path / "picture.tflite"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(TargetError, match="picture"):
        load_network(str(picture))
