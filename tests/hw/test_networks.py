"""Every description of a network leads to its layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ednas.arch import load_architecture
from ednas.exceptions import ArchitectureError, ConfigError, TargetError
from ednas.hw import trace_network
from ednas.hw.graph.layer_list import load_layer_list
from ednas.hw.networks import DEFAULT_HEADS, is_architecture, load_network
from ednas.hw.tflite.writer import write_tflite

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
        "heads": {"segmentation": 13, "normals": 3},
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


def test_a_searchs_result_says_its_tasks_and_size(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    content = {"architecture": load_architecture("base").to_dict(), "latency_ms": 1.0}
    path.write_text(json.dumps(content))
    assert load_network(str(path)).graph == load_network("base").graph
    path.write_text(json.dumps(content | {"input_size": [64, 96], "heads": {"segmentation": 13, "depth": 1}}))
    network = load_network(str(path))
    assert (network.input_size, network.heads) == ((64, 96), {"segmentation": 13, "depth": 1})
    assert network.graph.output_bytes == 14 * 16 * 24
    assert network.title == "base, 64x96, segmentation:13, depth:1"
    assert network.to_dict() == {
        "name": "base",
        "input_size": [64, 96],
        "tasks": {"segmentation": 13, "depth": 1},
    }
    chosen = load_network(str(path), heads={"depth": 1}, input_size=(64, 64))
    assert chosen.title == "base, 64x64, depth:1"


def test_a_text_form_is_no_path() -> None:
    text = load_architecture("base").to_text()
    assert load_network(text, input_size=(64, 64)).graph == load_network("base", input_size=(64, 64)).graph
    with pytest.raises(ArchitectureError, match="is no architecture and no path"):
        load_network("a" * 300)


def test_a_layer_list_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "layers.txt"
    path.write_text(json.dumps(LIST))
    assert load_network(str(path)).graph == load_layer_list(path)
    assert not is_architecture(str(path))
    assert is_architecture("base")


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("", {}, "name is empty"),
        ("net.tflite", {"input_size": (64, 64)}, "a TFLite file fixes its own input size"),
        ("net.tflite", {"heads": {"depth": 1}}, "a TFLite file fixes its own tasks"),
        ("lists.json#a", {"input_size": (64, 64)}, "a layer list fixes its own input size"),
        ("lists.json", {"network": "a", "heads": {"depth": 1}}, "a layer list fixes its own tasks"),
        ("lists.json#a", {"network": "b"}, "'a' is chosen after the #, and 'b' beside it"),
        ("base", {"network": "a"}, "base: is no file of layer lists"),
        ("best.json", {"network": "a"}, "best.json: is no file of layer lists"),
        ("nowhere.json", {"network": "a"}, "nowhere.json: no such file"),
        ("run", {}, "run: is a folder without a checkpoint's config.json; give run/best.json or run/checkpoint"),
        ("folder", {}, "give a checkpoint's folder, or a file"),
    ],
)
def test_what_does_not_fit_the_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, arguments: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.tflite").write_bytes(b"\0\0\0\0TFL3")
    Path("lists.json").write_text(json.dumps({"a": LIST, "b": LIST}))
    Path("best.json").write_text(json.dumps({"architecture": load_architecture("base").to_dict()}))
    Path("run/checkpoint").mkdir(parents=True)
    Path("run/best.json").touch()
    Path("folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_network(source, **arguments)
    assert message in str(caught.value)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="basse"):
        load_network("basse")
    with pytest.raises(TargetError, match="nowhere"):
        load_network(str(tmp_path / "nowhere.tflite"))
    picture = tmp_path / "picture.tflite"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(TargetError, match="picture"):
        load_network(str(picture))
