"""Operators measured one by one, beside what the simulator says of them.

LiteRT tells Python no times of single operators (ONNX Runtime does). So each distinct layer is written as a model of
its own with random weights, all of them are run one after another, and a layer counts as often as the network has it.
What a call costs, which a network pays once, is measured with an operator on one number and subtracted. A ``PAD`` is
measured together with the convolution that reads it, since LiteRT runs both as one. Limits: a layer finds its input in
no cache, though in a network the layer before has just written it, which matters for float32; an operator of two inputs
reads the same tensor twice; a busy machine interrupts short calls more seldom than a whole network.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.hw.graph import ops
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph, sides_text
from ednas.hw.model.simulator import simulate
from ednas.hw.model.target import Target
from ednas.hw.sources.litert import LiteRT, Measurement, RunError
from ednas.hw.tflite.writer import write_tflite

_PADDED = ("CONV_2D", "DEPTHWISE_CONV_2D")
"""Operators that LiteRT runs together with the ``PAD`` before them."""

_CALL = LayerGraph((Layer("call", "", "ADD", (1, 1, 1), (1, 1, 1), inputs=(GRAPH_INPUT, GRAPH_INPUT)),), 0, 0)
"""A network that does nothing, to measure what a call costs."""


@dataclass(frozen=True)
class Judgement:
    """What the simulator says of layers of one kind beside what was measured.

    Attributes:
        name: The operator (``CONV_2D 3x3``), or the layer with its shapes.
        count: How often the network has them.
        predicted_ms: What the simulator says; None where it was not asked.
        measured_ms: What they took; None where they could not be measured on their own.
    """

    name: str
    count: int
    predicted_ms: float | None
    measured_ms: float | None

    @property
    def error_ms(self) -> float | None:
        """By how much the prediction is too high."""
        if self.predicted_ms is None or self.measured_ms is None:
            return None
        return self.predicted_ms - self.measured_ms


def pieces(graph: LayerGraph) -> list[tuple[LayerGraph, tuple[int, ...]]]:
    """Return what is measured on its own, equal where it costs the same, and the layers that it stands for."""
    readers: defaultdict[int, list[Layer]] = defaultdict(list)
    for layer in graph.layers:
        for producer in set(layer.inputs):
            readers[producer].append(layer)

    def is_fused(index: int) -> bool:
        only = readers[index][0] if len(readers[index]) == 1 and index not in graph.outputs else None
        return graph.layers[index].op == "PAD" and only is not None and only.op in _PADDED

    found = []
    for index, layer in enumerate(graph.layers):
        if is_fused(index):
            continue
        before = [producer for producer in layer.inputs if producer >= 0 and is_fused(producer)]
        first = [_alone(graph.layers[producer], (GRAPH_INPUT,)) for producer in before]
        last = _alone(layer, (0,) if before else (GRAPH_INPUT,) * len(layer.inputs))
        found.append((LayerGraph((*first, last), 0, 0), (*before, index)))
    return found


def _alone(layer: Layer, inputs: tuple[int, ...]) -> Layer:
    return replace(layer, name=layer.op.lower(), scope="", inputs=inputs)


def measure_pieces(
    graphs: Iterable[LayerGraph], runtime: LiteRT, folder: Path, remarks: list[str], advance: Callable[[], None]
) -> dict[LayerGraph, float]:
    """Return the ms of the distinct pieces that can be measured on their own.

    Args:
        graphs: The networks.
        runtime: How to measure.
        folder: Where files are written.
        remarks: What could not be measured is added, a line each.
        advance: Called after each process.
    """
    distinct = list(dict.fromkeys(piece for graph in graphs for piece, _ in pieces(graph)))
    if not distinct:
        return {}
    paths: dict[LayerGraph, Path] = {}
    for piece in (*distinct, _CALL):
        path = folder / f"piece{len(paths)}.tflite"
        try:
            write_tflite(piece, path, dtype="float32" if piece.layers[-1].is_float else "int8")
        except TargetError as error:
            remarks.append(f"not measured on its own: {error}")
        else:
            paths[piece] = path
    rounds = []
    try:
        for _ in range(runtime.processes):
            rounds.append(replace(runtime, processes=1).measure_files(list(paths.values())))
            advance()
    except RunError as error:
        remarks.append(f"operators were not measured: {error}")
        return {}
    merged = Measurement.merge(rounds)
    *times_ms, call_ms = merged.parts_ms or (merged.latency_ms,)
    return {piece: max(ms - call_ms, 0.0) for piece, ms in zip(paths, times_ms, strict=False)}


def judge(
    graphs: Sequence[LayerGraph], target: Target | None, measured: Mapping[LayerGraph, float]
) -> tuple[list[Judgement], list[Judgement]]:
    """Return what is said of each operator and of each distinct piece.

    Args:
        graphs: The networks.
        target: Whose prediction to compare; None: nothing is predicted.
        measured: What pieces took, in ms.
    """
    counts: Counter[LayerGraph] = Counter()
    predicted: defaultdict[LayerGraph, float] = defaultdict(float)
    for graph in graphs:
        costs = simulate(graph, target).layers if target is not None else ()
        for piece, indices in pieces(graph):
            counts[piece] += 1
            if costs:
                predicted[piece] += sum(costs[index].latency_ms for index in indices)
    rows = {
        piece: Judgement(
            _operator(piece.layers[-1]),
            count,
            predicted.get(piece),
            count * measured[piece] if piece in measured else None,
        )
        for piece, count in counts.items()
    }
    return _by_operator(list(rows.values())), [replace(row, name=_text(piece)) for piece, row in rows.items()]


def _by_operator(rows: Sequence[Judgement]) -> list[Judgement]:
    """Add up rows of the same operator; those that were not measured stay apart."""
    groups: defaultdict[tuple[str, bool], list[Judgement]] = defaultdict(list)
    for row in rows:
        groups[row.name, row.measured_ms is None].append(row)
    return [
        Judgement(
            name,
            sum(row.count for row in group),
            _total([row.predicted_ms for row in group]),
            _total([row.measured_ms for row in group]),
        )
        for (name, _), group in groups.items()
    ]


def _total(values: Sequence[float | None]) -> float | None:
    """Return the sum; None if one is missing."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def worst_first(rows: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """Sort by misjudgement, then by time; what was not measured comes last."""

    def order(row: Judgement) -> tuple[float, float]:
        return -abs(row.error_ms or 0.0), -(row.measured_ms or 0.0)

    return tuple(sorted(rows, key=order))


def _operator(layer: Layer) -> str:
    """Return the operator's name; convolutions of different windows are different work."""
    has_window = layer.op in ops.CONVOLUTIONS and layer.op not in ops.RECURRENT
    return f"{layer.op} {sides_text(layer.kernel)}" if has_window else layer.op


def _text(piece: LayerGraph) -> str:
    first, last = piece.layers[0], piece.layers[-1]
    stride = f" stride {last.stride}" if last.stride > 1 else ""
    pad = "PAD and " if first is not last else ""
    return f"{pad}{_operator(last)} {sides_text(first.input)} to {sides_text(last.output)}{stride}"
