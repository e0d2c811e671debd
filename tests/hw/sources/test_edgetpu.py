"""The Edge TPU source with stand-ins for what belongs to a Coral: compiler, device and library."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import Layer, LayerGraph
from ednas.hw.sources.edgetpu import Compilation, EdgeTpu, EdgeTpuCompiler, attached_devices, compile_tflite
from ednas.hw.sources.litert import Delegate, Measurement, RunError
from ednas.hw.tflite.writer import write_tflite

MEASURED = Measurement(2.5, 0.1, 0.3, runs=30, processes=3, peak_memory_kb=None)
SHAPE = (8, 8, 16)
GRAPH = LayerGraph((Layer("x", "", "CONV_2D", SHAPE, SHAPE, macs=16 * 16 * 64, weight_bytes=320),), 1024, 1024)

REPORT = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 542 ms.

Input model: network.tflite
Input size: 4.04MiB
On-chip memory used for caching model parameters: 604.50KiB
On-chip memory remaining for caching model parameters: 511.50KiB
Off-chip memory used for streaming uncached model parameters: 3.45MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 50
"""
ON_HOST = """\
Number of operations that will run on Edge TPU: 48
Number of operations that will run on CPU: 2
"""


def compiler(folder: Path, report: str = REPORT, does: str = "") -> Path:
    """A stand-in for the vendor's compiler: writes its output file and a report."""
    path = folder / "edgetpu_compiler"
    path.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        "_, option, folder, model = sys.argv\n"
        "assert option == '-o'\n"
        f"print({report!r})\n"
        f"{does}\n"
        "model = pathlib.Path(model)\n"
        "(pathlib.Path(folder) / f'{model.stem}_edgetpu.tflite').write_bytes(b'edgetpu-custom-op')\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = compiler(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return path


def run(paths: Sequence[Path], delegate: Delegate) -> Measurement:
    (path,) = paths
    assert path.read_bytes() == b"edgetpu-custom-op"
    assert delegate == Delegate("libedgetpu.so.1", {"device": "usb"})
    return MEASURED


def test_a_network_is_compiled_and_run(on_path: Path) -> None:
    cost = EdgeTpu(devices=lambda: ("usb",), run=run).cost(GRAPH)
    assert (cost.target, cost.latency_ms) == ("edgetpu", 2.5)
    assert cost.parameter_bytes == round(604.5 * 1024) + round(3.45 * 1024 * 1024)
    assert cost.streamed_bytes == round(3.45 * 1024 * 1024)
    assert cost.notes[1] == "50 of 50 operators map, 0.59 MiB of parameters stay on the chip, 3.45 MiB are streamed"


def test_a_compiled_file_is_run_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x_edgetpu.tflite"
    path.write_bytes(b"edgetpu-custom-op")
    cost = EdgeTpu(compiler="no_compiler", devices=lambda: ("usb",), run=run).cost(GRAPH, path)
    assert (cost.latency_ms, cost.parameter_bytes) == (2.5, None)


def test_without_a_device_nothing_is_measured_but_the_compiler_is_heard(on_path: Path) -> None:
    with pytest.raises(TargetError, match=r"not measured: no Edge TPU is attached .*1a6e:089a or 18d1:9302") as caught:
        EdgeTpu(devices=tuple, run=run).cost(GRAPH)
    assert "The compiler says: 50 of 50 operators map" in str(caught.value)


def test_without_a_compiler_nothing_is_measured() -> None:
    for source in (EdgeTpu(compiler="no_compiler", devices=lambda: ("usb",), run=run), EdgeTpuCompiler("no_compiler")):
        with pytest.raises(TargetError, match="not measured: no_compiler is not on the PATH; get it from"):
            source.cost(GRAPH)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("library", r"not measured: libedgetpu\.so\.1 cannot be loaded \(reason\); install"),
        ("device", r"not measured: an Edge TPU is attached \(usb\) but cannot be opened \(reason\)"),
        ("process", "^reason$"),
    ],
)
def test_what_fails_at_the_device_is_told_apart(kind: str, message: str, on_path: Path) -> None:
    def fail(paths: Sequence[Path], delegate: Delegate) -> Measurement:
        raise RunError(kind, "reason")

    with pytest.raises(TargetError, match=message):
        EdgeTpu(devices=lambda: ("usb",), run=fail).cost(GRAPH)


def test_the_real_library_is_missing_here_and_said_so(on_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(TargetError, match=r"not measured: libednas-missing\.so cannot be loaded"):
        EdgeTpu(devices=lambda: ("pci",), library="libednas-missing.so").cost(GRAPH)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, ()),
        ({"usb/1-1": ("1a6e", "089a")}, ("usb",)),
        ({"usb/1-1": ("18d1", "9302")}, ("usb",)),
        ({"usb/1-1": ("18d1", "089a"), "usb/1-2": ("1d6b", "0002")}, ()),
        ({"usb/1-1": ("18d1", "9302"), "apex_0": ()}, ("usb", "pci")),
        ({"apex_0": ()}, ("pci",)),
    ],
)
def test_devices_are_found_where_linux_lists_them(files, found: tuple[str, ...], tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).mkdir(parents=True)
        for key, value in zip(("idVendor", "idProduct"), content, strict=False):
            (tmp_path / name / key).write_text(f"{value}\n", encoding="ascii")
    assert attached_devices(tmp_path / "usb", tmp_path) == found


class TestCompiler:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        write_tflite(GRAPH, tmp_path / "network.tflite")
        return tmp_path / "network.tflite"

    def test_its_report_is_read(self, tmp_path: Path, model: Path) -> None:
        path, compilation = compile_tflite(model, tmp_path, str(compiler(tmp_path, REPORT + ON_HOST)))
        assert path == tmp_path / "network_edgetpu.tflite"
        assert compilation == Compilation(round(604.5 * 1024), round(3.45 * 1024 * 1024), 50, 2)
        zero = REPORT.replace("3.45MiB", "0.00B")
        assert compile_tflite(model, tmp_path, str(compiler(tmp_path, zero)))[1].off_chip_bytes == 0

    @pytest.mark.parametrize(
        ("report", "does", "message"),
        [
            ("Version 16\nInvalid model: x.tflite\nModel not quantized\n", "sys.exit(1)", "Model not quantized"),
            ("Version 16\nInternal compiler error. Aborting!\n", "sys.exit(0)", "Internal compiler error"),
            ("", "sys.exit(9)", "refuses it: it ended with code 9"),
            ("Version 99\nall is well", "", "has no 'On-chip memory used"),
        ],
    )
    def test_its_refusal_is_one_line(self, report: str, does: str, message: str, tmp_path: Path, model: Path) -> None:
        with pytest.raises(TargetError, match=message) as caught:
            compile_tflite(model, tmp_path, str(compiler(tmp_path, report, does)))
        assert "\n" not in str(caught.value)

    def test_what_cannot_be_started_is_one_line(self, tmp_path: Path, model: Path) -> None:
        path = tmp_path / "edgetpu_compiler"
        path.write_bytes(b"\x7fELF of another machine")
        path.chmod(0o755)
        with pytest.raises(TargetError, match="cannot start"):
            compile_tflite(model, tmp_path, str(path))

    def test_as_a_source_it_says_that_it_measures_nothing(self, on_path: Path) -> None:
        cost = EdgeTpuCompiler().cost(GRAPH)
        assert cost.target == "edgetpu_compiler"
        assert cost.latency_ms > 0
        assert cost.notes[-1].startswith("not measured: latency simulated (coral_usb); the compiler says: 50 of 50")


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"x\.tflite: cannot be read"):
        EdgeTpu(devices=lambda: ("usb",), run=run).cost(GRAPH, tmp_path / "x.tflite")
