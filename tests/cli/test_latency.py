"""`ednas latency` and `ednas targets` as a user meets them."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers.cli import Run

from ednas.hw import Cost, load_target, simulate, target_names
from ednas.hw.networks import load_network
from ednas.hw.targets.files import target_text

CORAL = load_target("coral_usb")


def layer(**changes: object) -> dict[str, object]:
    convolution = {"op": "CONV_2D", "input": [16, 16, 8], "output": [16, 16, 8], "kernel": [3, 3]}
    return {**convolution, "weight_bytes": 608, **changes}


def write_list(path: Path, count: int = 3, **changes: object) -> Path:
    layers = [layer(**changes) for _ in range(count)]
    path.write_text(json.dumps({"input_bytes": 2048, "output_bytes": 2048, "layers": layers}))
    return path


def test_json_is_the_documented_one(run: Run, tmp_path: Path) -> None:
    network = write_list(tmp_path / "net.json")
    code, out, err = run("latency", network, "--json")
    assert code == 0, err
    cost = json.loads(out)
    assert cost.pop("network") == {"name": "net", "input_size": None, "tasks": None}
    assert set(cost) == {field.name for field in fields(Cost)}
    assert cost == json.loads(json.dumps(simulate(load_network(str(network)).graph, CORAL).to_dict()))


def test_several_targets_are_a_list_and_one_table(run: Run, tmp_path: Path) -> None:
    network = write_list(tmp_path / "net.json")
    arguments = ["latency", network, "--target", "coral_usb", "-t", "ethos_u55_256"]
    answer = json.loads(run(*arguments, "--json")[1])
    costs = answer["costs"]
    assert [cost["target"] for cost in costs] == ["coral_usb", "ethos_u55_256"]
    assert {"network": answer["network"], **costs[0]} == json.loads(run(*arguments[:4], "--json")[1])
    code, out, _ = run(*arguments)
    assert code == 0
    assert "Latency" in out
    assert "coral_usb" in out.splitlines()[2]
    assert "ethos_u55_256" in out.splitlines()[2]


@pytest.mark.parametrize("size", ["64x64", "64x128"])
def test_an_architecture_takes_input_and_tasks(run: Run, size: str) -> None:
    out = run("latency", "base", "--input", size, "--tasks", "depth", "--json")[1]
    height, width = map(int, size.split("x"))
    graph = load_network("base", heads={"depth": 1}, input_size=(height, width)).graph
    assert json.loads(out)["latency_ms"] == pytest.approx(simulate(graph, CORAL).latency_ms)


def test_what_was_costed_is_told(run: Run) -> None:
    title = "base, 64x128, segmentation:19, depth:1"
    arguments = ["latency", "base", "--input", "64x128", "--tasks", "segmentation:19,depth"]
    assert json.loads(run(*arguments, "--json")[1])["network"] == {
        "name": "base",
        "input_size": [64, 128],
        "tasks": {"segmentation": 19, "depth": 1},
    }
    assert f"{title} on coral_usb" in run(*arguments)[1]
    assert f"Costs of {title}" in run(*arguments, "-t", "coral_usb", "-t", "ethos_u55_256")[1]


@pytest.mark.parametrize("begun", ["", "op,input,output,latency_ms\n"])
def test_a_table_begins_empty(run: Run, tmp_path: Path, begun: str) -> None:
    network, table, out = write_list(tmp_path / "net.json"), tmp_path / "t.csv", tmp_path / "missing.csv"
    table.write_text(begun)
    arguments = ["latency", network, "-t", f"table:{table}"]
    assert "no row for" in run(*arguments)[2]
    assert run(*arguments, "--missing-rows", out)[0] == 0
    heading, row = out.read_text().splitlines()
    table.write_text(f"{heading}\n{row}0.5\n")
    assert json.loads(run(*arguments, "--json")[1])["latency_ms"] == 3 * 0.5  # the layer is there three times


def test_missing_rows_of_a_table_are_written(run: Run, tmp_path: Path) -> None:
    network, table, out = write_list(tmp_path / "net.json"), tmp_path / "t.csv", tmp_path / "missing.csv"
    table.write_text("op,input,output,latency_ms\nADD,8x8x16,8x8x16,1\n")
    arguments = ["latency", network, "-t", f"table:{table}"]
    code, _, err = run(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert "--missing-rows" in err
    assert run(*arguments, "--missing-rows", out)[0] == 0
    assert run(*arguments, "--missing-rows", out)[0] == 2
    heading, row = out.read_text().splitlines()
    table.write_text(f"{heading}\n{row}0.5\n")
    assert json.loads(run(*arguments, "--json")[1])["latency_ms"] == 1.5
    assert "nothing was written" in run(*arguments, "--missing-rows", tmp_path / "none.csv")[1]
    assert not (tmp_path / "none.csv").exists()
    code, _, err = run("latency", network, "--missing-rows", out)
    assert code == 2
    assert "give one table" in err


def test_a_layer_list_of_real_networks(run: Run, shared_data: Path) -> None:
    lists = shared_data / "coral" / "layer_lists.json"
    for arguments in ([lists, "--network", "inception_v1"], [f"{lists}#inception_v1"]):
        code, out, _ = run("latency", *arguments, "--json")
        assert code == 0
        assert json.loads(out)["latency_ms"] == pytest.approx(3.4, rel=0.3)


def test_a_tflite_file_says_what_the_host_runs_and_why(run: Run, shared_data: Path) -> None:
    code, out, _ = run("latency", shared_data / "coral" / "deeplabv3_mnv2_pascal_quant.tflite", "--per-layer")
    assert code == 0
    assert "the accelerator has no ARG_MAX" in out
    assert "deeplabv3_mnv2_pascal_quant on coral_usb" in out


def test_per_layer_shows_every_layer(run: Run, tmp_path: Path) -> None:
    network = write_list(tmp_path / "net.json", count=20)
    short, full = (run("latency", network, *more)[1] for more in ([], ["--per-layer"]))
    assert (short.count("CONV_2D"), full.count("CONV_2D")) == (8, 20)
    assert "12 more" in short


def test_plots(run: Run, tmp_path: Path) -> None:
    network = write_list(tmp_path / "net.json")
    code, _, err = run("latency", network, "--plot", tmp_path / "cost.svg")
    assert code == 0, err
    assert ElementTree.parse(tmp_path / "cost.svg").getroot().tag.endswith("svg")
    run("latency", network, "-t", "coral_usb", "-t", "ethos_u55_256", "--plot", tmp_path / "costs.html", "--json")
    assert (tmp_path / "costs.html").read_text(encoding="utf-8").count("<svg") == 2


def test_targets_are_listed(run: Run) -> None:
    code, out, _ = run("targets")
    assert code == 0
    listed = json.loads(run("targets", "--json")[1])["targets"]
    assert set(listed) == set(target_names())
    coral = listed["coral_usb"]
    assert coral["peak_tops"] == pytest.approx(4.096)
    assert coral["clock_mhz"] == 500
    figures = CORAL.figures().values()
    assert sum(coral["figures"][kind] for kind in ("measured", "published", "assumed")) == len(figures)
    assert coral["figures"]["free"] == sum(figure.fit for figure in figures)
    assert all(name in out for name in target_names())


@pytest.mark.parametrize(
    "arguments", [["coral_usb", "--json"], ["--json", "coral_usb"], ["show", "coral_usb", "--json"]]
)
def test_the_name_may_stand_anywhere(run: Run, arguments: list[str]) -> None:
    code, out, _ = run("targets", *arguments)
    assert code == 0
    assert json.loads(out) == CORAL.model_dump(mode="json")


def test_a_target_is_printed_with_units_and_sources(run: Run) -> None:
    out = run("targets", "coral_usb")[1]
    for path, figure in CORAL.figures().items():
        line = next(line for line in out.splitlines() if f" {path.rpartition('.')[2]} " in line)
        assert figure.provenance in line
        assert figure.source.split()[0] in line
        assert ("free" in line.split("│")[6]) == figure.fit
    assert "MB/s" in next(line for line in out.splitlines() if "bandwidth_mb_per_s" in line)
    assert run("targets", "coral_usb", "--yaml")[1] == target_text("coral_usb")


def test_a_new_target_is_a_commented_copy_that_works(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "my_device.yaml"
    code, _, err = run("targets", "new", file, "--from", "coral_usb")
    assert code == 0, err
    text = file.read_text(encoding="utf-8")
    same = target_text("coral_usb").partition("\nerrors:")[0]  # of the Coral itself
    assert text.rstrip() == same.rstrip().replace("name: coral_usb", "name: my_device", 1)
    network = write_list(tmp_path / "net.json")
    mine, theirs = (json.loads(run("latency", network, "-t", name, "--json")[1]) for name in (file, "coral_usb"))
    notes = [note for note in theirs["notes"] if "such networks" not in note]
    assert mine == {**theirs, "target": "my_device", "latency_p10_ms": None, "latency_p90_ms": None, "notes": notes}
    file.write_text("mine")
    code, _, err = run("targets", "new", file, "--from", "coral_usb")
    assert (code, file.read_text()) == (2, "mine")
    assert "--force" in err
    assert run("targets", "new", file, "--from", "coral_usb", "--force", "--name", "other")[0] == 0
    assert load_target(file).name == "other"


def test_calibration_finds_a_device_again(run: Run, tmp_path: Path) -> None:
    changed = target_text("coral_usb").replace("{value: 490,", "{value: 250,").replace("{value: 0.68,", "{value: 1.5,")
    (tmp_path / "real.yaml").write_text(changed, encoding="utf-8")
    real = load_target(tmp_path / "real.yaml")
    with (tmp_path / "measured.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["network", "latency_ms"])
        for number in range(8):
            side = 16 + 24 * number
            shape = [side, side, 8]
            path = write_list(tmp_path / f"{number}.json", 1 + number % 3, input=shape, output=shape)
            value = json.loads(path.read_text())
            path.write_text(json.dumps({**value, "input_bytes": side * side * 30}))
            rows.writerow([path.name, simulate(load_network(str(path)).graph, real).latency_ms])
    out = tmp_path / "fitted.yaml"
    code, printed, err = run(
        "targets",
        "calibrate",
        "--measurements",
        tmp_path / "measured.csv",
        "--from",
        "coral_usb",
        "--out",
        out,
        "--json",
    )
    assert code == 0, err
    result = json.loads(printed)
    assert result["changes"]["link.bandwidth_mb_per_s"] == {"old": 490, "new": pytest.approx(250, rel=0.05)}
    assert result["changes"]["link.dispatch_ms"]["new"] == pytest.approx(1.5, rel=0.05)
    assert len(result["rows"]) == 8
    assert result["held_out_mape"] < 0.05
    fitted = load_target(out)
    assert fitted.name == "fitted"
    assert fitted.link.bandwidth_mb_per_s.value == pytest.approx(250, rel=0.05)
    assert fitted.link.bandwidth_mb_per_s.source == "fitted to 8 measurements in measured.csv"
    comments = [line for line in target_text("coral_usb").splitlines() if line.lstrip().startswith("#")]
    assert [line for line in out.read_text().splitlines() if line.lstrip().startswith("#")] == comments
    again = ["targets", "calibrate", "--measurements", tmp_path / "measured.csv", "--from", "coral_usb", "--out", out]
    assert run(*again)[0] == 2
    code, printed, _ = run(*again, "--force")
    assert code == 0
    assert "link.dispatch_ms" in printed
    assert "random halves" in printed


def broken(change: tuple[str, str]) -> str:
    assert change[0] in target_text("coral_usb")
    return target_text("coral_usb").replace(*change)


CLOCK = '{value: 500, provenance: published, source: "libedgetpu: up to 500 MHz"}'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((CLOCK, CLOCK.replace("500,", "-500,")), "clock_mhz"),
        ((CLOCK, CLOCK.replace("500,", ".nan,")), "clock_mhz"),
        ((CLOCK, CLOCK.replace("500,", "fast,")), "clock_mhz"),
        ((CLOCK, "500"), "clock_mhz"),
        ((CLOCK, "{value: 500}"), "provenance' is missing"),
        ((CLOCK, CLOCK.replace("published", "guessed")), "provenance"),
        (("  clock_mhz:", "  clock:"), "did you mean 'clock_mhz'?"),
        (("name: coral_usb", "name: [1"), "not valid YAML"),
    ],
)
def test_a_wrong_file_of_a_target_is_one_line(run: Run, tmp_path: Path, change: tuple[str, str], message: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(broken(change), encoding="utf-8")
    network = write_list(tmp_path / "net.json")
    commands = (
        ["latency", network, "--target", file],
        ["targets", file],
        ["targets", file, "--yaml"],
        ["targets", "new", tmp_path / "new.yaml", "--from", file],
    )
    for command in commands:
        code, _, err = run(*command)
        assert code == 2
        assert err.startswith(f"error: {file}")
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "new.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["latency", "nowhere.tflite"], "nowhere.tflite"),
        (["latency", "nowhere.json"], "nowhere.json: no such file"),
        (["latency", "picture.tflite"], "picture.tflite"),
        (["latency", "empty.tflite"], "empty.tflite"),
        (["latency", "net.json", "--network", "second"], "'second' cannot be chosen"),
        (["latency", "base", "--target", "coral_ubs"], "unknown target 'coral_ubs'; did you mean 'coral_usb'?"),
        (["latency", "base", "--target", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["latency", "base", "--target", "table:"], "table:FILE.csv"),
        (["latency", "base", "--target", "table:nowhere.csv"], "nowhere.csv: no such file"),
        (["latency", "net.json", "--plot", "cost.png"], ".svg"),
        (["latency", "nowhere.json", "--plot", "/proc/cost.svg"], "cannot write /proc/cost.svg"),
        (["latency", "nowhere.json", "--plot", "folder.svg"], "cannot write folder.svg: is a folder"),
        (["latency", "net.json", "--input", "64x64"], "net.json: a layer list fixes its own input size"),
        (["latency", ""], "name is empty"),
        (["latency", "net.json", "-t", "coral_usb", "-t", "ethos_u55_256", "--plot", "cost.svg"], ".html"),
        (["latency", "base", "--input", "12"], "write HEIGHTxWIDTH"),
        (["latency", "base", "--tasks", "segmentation"], "needs its number of channels"),
        (["targets", "coral_ubs"], "did you mean 'coral_usb'?"),
        (["targets", "new", "mine.txt", "--from", "coral_usb"], "end its name with .yaml"),
        (["targets", "new", "mine.yaml", "--from", "coral_ubs"], "did you mean 'coral_usb'?"),
        (["targets", "new", "mine.yaml", "--from", "coral_usb", "--name", "two words"], "name"),
        (
            ["targets", "calibrate", "--measurements", "nowhere.csv", "--from", "coral_usb", "--out", "o.yaml"],
            "nowhere.csv: no such file",
        ),
        (
            ["targets", "calibrate", "--measurements", "few.csv", "--from", "coral_usb", "--out", "o.yaml"],
            "1 measurements are too few",
        ),
    ],
)
def test_each_mistake_is_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picture.tflite").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (tmp_path / "empty.tflite").write_bytes(b"")
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "few.csv").write_text("network,latency_ms\nnet.json,1.5\n")
    write_list(tmp_path / "net.json")
    before = set(tmp_path.iterdir())
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_a_network_in_floating_point_is_refused(run: Run, tmp_path: Path) -> None:
    from ednas.hw.tflite.writer import write_tflite

    write_tflite(load_network(str(write_list(tmp_path / "net.json"))).graph, tmp_path / "float.tflite", dtype="float32")
    code, _, err = run("latency", tmp_path / "float.tflite")
    assert code == 2
    assert "quantise the network first" in err
    assert err.count("\n") == 1
