"""How fast networks are: estimated for the paper's device, and measured in int8 on this computer."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from ednas.arch import load_architecture
from ednas.config import StrictModel, parse
from ednas.exceptions import CheckpointError
from ednas.files import read_json, write_json
from ednas.hw import load_target
from ednas.hw.benchmark import run_benchmark
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.networks import DEFAULT_HEADS, load_network
from ednas.hw.sources import load_source
from ednas.hw.sources.litert import MISSING, LiteRT
from ednas.hw.tflite.writer import write_tflite
from ednas.metrics import TaskValues
from ednas.reproduce.scales import COST_SIZE, TARGET
from ednas.reproduce.table import NetworkRow, PlainNetwork

HERE = "here_int8"
"""What stands in the place of a task where this computer is meant."""


class Rounds(StrictModel):
    """What was measured on this computer.

    Attributes:
        computer: Its processor, as far as its system tells.
        latency_ms: By what networks a row has, the latency of each round, all of them one after another.
    """

    computer: str
    latency_ms: dict[str, tuple[float, ...]]


def measure_here(
    rows: Sequence[NetworkRow], out: Path, rounds: int, announce: Callable[[str], None] | None = None
) -> None:
    """Measure networks in turn, round by round, unless that was done; the weights are random, which cost as much.

    Args:
        rows: The networks.
        out: Folder of the whole.
        rounds: How often.
        announce: Called with a line where LiteRT is not installed, so that nothing is measured.

    Raises:
        TargetError: A network cannot be run.
    """
    if all(len(load_rounds(row, out)) >= rounds for row in rows):
        return
    if find_spec("ai_edge_litert") is None:
        if announce is not None:
            announce(f"{MISSING}, to measure speed on this computer; it is estimated alone")
        return
    with tempfile.TemporaryDirectory(prefix="ednas-") as folder:
        entries = []
        for row in rows:
            files = [Path(folder) / f"{row.key}_{number}.tflite" for number in range(len(row.networks))]
            for file, network in zip(files, row.networks, strict=True):
                write_tflite(_graph(network), file, dtype="int8")
            entries.append("+".join(map(str, files)))
        found = run_benchmark(entries, load_target("cpu_generic"), runtime=LiteRT(processes=rounds))
    latencies = {
        _key(row): tuple(one.latency_ms for one in result.rounds)
        for row, result in zip(rows, found.results, strict=True)
    }
    computer = platform.processor() or platform.machine()
    write_json(_file(out), Rounds(computer=computer, latency_ms=latencies).model_dump(mode="json"))


def load_rounds(row: NetworkRow, out: Path) -> tuple[float, ...]:
    """Return the latencies of a row that were measured on this computer, a round each.

    Raises:
        CheckpointError: The file is damaged.
    """
    file = _file(out)
    if not file.is_file():
        return ()
    value = read_json(file, CheckpointError)
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: holds {type(value).__name__}, expected latencies; remove it")
    return parse(Rounds, value, str(file), CheckpointError).latency_ms.get(_key(row), ())


def describe_speed(row: NetworkRow, rounds: Sequence[float]) -> dict[int, TaskValues]:
    """Return the latency that is estimated, once, and those that were measured, a round each."""
    source = load_source(TARGET)
    costs = [source.cost(_graph(network)) for network in row.networks]
    estimated = {
        "latency_ms": sum(cost.latency_ms for cost in costs),
        "latency_p10_ms": sum(cost.latency_p10_ms or cost.latency_ms for cost in costs),
        "latency_p90_ms": sum(cost.latency_p90_ms or cost.latency_ms for cost in costs),
        "streamed_mb": sum((cost.streamed_bytes or 0) / 1e6 for cost in costs),
    }
    measured = {number: {HERE: {"latency_ms": value}} for number, value in enumerate(rounds)}
    return {**measured, 0: {TARGET: estimated, **measured.get(0, {})}}


def _file(out: Path) -> Path:
    return out / "speed" / "rounds.json"


def _key(row: NetworkRow) -> str:
    """Return what tells a row's networks from others."""
    networks = [f"{load_architecture(one.architecture).fingerprint()} {','.join(one.tasks)}" for one in row.networks]
    return f"{COST_SIZE[0]}x{COST_SIZE[1]} {' + '.join(networks)}"


def _graph(network: PlainNetwork) -> LayerGraph:
    heads = {task: DEFAULT_HEADS[task] for task in network.tasks}
    return load_network(network.architecture, heads=heads, input_size=COST_SIZE).graph
