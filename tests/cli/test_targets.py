"""`ednas targets`: what it refuses before it works, and what it tells about a calibration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli import Run
from helpers.ncnn_files import ncnn_text

from ednas.hw import load_target, simulate
from ednas.hw.ncnn.reader import load_ncnn

LAYERS = (
    "op,input,output,latency_ms\nCONV_2D,8x8x8,8x8x8,0.1\nCONV_2D,16x16x8,16x16x8,0.2\nCONV_2D,32x32x8,32x32x8,0.4\n"
)


def measurements(path: Path, *rows: str) -> Path:
    path.write_text("network,latency_ms,input,tasks\n" + "".join(f"{row}\n" for row in rows))
    return path


def calibrate(run: Run, file: Path, *more: object) -> tuple[int, str, str]:
    out = file.with_name("fitted.yaml")
    return run("targets", "calibrate", "--measurements", file, "--from", "coral_usb", "--out", out, *more)


def test_layers_do_not_calibrate_what_no_layer_depends_on(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "layers.csv"
    file.write_text(LAYERS)
    code, _, err = calibrate(run, file)
    assert code == 2
    assert "no measurement depends on a free constant (link.bandwidth_mb_per_s, link.dispatch_ms)" in err
    assert "measure whole networks" in err
    assert err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "fitted.yaml").exists()


def test_a_fit_that_ends_at_its_bound_is_no_measurement(run: Run, tmp_path: Path) -> None:
    rows = [f"base,{latency},{size}," for latency, size in ((400, "64x64"), (420, "64x96"), (430, "96x96"))]
    code, out, err = calibrate(run, measurements(tmp_path / "m.csv", *rows), "--json")
    assert code == 0, err
    result = json.loads(out)
    dispatch = load_target(tmp_path / "fitted.yaml").link.dispatch_ms
    assert dispatch.value == pytest.approx(68, rel=0.05)
    assert (dispatch.provenance, dispatch.source.split(",")[-1]) == ("assumed", " where the fit ended at its bound")
    assert any(
        warning.startswith("link.dispatch_ms: the fit ended at its bound, 100 ") for warning in result["warnings"]
    )
    assert "warning: link.dispatch_ms: the fit ended" in err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["base,1,64x64,", "base,1.1,64x64,"], "2 measurements of 1 network are too few for 2 free constants"),
        (
            ["base,1,64x64,", "base,100000,64x64,", "base,2,96x96,"],
            "base: measured as 1 ms and as 100000 ms, which differ by more than a factor of 3",
        ),
    ],
)
def test_measurements_that_determine_nothing(run: Run, tmp_path: Path, rows: list[str], message: str) -> None:
    code, _, err = calibrate(run, measurements(tmp_path / "m.csv", *rows))
    assert code == 2
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["targets", "--yaml"], "ednas targets NAME --yaml"),
        (["targets", "coral_usb", "--yaml", "--json"], "choose --yaml or --json"),
        (["targets", "new", "my dev.yaml", "--from", "coral_usb"], "my dev.yaml: a target's name is made of letters"),
        (["targets", "new", "my dev.yaml", "--from", "coral_usb"], "give it one with --name"),
        (["targets", "new", "mine.yaml", "--from", "litert"], "--from litert: this source has no numbers"),
        (
            ["targets", "calibrate", "--measurements", "m.csv", "--from", "vela:ethos-u55-256", "--out", "o.yaml"],
            "start from one of `ednas targets`",
        ),
        (
            ["targets", "calibrate", "--measurements", "m.csv", "--from", "coral_usb", "--out", "m.csv/o.yaml"],
            "cannot write m.csv/o.yaml",
        ),
    ],
)
def test_each_mistake_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    measurements(tmp_path / "m.csv", "nowhere.tflite,1,,")
    before = set(tmp_path.iterdir())
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_is_not_writable_is_told_before_the_fit(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("not read yet")
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    out = folder / "o.yaml"
    code, _, err = run(
        "targets", "calibrate", "--measurements", tmp_path / "m.csv", "--from", "coral_usb", "--out", out
    )
    assert code == 2
    assert f"cannot write {out}: Permission denied" in err


def test_the_list_says_what_its_numbers_are(run: Run) -> None:
    out = run("targets")[1]
    assert "7885 weights" in out
    assert "all data" in out
    assert "15 assumed, 2 free" in out


def test_the_size_on_the_device_has_an_option(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "s.yaml"
    config.write_text("training: {data: streets, seed: 3, data: rooms}\n")
    assert "the key 'data' is there already" in run("search", "--config", config)[2]
    config.write_text("training: {data: streets}\n")
    code, _, err = run("search", "--config", config, "--latency-input", "12", "--out", tmp_path / "out")
    assert code == 2
    assert "input size '12'" in err


def test_the_package_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "ednas", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(13, "change the permissions, or choose another place"), (28, "free space"), (24, "ulimit -n")],
)
def test_the_systems_errors_come_with_what_helps(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "net.json")

    monkeypatch.setattr("ednas.hw.targets.files.read_yaml", fail)
    code, _, err = run("targets", tmp_path / "mine.yaml")
    assert code == 2
    assert err.startswith(f"error: net.json: {os.strerror(number)}; ")
    assert remedy in err
    assert ("free space" in err) == (number == 28)
    assert err.count("\n") == 1


def test_a_table_of_several_devices_and_its_networks_calibrate_a_processor(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    rows = ["device,threads,network,min_ms"]
    for number in range(5):
        channels = 16 * (number + 1)
        line = f"Convolution c 1 1 data y 0={channels} 1=1 6={8 * channels}"
        (folder / f"net_{number}.param").write_text(ncnn_text("Input data 0 1 data 0=64 1=64 2=8", line))
        milliseconds = simulate(load_ncnn(folder / f"net_{number}.param"), load_target("cpu_ncnn_fp32")).latency_ms
        rows += [f"Board (A72),1,net_{number},{2 * milliseconds}", f"Board (A72),4,net_{number},{milliseconds}"]
    rows.append("Board (A72),1,missing,1")
    (tmp_path / "latency.csv").write_text("\n".join(rows))
    out = tmp_path / "board.yaml"
    table = ["--measurements", tmp_path / "latency.csv", "--networks", folder, "--latency-column", "min_ms"]
    where = ["--where", "device=Board", "--where", "threads=1"]
    code, _, err = run("targets", "calibrate", *table, *where, "--from", "cpu_ncnn_fp32", "--out", out)
    assert code == 0, err
    assert "warning: left out: " in err
    assert "no file is named 'missing'" in err
    board = load_target(out)
    assert board.errors[0].networks == 5
    code, text, err = run("latency", folder / "net_3.param", "--target", out, "--json")
    assert code == 0, err
    cost = json.loads(text)
    assert cost["latency_ms"] == pytest.approx(float(rows[7].rpartition(",")[2]), rel=0.02)
    assert cost["latency_p10_ms"] <= cost["latency_ms"] * 1.001
    assert "in float32" in cost["notes"][0]
    twice = ["--where", "device=Board", "--where", "device=Other"]
    assert (
        "several texts for one column"
        in run("targets", "calibrate", *table, *twice, "--from", "coral_usb", "-o", out, "--force")[2]
    )
    assert run("targets", "calibrate", *table, "--where", "device", "--from", "cpu_ncnn_fp32", "--out", out)[0] == 2


def test_the_size_of_an_ncnn_network_is_given_where_its_file_leaves_it_open(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "open.param"
    file.write_text(ncnn_text("Input data 0 1 data", "Convolution c 1 1 data y 0=4 1=1 6=12"))
    code, _, err = run("latency", file, "--target", "cpu_ncnn_fp32")
    assert code == 2
    assert "--input HEIGHTxWIDTH" in err
    code, text, _ = run("latency", file, "--target", "cpu_ncnn_fp32", "--input", "32x40", "--json")
    assert (code, json.loads(text)["layers"][0]["macs"]) == (0, 32 * 40 * 12)
    assert run("latency", file, "--target", "cpu_ncnn_fp32", "--input", "32x40", "--tasks", "depth")[0] == 2
