"""How fast networks are: estimated for the paper's device, and measured in int8 on this computer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

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

FILE = "speed.json"


class Rounds(StrictModel):
    """What was measured on this computer.

    Attributes:
        latency_ms: By the key of each row, the latency of each round, all its networks one after another.
    """

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
    known = load_rounds(out)
    if not rows or (known is not None and all(len(known.latency_ms.get(row.key, ())) >= rounds for row in rows)):
        return
    if find_spec("ai_edge_litert") is None:
        if announce is not None:
            announce(f"{MISSING}, to measure speed on this computer; it is estimated alone")
        return
    folder = out / "speed"
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for row in rows:
        files = [folder / f"{row.key}_{number}.tflite" for number in range(len(row.networks))]
        for file, network in zip(files, row.networks, strict=True):
            write_tflite(_graph(network), file, dtype="int8")
        entries.append("+".join(map(str, files)))
    found = run_benchmark(entries, load_target("cpu_generic"), runtime=LiteRT(processes=rounds))
    latencies = {
        row.key: tuple(one.latency_ms for one in result.rounds) for row, result in zip(rows, found.results, strict=True)
    }
    write_json(out / FILE, Rounds(latency_ms=latencies).model_dump(mode="json"))


def load_rounds(out: Path) -> Rounds | None:
    """Return what was measured on this computer; None where nothing was.

    Raises:
        CheckpointError: The file is damaged.
    """
    file = out / FILE
    return parse(Rounds, read_json(file, CheckpointError), str(file), CheckpointError) if file.is_file() else None


def describe_speed(row: NetworkRow, runs: int, rounds: Sequence[float]) -> dict[int, TaskValues]:
    """Return the latencies of each round: estimated, which is always the same, and measured, where that was done."""
    source = load_source(TARGET)
    costs = [source.cost(_graph(network)) for network in row.networks]
    estimated = {
        "latency_ms": sum(cost.latency_ms for cost in costs),
        "latency_p10_ms": sum(cost.latency_p10_ms or cost.latency_ms for cost in costs),
        "latency_p90_ms": sum(cost.latency_p90_ms or cost.latency_ms for cost in costs),
        "streamed_mb": sum((cost.streamed_bytes or 0) / 1e6 for cost in costs),
    }
    measured: list[TaskValues] = [{HERE: {"latency_ms": value}} for value in rounds[:runs]]
    measured += [{}] * (runs - len(measured))
    return {number: {TARGET: estimated, **own} for number, own in enumerate(measured)}


def _graph(network: PlainNetwork) -> LayerGraph:
    heads = {task: DEFAULT_HEADS[task] for task in network.tasks}
    return load_network(network.architecture, heads=heads, input_size=COST_SIZE).graph
