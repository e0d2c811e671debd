"""Models against a baseline as rows, for the terminal's table and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ednas.metrics import scored_metrics
from ednas.report.content import ComparisonTable
from ednas.report.labels import MISSING, metric_heading, show_count, show_latency, show_metric


@dataclass(frozen=True)
class Cell:
    """What a row says of one model: a number, and a relative gain in percent."""

    text: str
    gain: float | None = None


@dataclass(frozen=True)
class Row:
    """A row of the comparison.

    Attributes:
        heading: What it is.
        kind: A metric that enters Δ, Δ itself, or something beside it: another metric, a cost.
        cells: One for each model.
    """

    heading: str
    kind: Literal["metric", "gain", "other"]
    cells: tuple[Cell, ...]


def task_rows(table: ComparisonTable, task: str) -> list[Row]:
    """Return the metrics that enter a task's Δ, Δ, and the metrics beside it."""
    metrics = table.metrics[task]
    scored = scored_metrics(metrics)
    gains = Row("Δ", "gain", tuple(Cell("", model.task_deltas.get(task)) for model in table.models))
    above = [_metric_row(table, task, metric, "metric") for metric in scored]
    below = [_metric_row(table, task, metric, "other") for metric in metrics if metric not in scored]
    return [*above, gains, *below]


def overall_rows(table: ComparisonTable, params: str) -> list[Row]:
    """Return Δ over the tasks, and what the models cost; a cost that no model has is left out.

    Args:
        table: The comparison.
        params: What parameters are called.
    """
    gains = Row("Δ", "gain", tuple(Cell("", model.delta) for model in table.models))
    costs = {
        "Latency ms": [show_latency(model.latency_ms) for model in table.models],
        params: [show_count(model.params) for model in table.models],
        "Shared parameters": [show_count(model.params_shared) for model in table.models],
        "MACs": [show_count(model.macs) for model in table.models],
        "Runs": [show_count(model.runs) for model in table.models],
        "Training s": [
            MISSING if model.training_seconds is None else f"{model.training_seconds:.0f}" for model in table.models
        ],
    }
    known = {heading: texts for heading, texts in costs.items() if set(texts) != {MISSING}}
    return [gains, *[Row(heading, "other", tuple(map(Cell, texts))) for heading, texts in known.items()]]


def _metric_row(table: ComparisonTable, task: str, metric: str, kind: Literal["metric", "other"]) -> Row:
    cells = []
    for model in table.models:
        value, spread = (values.get(task, {}).get(metric) for values in (model.values, model.spread))
        gain = model.metric_deltas.get(task, {}).get(metric)
        cells.append(Cell(show_metric(metric, value, spread), gain))
    unit = table.units.get(task, {}).get(metric, "")
    return Row(metric_heading(metric, table.higher_is_better, unit), kind, tuple(cells))
