"""Measuring in LiteRT, and every way in which the process that runs the network can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import Layer, LayerGraph
from ednas.hw.sources import litert_worker, load_source
from ednas.hw.sources.litert import MISSING, Delegate, LiteRT, Measurement, RunError
from ednas.hw.tflite.reader import load_tflite
from ednas.hw.tflite.writer import write_tflite

QUICK = LiteRT(processes=2, runs=3, warmup=1)


def convolution(side: int, channels: int = 16) -> LayerGraph:
    shape = (side, side, channels)
    layer = Layer("x", "", "CONV_2D", shape, shape, kernel=(3, 3), macs=9 * side * side * channels * channels)
    return LayerGraph((layer,), 1, 1)


def python_that(does: str, folder: Path) -> str:
    """A stand-in for the Python that runs the worker."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{does}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


class TestMeasured:
    @pytest.fixture(autouse=True)
    def _needs_runtime(self) -> None:
        pytest.importorskip("ai_edge_litert")

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", ["int8", "float32"])
    def test_a_network_takes_time_and_a_far_larger_one_more(self, dtype) -> None:
        source = LiteRT(processes=2, runs=3, warmup=1, dtype=dtype)
        small, large = source.measure(convolution(8)), source.measure(convolution(128, 32))
        assert 0 < small.latency_ms < large.latency_ms
        assert small.processor_ms < large.processor_ms
        assert small.spread_ms >= 0
        assert (small.runs, small.processes) == (3, 2)

    def test_a_cost_names_the_source_and_how_it_was_measured(self) -> None:
        cost = QUICK.cost(convolution(8))
        assert cost.target == "litert"
        assert cost.latency_ms > 0
        assert "median of 3 runs, least of 2 processes" in cost.notes[0]
        assert cost.layers == ()

    def test_a_file_is_measured_instead_of_the_graph(self, tmp_path: Path) -> None:
        write_tflite(convolution(64), tmp_path / "large.tflite", dtype="float32")
        large = QUICK.measure(convolution(4), tmp_path / "large.tflite")
        assert large.latency_ms > QUICK.measure(convolution(4)).latency_ms

    @pytest.mark.slow
    def test_a_file_of_another_type_than_asked_for_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.tflite"
        write_tflite(convolution(8), path)
        with pytest.raises(TargetError, match=r"x\.tflite: computes int8, litert:float32 measures float32"):
            load_source("litert:float32").cost(load_tflite(path), path)
        assert "int8, 1 thread" in QUICK.cost(load_tflite(path), path).notes[1]
        write_tflite(convolution(8), path, dtype="float32")
        with pytest.raises(TargetError, match=r"x\.tflite: computes float32, litert:int8 measures int8"):
            load_source("litert:int8").cost(load_tflite(path), path)
        assert "float32, 1 thread" in QUICK.cost(load_tflite(path), path).notes[1]

    def test_the_memory_is_a_figure_of_the_cost(self) -> None:
        cost = QUICK.cost(convolution(64))
        assert cost.peak_memory_kb is not None
        assert f"{cost.peak_memory_kb / 1024:.1f} MiB" in cost.notes[0]

    def test_what_is_no_model_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "x.tflite").write_text("no model", encoding="utf-8")
        with pytest.raises(RunError, match=r"x\.tflite: LiteRT cannot run it: ") as caught:
            QUICK.measure_file(tmp_path / "x.tflite")
        assert caught.value.kind == "model"
        assert "\n" not in str(caught.value)

    def test_a_truncated_model_is_one_line(self, tmp_path: Path) -> None:
        path = tmp_path / "x.tflite"
        write_tflite(convolution(8), path)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(TargetError, match=r"x\.tflite") as caught:
            QUICK.measure_file(path)
        assert "\n" not in str(caught.value)

    def test_a_custom_operator_is_named(self, shared_data: Path) -> None:
        (path,) = (shared_data / "coral").glob("posenet*.tflite")
        with pytest.raises(RunError, match="PosenetDecoderOp"):
            QUICK.measure_file(path)

    def test_a_delegate_without_its_library_says_which(self, tmp_path: Path) -> None:
        write_tflite(convolution(8), tmp_path / "x.tflite")
        with pytest.raises(RunError, match=r"libmissing\.so\.1") as caught:
            QUICK.measure_file(tmp_path / "x.tflite", Delegate("libmissing.so.1", {"device": "usb"}))
        assert caught.value.kind == "library"

    def test_the_process_that_measures_needs_neither_torch_nor_ednas(self, tmp_path: Path) -> None:
        code = (
            f"import runpy, sys; worker = runpy.run_path({litert_worker.__file__!r});"
            "from ai_edge_litert.interpreter import Interpreter;"
            "print([name for name in ('torch', 'ednas') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestProcess:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        path = tmp_path / "x.tflite"
        write_tflite(convolution(4), path)
        return path

    @pytest.mark.parametrize(
        ("does", "message"),
        [
            ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
            ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
            ("raise SystemExit(3)", "ended with code 3"),
            ("import sys; print('a', file=sys.stderr); print('bad alloc', file=sys.stderr)", r": bad alloc$"),
            ("print('no answer')", "ended with code 0"),
            ("print(17)", "ended with code 0"),
        ],
    )
    def test_its_death_is_one_line(self, does: str, message: str, model: Path, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=message) as caught:
            LiteRT(python=python_that(does, tmp_path)).measure_file(model)
        assert caught.value.kind == "process"
        assert "\n" not in str(caught.value)

    def test_a_hang_ends(self, model: Path, tmp_path: Path) -> None:
        source = LiteRT(python=python_that("import time; time.sleep(60)", tmp_path), timeout_s=0.2)
        with pytest.raises(RunError, match=r"no result after 0\.2 s"):
            source.measure_file(model)

    def test_a_missing_python_is_one_line(self, model: Path) -> None:
        with pytest.raises(RunError, match="cannot start /no/python: No such file"):
            LiteRT(python="/no/python").measure_file(model)

    @pytest.mark.parametrize(
        ("message", "shown"),
        [("No module named 'ai_edge_litert'", MISSING), ("libX11.so: cannot open", "LiteRT cannot be loaded: libX11")],
    )
    def test_a_missing_runtime_says_how_to_get_it(self, message: str, shown: str, model: Path, tmp_path: Path) -> None:
        answer = {"error": "package", "message": message}
        with pytest.raises(TargetError) as caught:
            LiteRT(python=python_that(f"import json; print(json.dumps({answer}))", tmp_path)).measure_file(model)
        assert str(caught.value).startswith(shown)

    def test_the_quickest_process_counts(self, model: Path, tmp_path: Path) -> None:
        latencies = tmp_path / "latencies"
        latencies.write_text("7 5 6", encoding="utf-8")
        does = (
            f"import json, pathlib; path = pathlib.Path({str(latencies)!r}); first, *rest = path.read_text().split();"
            "path.write_text(' '.join(rest)); print('INFO: noise');"
            "print(json.dumps({'latency_ms': float(first), 'processor_ms': 4.0, 'peak_memory_kb': None}))"
        )
        measurement = LiteRT(python=python_that(does, tmp_path)).measure_file(model)
        assert measurement == Measurement(5.0, 2.0, 4.0, runs=30, processes=3, peak_memory_kb=None)


def test_a_file_that_is_gone_again_is_not_named(tmp_path: Path) -> None:
    does = (
        "import json, sys; (model,) = json.loads(sys.argv[-1])['models'];"
        "print(json.dumps({'error': 'model', 'message': 'no', 'model': model}))"
    )
    source = LiteRT(python=python_that(does, tmp_path))
    with pytest.raises(RunError, match=r"^the network: LiteRT cannot run it: no$") as caught:
        source.measure(convolution(4))
    assert caught.value.kind == "model"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"x\.tflite: no such file"):
        LiteRT().measure(convolution(4), tmp_path / "x.tflite")


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"processes": 0}, {"runs": 0}, {"warmup": -1}])
def test_counts_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(TargetError, match="must be at least"):
        LiteRT(**wrong)
