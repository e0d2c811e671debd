"""Measuring models against each other, and the simulator against what was measured.

Every round starts one fresh process for each entry, one entry after the other, so that what disturbs the machine for a
while disturbs all of them. An entry is a model, or several that run one after another in one process and count as one,
as single-task networks do that together replace a multi-task network.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ednas.exceptions import ConfigError, TargetError
from ednas.files import exists
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.model.simulator import simulate
from ednas.hw.model.target import Target
from ednas.hw.networks import is_architecture, load_network
from ednas.hw.per_operator import Judgement, judge, measure_pieces, worst_first
from ednas.hw.sources.edgetpu import EdgeTpu, compile_tflite, is_compiled
from ednas.hw.sources.litert import LiteRT, Measurement
from ednas.hw.tflite.draft import DType
from ednas.hw.tflite.writer import write_tflite

Device = Literal["cpu", "edgetpu"]

DEFAULT_TARGETS: Mapping[Device, str] = {"cpu": "cpu_generic", "edgetpu": "coral_usb"}
"""The target whose prediction is compared, by device."""

DTYPES: tuple[DType, ...] = ("int8", "float32")
"""Types of elements of the files that are written for architectures."""

_SEPARATOR = "+"
_STEADY = 0.2
"""A spread, or a wait for the processor, of more than this share of the latency is worth a remark."""


@dataclass(frozen=True)
class Model:
    """A model file to be measured.

    Attributes:
        name: What the user called it.
        path: The file.
        graph: Its layers; None where they are not known.
        is_random: Whether it was written with random weights for an architecture or a layer list.
        remark: Why its layers are not known; empty if they are.
    """

    name: str
    path: Path
    graph: LayerGraph | None
    is_random: bool = False
    remark: str = ""

    @property
    def is_onnx(self) -> bool:
        """Whether it runs in ONNX Runtime."""
        return self.path.suffix == ".onnx"


@dataclass(frozen=True)
class Entry:
    """Models that run one after another and count as one.

    Attributes:
        name: What the user called it: the models' names with ``+`` between them.
        models: The models, in the order in which they run.
    """

    name: str
    models: tuple[Model, ...]


@dataclass(frozen=True)
class Result:
    """What was measured of an entry.

    Attributes:
        entry: The entry.
        rounds: The measurement of each round.
        predicted_ms: What the simulator says; None where it cannot tell.
        operators: The operators, those that the simulator misjudges most first; empty if they were not asked for.
        layers: The same by distinct layer.
    """

    entry: Entry
    rounds: tuple[Measurement, ...]
    predicted_ms: float | None = None
    operators: tuple[Judgement, ...] = ()
    layers: tuple[Judgement, ...] = ()

    @property
    def measurement(self) -> Measurement:
        """The rounds as one measurement."""
        return Measurement.merge(self.rounds)

    @property
    def operators_ms(self) -> float:
        """What the operators take that were measured."""
        return sum(row.measured_ms for row in self.operators if row.measured_ms is not None)

    def ratio_to(self, first: Result) -> float:
        """Return how many times the latency of another one this one takes."""
        return self.measurement.latency_ms / first.measurement.latency_ms

    def ratio_range(self, first: Result) -> tuple[float, float]:
        """Return the least and the greatest ratio of a round."""
        pairs = zip(self.rounds, first.rounds, strict=True)
        ratios = [mine.latency_ms / other.latency_ms for mine, other in pairs]
        return min(ratios), max(ratios)


@dataclass(frozen=True)
class Benchmark:
    """Results of entries that were measured round by round.

    Attributes:
        device: Where they ran.
        target: The simulated target that they are compared with.
        runtime: How they were measured; its processes are the rounds.
        results: One for each entry, in the user's order.
        remarks: What to know about the figures, a line each.
    """

    device: Device
    target: str
    runtime: LiteRT
    results: tuple[Result, ...]
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``ednas benchmark --json`` prints."""
        keys = ("threads", "processes", "runs", "warmup")
        return {
            "device": self.device,
            "target": self.target,
            **{key: getattr(self.runtime, key) for key in keys},
            "entries": [_as_dict(result, self.results[0]) for result in self.results],
            "remarks": list(self.remarks),
        }


def run_benchmark(
    sources: Sequence[str],
    target: Target,
    *,
    device: Device = "cpu",
    runtime: LiteRT | None = None,
    edge_tpu: EdgeTpu | None = None,
    per_operator: bool = False,
    heads: Mapping[str, int] | None = None,
    input_size: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Benchmark:
    """Measure models, round by round.

    Args:
        sources: The entries: TFLite and ONNX files and whatever else :func:`ednas.hw.networks.load_network` takes,
            which is written as a TFLite file with random weights; ``A+B`` runs two one after another.
        target: Whose prediction to compare.
        device: ``cpu``, or ``edgetpu``: an attached Coral, for which files are compiled unless they already are.
        runtime: Threads, runs, warm-up runs, and processes, which are the rounds; ``dtype`` is that of the files
            that are written.
        edge_tpu: Where the Coral's compiler and library are.
        per_operator: Also measure each distinct layer on its own; on the CPU only.
        heads: Output channels by task of architectures, see :func:`ednas.hw.networks.load_network`.
        input_size: Height and width for architectures.
        progress: Called with the processes that have ended and all of them.

    Raises:
        TargetError: A model or what runs it is missing, or it cannot be run; ``not measured`` without an Edge TPU.
        EdnasError: A source, an architecture or a choice is wrong.
    """
    runtime = runtime or LiteRT()
    if device == "edgetpu" and per_operator:
        raise ConfigError(
            "--per-operator works on --device cpu only: on an Edge TPU the call of a layer takes longer than the layer"
        )
    total = runtime.processes * (len(sources) + per_operator)
    done = itertools.count(1)

    def advance() -> None:
        if progress:
            progress(next(done), total)

    with tempfile.TemporaryDirectory(prefix="ednas-") as name:
        folder = Path(name)
        load = partial(load_entry, folder=folder, dtype=runtime.dtype, heads=heads, input_size=input_size)
        entries = [load(source) for source in sources]
        models = {model.path: model for entry in entries for model in entry.models}
        remarks = _remarks(list(models.values()), runtime.dtype)
        measure, files = _device(device, list(models), replace(runtime, processes=1), edge_tpu, folder)
        results = [Result(entry, (), _predicted(entry, target, remarks)) for entry in entries]
        for _ in range(runtime.processes):
            for index, result in enumerate(results):
                measured = measure([files[model.path] for model in result.entry.models])
                results[index] = replace(result, rounds=(*result.rounds, measured))
                advance()
        if per_operator:
            results = _judged(results, target, runtime, folder, remarks, advance)
    remarks += _disturbances(results, waits=device == "cpu" and runtime.threads == 1)
    return Benchmark(device, target.name, runtime, tuple(results), tuple(remarks))


def load_entry(
    source: str,
    folder: Path,
    *,
    dtype: DType = "int8",
    heads: Mapping[str, int] | None = None,
    input_size: tuple[int, int] | None = None,
) -> Entry:
    """Return the models that a text means.

    Args:
        source: A model, or several with ``+`` between them.
        folder: Where files are written for what is none.
        dtype: Type of the elements of these files.
        heads: See :func:`ednas.hw.networks.load_network`.
        input_size: See :func:`ednas.hw.networks.load_network`.

    Raises:
        EdnasError: There is no such model, or it is wrong.
    """
    names = [source] if exists(Path(source)) else [name.strip() for name in source.split(_SEPARATOR)]
    if not all(names):
        raise ConfigError(f"'{source}': write models that run one after another as A.tflite+B.tflite")
    return Entry(source, tuple(_load_model(name, folder, dtype, heads, input_size) for name in names))


def _load_model(
    name: str, folder: Path, dtype: DType, heads: Mapping[str, int] | None, input_size: tuple[int, int] | None
) -> Model:
    path = Path(name)
    if path.suffix == ".onnx":
        if not path.is_file():
            raise TargetError(f"{path}: no such file")
        return Model(name, path, None, remark="the simulator reads no ONNX files")
    if not is_architecture(name):  # what is chosen for the architectures among the models
        heads = input_size = None
    try:
        network = load_network(name, heads=heads, input_size=input_size)
    except TargetError as error:
        if path.suffix == ".tflite" and path.is_file():  # it may run all the same
            return Model(name, path, None, remark=str(error))
        raise
    if network.model is not None:
        return Model(name, network.model, network.graph)
    path = folder / f"model{len(list(folder.iterdir()))}.tflite"
    write_tflite(network.graph, path, dtype=dtype)
    # Read back, since the file has operators of its own, for example between quantisations.
    return Model(name, path, load_network(str(path)).graph, is_random=True)


def _device(
    device: Device, paths: Sequence[Path], runtime: LiteRT, edge_tpu: EdgeTpu | None, folder: Path
) -> tuple[Callable[[Sequence[Path]], Measurement], dict[Path, Path]]:
    """Return what measures on a device, and the files that it takes by the users' files."""
    if device == "cpu":
        return runtime.measure_files, {path: path for path in paths}
    stick = replace(edge_tpu or EdgeTpu(), runtime=runtime)
    is_attached = bool(stick.devices())  # without one, the first measurement says so: nothing is compiled in vain
    files = {}
    for number, path in enumerate(paths):
        if path.suffix == ".onnx":
            raise TargetError(f"{path}: an Edge TPU runs TFLite files; export it with --format litert --int8")
        files[path] = path
        if is_attached and not is_compiled(path):
            place = folder / f"compiled{number}"
            place.mkdir()
            files[path], _ = compile_tflite(path, place, stick.compiler)
    return stick.measure_files, files


def _predicted(entry: Entry, target: Target, remarks: list[str]) -> float | None:
    try:
        costs = [simulate(model.graph, target) for model in entry.models if model.graph is not None]
    except TargetError as error:
        remarks.append(f"{entry.name}: no prediction: {error}")
        return None
    return sum(cost.latency_ms for cost in costs) if len(costs) == len(entry.models) else None


def _remarks(models: Sequence[Model], dtype: str) -> list[str]:
    random = list(dict.fromkeys(model.name for model in models if model.is_random))
    remarks = [f"{model.name}: no prediction: {model.remark}" for model in models if model.remark]
    if random:
        remarks.insert(0, f"written as {dtype} TFLite with random weights, which cost as much: {', '.join(random)}")
    return remarks


def _disturbances(results: Sequence[Result], *, waits: bool) -> list[str]:
    """Return remarks on what is not steady; ``waits``: whether waiting for the processor is a disturbance."""
    measured = {result.entry.name: result.measurement for result in results}
    unsteady = [name for name, one in measured.items() if one.spread_ms > _STEADY * one.latency_ms]
    waiting = [name for name, one in measured.items() if one.latency_ms > (1 + _STEADY) * one.processor_ms]
    remarks = []
    if unsteady:
        names = ", ".join(unsteady)
        remarks.append(
            f"not steady, processes differ by more than {100 * _STEADY:.0f} %: {names}; use more --processes"
        )
    if waits and waiting:
        remarks.append(
            f"the machine does other things: {', '.join(waiting)} waited for the processor; compare processor times, "
            "or measure on an idle machine"
        )
    return remarks


def _judged(
    results: Sequence[Result],
    target: Target,
    runtime: LiteRT,
    folder: Path,
    remarks: list[str],
    advance: Callable[[], None],
) -> list[Result]:
    """Return results with their operators."""
    graphs = {model.path: model.graph for result in results for model in result.entry.models if model.graph is not None}
    measured = measure_pieces(graphs.values(), runtime, folder, remarks, advance)
    judged = []
    for result in results:
        parts = [graphs[model.path] for model in result.entry.models if model.path in graphs]
        operators, layers = judge(parts, target if result.predicted_ms is not None else None, measured)
        for model in result.entry.models:
            if model.is_onnx:
                profile = runtime.profile_onnx(model.path)
                operators += [Judgement(op, count, None, ms) for op, (count, ms) in profile.items()]
        judged.append(replace(result, operators=worst_first(operators), layers=worst_first(layers)))
    return judged


def _as_dict(result: Result, first: Result) -> dict[str, Any]:
    measurement = result.measurement
    return {
        "name": result.entry.name,
        "models": [{"name": model.name, "random_weights": model.is_random} for model in result.entry.models],
        "latency_ms": measurement.latency_ms,
        "spread_ms": measurement.spread_ms,
        "rounds_ms": [one.latency_ms for one in result.rounds],
        "models_ms": list(measurement.parts_ms or (measurement.latency_ms,)),
        "processor_ms": measurement.processor_ms,
        "peak_memory_kb": measurement.peak_memory_kb,
        "ratio": result.ratio_to(first),
        "ratio_range": list(result.ratio_range(first)),
        "predicted_ms": result.predicted_ms,
        "operators": [vars(row) for row in result.operators],
        "layers": [vars(row) for row in result.layers],
    }
