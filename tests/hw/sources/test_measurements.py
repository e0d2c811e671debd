"""Measurements of networks and layers are read as written; a wrong line is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ednas.arch import load_architecture
from ednas.exceptions import ConfigError
from ednas.hw import load_target
from ednas.hw.networks import load_network
from ednas.hw.sources.measurements import read_layers, read_measurements

LIST = {
    "input_bytes": 48,
    "output_bytes": 64,
    "layers": [{"op": "CONV_2D", "input": [4, 4, 3], "output": [4, 4, 4], "kernel": [1, 1]}],
}


def written(folder: Path, text: str) -> Path:
    path = folder / "measured.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_networks_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "lists.json").write_text(json.dumps({"small": LIST, "other": LIST}))
    text = "network,latency_ms,input,tasks\nlists.json#small,0.9,,\nbase,3.4,64x128,segmentation:19;depth:1\n"
    small, base = read_measurements(written(tmp_path, text))
    assert (small.name, small.latency_ms, len(small.graph.layers)) == ("lists.json#small", 0.9, 1)
    assert base.graph.input_bytes == 3 * 64 * 128
    assert base.graph.output_bytes == (19 + 1) * 16 * 32
    assert not base.is_layer


def test_layers(tmp_path: Path) -> None:
    rows = ("CONV_2D,8x8x16,4x4x32,3x3,2,1,0.25", "ADD,8x8x16,8x8x16,,,,0.1")
    text = "\n".join(("op,input,output,kernel,stride,groups,latency_ms", *rows))
    path = written(tmp_path, text)
    (conv, latency), (add, _) = read_layers(path)
    assert (conv.op, conv.kernel, conv.stride, conv.macs, latency) == ("CONV_2D", (3, 3), 2, 4 * 4 * 32 * 9 * 16, 0.25)
    assert (add.kernel, add.stride, add.groups) == ((1, 1), 1, 1)
    samples = read_measurements(path)
    assert all(sample.is_layer for sample in samples)
    target = load_target("coral_usb")
    assert samples[0].predicted_ms(target) < target.link.dispatch_ms.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no measurement"),
        ("network,latency_ms\n", "holds no measurement"),
        ("network,latency\nbase,1\n", "no column 'latency_ms'"),
        ("network,latency_ms,device\nbase,1,x\n", "unknown column 'device'"),
        ("network,latency_ms\nbase,fast\n", "line 2: latency_ms is 'fast'"),
        ("network,latency_ms\nbase,-1\n", "line 2: latency_ms is '-1'"),
        ("network,latency_ms\nbase,nan\n", "line 2: latency_ms is 'nan'"),
        ("network,latency_ms\nbase\n", "line 2: has fewer values than columns"),
        ("network,latency_ms\nbase,1,2\n", "line 2: has more values than columns"),
        ("network,latency_ms\nbase,1\nbasse,2\n", "line 3: "),
        ("network,latency_ms,input\nbase,1,large\n", "line 2: input is 'large', must be HEIGHTxWIDTH"),
        ("network,latency_ms,tasks\nbase,1,segmentation\n", "line 2: tasks is 'segmentation', must be TASK:CHANNELS"),
        ("op,input,output,latency_ms\nCONV2D,1x1x1,1x1x1,1\n", "line 2: unknown op 'CONV2D'"),
        ("op,input,output,latency_ms\nADD,1x1,1x1x1,1\n", "line 2: input is '1x1', must be HEIGHTxWIDTHxCHANNELS"),
        ("op,input,output,latency_ms\nADD,0x1x1,1x1x1,1\n", "line 2: layer"),
        ("op,input,output,latency_ms\nADD,,1x1x1,1\n", "line 2: 'input' is empty"),
        ("network,latency_ms\n,1\n", "line 2: 'network' is empty"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_measurements(path)
    assert message in str(caught.value)
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "measured.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    with pytest.raises(ConfigError, match=r"measured\.csv"):
        read_measurements(path)
    with pytest.raises(ConfigError, match="no such file"):
        read_measurements(tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match="holds networks"):
        read_layers(written(tmp_path, "network,latency_ms\nbase,1\n"))


def test_a_text_form_is_no_path(tmp_path: Path) -> None:
    genes = load_architecture("base").to_text()
    (sample,) = read_measurements(written(tmp_path, f"network,latency_ms,input\n{genes},1,64x64\n"))
    assert sample.graph == load_network("base", input_size=(64, 64)).graph


def test_a_size_for_a_network_that_has_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps(LIST))
    with pytest.raises(ConfigError, match=r"line 2: .*list\.json: a layer list fixes its own input size"):
        read_measurements(written(tmp_path, "network,latency_ms,input\nlist.json,1,64x64\n"))
