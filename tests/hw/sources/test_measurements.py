"""Measurements of networks and layers are read as written; a wrong line is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.ncnn_files import IMAGE, ncnn_text

from ednas.arch import load_architecture
from ednas.exceptions import ConfigError
from ednas.hw import load_target
from ednas.hw.networks import load_network
from ednas.hw.sources.measurements import Selection, read_layers, read_measurements

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


TABLE = """device,threads,network,min_ms,avg_ms
Board 4 (A72),1,small,4,5
Board 4 (A72),2,small,2,3
Board 4 (A72),1,large,40,50
Board 4 (A72),1,large_int8,30,31
Board 3 (A53),1,small,8,9
Board 3 (A57),1,small,7,9
Board 4 (A72),1,open,9,9
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for name, line in (
        ("small", "Convolution c 1 1 data y 0=8 1=1 6=64"),
        ("large", "Convolution c 1 1 data y 0=80 1=1 6=640"),
        ("large_int8", "Convolution c 1 1 data y 0=80 1=1 6=640 8=102"),
    ):
        (folder / f"{name}.param").write_text(ncnn_text(IMAGE, line))
    (folder / "open.param").write_text(ncnn_text("Input data 0 1 data", "ReLU r 1 1 data y"))
    return written(tmp_path, TABLE)


def selection(table: Path, *, only: tuple[str, ...] = (), **where: str) -> Selection:
    return Selection(where, "min_ms", table.parent / "models", only)


def test_a_table_of_several_devices_is_read_by_what_its_columns_hold(table: Path) -> None:
    left_out: list[str] = []
    chosen = selection(table, device="Board 4", threads="1")
    samples = read_measurements(table, chosen, precision="float32", left_out=left_out.append)
    assert [(sample.name, sample.latency_ms) for sample in samples] == [("small", 4), ("large", 40)]
    assert len(left_out) == 2
    assert "line 5: 'large_int8' computes integers, the device float32" in left_out[0]
    assert "line 8" in left_out[1]
    assert "leaves the input's size open" in left_out[1]
    everything = read_measurements(table, chosen, left_out=left_out.append)
    assert [sample.name for sample in everything] == ["small", "large", "large_int8"]


def test_networks_can_be_chosen(table: Path) -> None:
    chosen = selection(table, device="Board 4", threads="1", only=("large",))
    assert [sample.name for sample in read_measurements(table, chosen)] == ["large"]


@pytest.mark.parametrize(
    ("where", "only", "message"),
    [
        ({"device": "Board 3"}, (), "2 texts begin with 'Board 3' in column 'device': Board 3 (A53); Board 3 (A57)"),
        (
            {"device": "Bord 4 (A72)"},
            (),
            "no row holds 'Bord 4 (A72)' in column 'device': did you mean 'Board 4 (A72)'",
        ),
        ({"devices": "x"}, (), "no column 'devices'; its columns are device, threads, network, min_ms, avg_ms"),
        ({"device": "Board 4"}, ("huge",), "no row of 'huge' among those that are selected"),
        ({"device": "Board 4", "threads": "1"}, ("open",), "line 8: "),
        ({"device": "Board 4", "threads": "1"}, ("large_int8",), "'large_int8' computes integers, the device float16"),
    ],
)
def test_a_selection_that_fits_nothing_is_refused(
    table: Path, where: dict[str, str], only: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read_measurements(table, selection(table, only=only, **where), precision="float16")
    assert message in str(error.value)


def test_a_network_that_is_selected_twice_is_refused_by_what_differs(table: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"2 rows of 'small' are selected, they differ in threads, avg_ms; choose one"
    ):
        read_measurements(table, selection(table, device="Board 4"))


def test_names_alone_are_no_architectures_of_ours(tmp_path: Path) -> None:
    path = written(tmp_path, "device,network,latency_ms\nBoard,mobilenet_v2,93\n")
    with pytest.raises(ConfigError, match="'mobilenet_v2' is no file; give the folder of the networks"):
        read_measurements(path, Selection({"device": "Board"}))
    with pytest.raises(ConfigError, match="no such folder of networks"):
        read_measurements(path, Selection({"device": "Board"}, folder=tmp_path / "none"))
    with pytest.raises(ConfigError, match="none of its 1 networks can be taken"):
        read_measurements(path, Selection({"device": "Board"}), left_out=lambda _: None)


def test_a_network_must_be_one_file_of_the_folder(table: Path) -> None:
    (table.parent / "models" / "small.tflite").touch()
    with pytest.raises(ConfigError, match="several files are named 'small'"):
        read_measurements(table, selection(table, device="Board 4", threads="1"))
    with pytest.raises(ConfigError, match="no file is named 'large'"):
        read_measurements(table, Selection({"threads": "1"}, "min_ms", table.parent, ("large",)))
