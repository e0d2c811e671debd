"""Latency measured on this computer's processor in LiteRT, TFLite's runtime, or of ONNX files in ONNX Runtime.

The protocol is made for a machine that does other things too: one thread, the median of many runs after a warm-up, in
several fresh processes one after another (memory lands elsewhere in each), of which the quickest counts, since nothing
makes a processor faster than it is. A process of its own also means that a crash of native code or a hang is an error
of one line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ednas.exceptions import TargetError
from ednas.hw.cost import Cost
from ednas.hw.graph import ops
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.sources import litert_worker
from ednas.hw.sources.base import Source, register_source
from ednas.hw.tflite.draft import DType
from ednas.hw.tflite.writer import network_file
from ednas.processes import describe_end

MISSING = 'LiteRT is not installed; pip install "ednas[litert]"'
MISSING_ONNX = 'ONNX Runtime is not installed; pip install "ednas[onnx]"'


@dataclass(frozen=True)
class Measurement:
    """A latency that was measured.

    Attributes:
        latency_ms: Time of one inference: the least of the processes' medians.
        spread_ms: The greatest of the processes' medians less the least.
        processor_ms: Processor time of one inference, over all threads: the least of the processes' medians.
        runs: Timed runs of each process.
        processes: Processes.
        peak_memory_kb: Most memory, KiB, that loading and running the network added to a process; None where the
            operating system does not tell.
        parts_ms: Where several networks ran one after another, the time of each: the least of the processes' medians.
    """

    latency_ms: float
    spread_ms: float
    processor_ms: float
    runs: int
    processes: int
    peak_memory_kb: float | None
    parts_ms: tuple[float, ...] = ()

    @classmethod
    def merge(cls, measurements: Sequence[Measurement]) -> Measurement:
        """Return what single processes measured as one measurement."""
        latencies = [one.latency_ms for one in measurements]
        peaks = [one.peak_memory_kb for one in measurements if one.peak_memory_kb is not None]
        return cls(
            latency_ms=min(latencies),
            spread_ms=max(latencies) - min(latencies),
            processor_ms=min(one.processor_ms for one in measurements),
            runs=measurements[0].runs,
            processes=len(measurements),
            peak_memory_kb=min(peaks) if len(peaks) == len(measurements) else None,
            parts_ms=tuple(map(min, zip(*[one.parts_ms for one in measurements], strict=True))),
        )

    @property
    def summary(self) -> str:
        """How it was measured and how steady it is, for people."""
        text = (
            f"median of {self.runs} runs, least of {self.processes} processes, which differ by {self.spread_ms:.3g} ms"
        )
        return text if self.peak_memory_kb is None else f"{text}; {self.peak_memory_kb / 1024:.1f} MiB of memory"


@dataclass(frozen=True)
class Delegate:
    """A library that runs parts of a network on other hardware.

    Attributes:
        library: Its name or path.
        options: Its options.
    """

    library: str
    options: Mapping[str, str] = field(default_factory=dict)


class RunError(TargetError):
    """A network could not be run.

    Attributes:
        kind: ``package`` (the runtime is missing), ``library`` or ``device`` (of a delegate), ``model`` or ``process``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class LiteRT(Source):
    """Measures on this computer's processor.

    Attributes:
        threads: Threads of the runtime.
        processes: Fresh processes, one after another.
        runs: Timed runs of each process.
        warmup: Runs before them.
        dtype: Type of the elements of a file that is written for a graph.
        is_strict: Whether files of another type are refused, not measured as they are.
        timeout_s: Patience with one process, seconds.
        python: The Python to run in; another one than this may hold the runtime.
        name: The source's name.
    """

    threads: int = 1
    processes: int = 3
    runs: int = 30
    warmup: int = 5
    dtype: DType = "int8"
    is_strict: bool = False
    timeout_s: float = 300.0
    python: str = sys.executable
    name: str = "litert"

    def __post_init__(self) -> None:
        for key, least in (("threads", 1), ("processes", 1), ("runs", 1), ("warmup", 0)):
            if getattr(self, key) < least:
                raise TargetError(f"{self.name}: {key} is {getattr(self, key)}, must be at least {least}")

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return the measured latency; arguments and errors as in :meth:`measure`.

        Raises:
            TargetError: Also if the file is of another type than the source is to measure.
        """
        dtype = self.dtype if model is None else _dtype(graph)
        if self.is_strict and dtype != self.dtype:
            raise TargetError(
                f"{model}: computes {dtype}, {self.name} measures {self.dtype}; --target litert measures it as it is"
            )
        measurement = self.measure(graph, model)
        where = f"{dtype}, {self.threads} thread{'s' if self.threads > 1 else ''} of this computer"
        notes = (measurement.summary, where)
        return Cost(self.name, measurement.latency_ms, peak_memory_kb=measurement.peak_memory_kb, notes=notes)

    def measure(self, graph: LayerGraph, model: Path | None = None) -> Measurement:
        """Measure a network.

        Args:
            graph: The network; written as a file with random weights if ``model`` is None.
            model: Its TFLite file.

        Raises:
            TargetError: The runtime is missing or cannot run the network, or the process died or hung.
        """
        with network_file(graph, model, self.dtype) as path:
            return self.measure_file(path)

    def measure_file(self, path: Path, delegate: Delegate | None = None) -> Measurement:
        """Measure a TFLite file, on other hardware if a delegate is given; errors as in :meth:`measure`."""
        return self.measure_files((path,), delegate)

    def measure_files(self, paths: Sequence[Path], delegate: Delegate | None = None) -> Measurement:
        """Measure files that run one after another, as one network would; errors as in :meth:`measure`.

        Args:
            paths: TFLite files, or ONNX files (``.onnx``), which run in ONNX Runtime.
            delegate: Runs parts of the TFLite files on other hardware.
        """
        return Measurement.merge([self._measure_once(paths, delegate) for _ in range(self.processes)])

    def profile_onnx(self, path: Path) -> dict[str, tuple[int, float]]:
        """Return how many nodes an ONNX file has of each operator, and their time in ms, as ONNX Runtime tells it.

        The runtime counts after it has rewritten and fused the graph. Errors as in :meth:`measure`.
        """
        results = [self._run((path,), None, profile=True)["operators"] for _ in range(self.processes)]
        return {op: (int(count), min(result[op][1] for result in results)) for op, (count, _) in results[0].items()}

    def _measure_once(self, paths: Sequence[Path], delegate: Delegate | None) -> Measurement:
        result = self._run(paths, delegate)
        return Measurement(
            latency_ms=result["latency_ms"],
            spread_ms=0.0,
            processor_ms=result["processor_ms"],
            runs=self.runs,
            processes=1,
            peak_memory_kb=result["peak_memory_kb"],
            parts_ms=tuple(result["parts_ms"]) if len(paths) > 1 else (),
        )

    def _run(self, paths: Sequence[Path], delegate: Delegate | None, *, profile: bool = False) -> dict[str, Any]:
        for path in paths:
            if not path.is_file():
                raise TargetError(f"{path}: no such file")
        what = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        request = {
            "models": [str(path) for path in paths],
            "threads": self.threads,
            "warmup": self.warmup,
            "runs": self.runs,
            "delegate": delegate and delegate.library,
            "options": dict(delegate.options) if delegate else {},
            "profile": profile,
        }
        # -P: the worker's folder must not hide packages of the same names as ours.
        command = [self.python, "-P", litert_worker.__file__, json.dumps(request)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=self.timeout_s, check=False, errors="replace")
        except subprocess.TimeoutExpired:
            raise RunError(
                "process", f"{what}: no result after {self.timeout_s:g} s; is the network too large?"
            ) from None
        except OSError as error:
            raise RunError("process", f"cannot start {self.python}: {error.strerror}") from error
        answer = _answer(done.stdout)
        if answer is None:
            how = describe_end(done.returncode, done.stderr)
            raise RunError("process", f"{what}: the process that ran it {how}")
        if "error" in answer:
            raise RunError(answer["error"], _explained(answer))
        return answer


def _dtype(graph: LayerGraph) -> str:
    """Return the type that most of a network's work is in: ``int8`` (also for ``uint8``), ``float32``, ..."""
    largest = max(graph.layers, key=lambda layer: (layer.op in ops.CONVOLUTIONS, layer.macs, layer.output_bytes))
    return largest.dtype.replace("uint8", "int8")


def _answer(output: str) -> dict[str, Any] | None:
    """Return the worker's last line, or None if it did not get so far."""
    lines = output.splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _explained(answer: Mapping[str, str]) -> str:
    message = answer["message"]
    if answer["error"] == "package":
        if "onnxruntime" in message:
            return MISSING_ONNX
        return MISSING if "ai_edge_litert" in message else f"LiteRT cannot be loaded: {message}"
    if answer["error"] == "model":
        model = answer["model"]
        return f"{model}: {'ONNX Runtime' if model.endswith('.onnx') else 'LiteRT'} cannot run it: {message}"
    return message


def _named(detail: str) -> LiteRT:
    if detail == "float32":
        return LiteRT(dtype="float32", is_strict=True, name="litert:float32")
    if detail == "int8":
        return LiteRT(is_strict=True, name="litert:int8")
    if detail:
        raise TargetError(f"litert:{detail}: LiteRT measures int8 or float32")
    return LiteRT()


register_source("litert", _named)
