"""What was measured of one network, as rows for the terminal's table and for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ednas.metrics import TaskValues, scored_metrics
from ednas.report.labels import metric_heading, show_metric


@dataclass(frozen=True)
class MetricRow:
    """One metric of a task.

    Attributes:
        heading: The metric with its unit and its better direction.
        value: Its value, with the spread over several runs where there is one.
        trivial: What the mean training label of each pixel scores; a dash where that was not measured.
    """

    heading: str
    value: str
    trivial: str


def measured_heading(metrics: Mapping[str, Any], task: str, metric: str) -> str:
    """Return a metric's heading with the unit and the direction that a ``metrics.json`` gives it."""
    unit = metrics.get("units", {}).get(task, {}).get(metric, "")
    return metric_heading(metric, metrics.get("higher_is_better", {}), unit)


def metric_rows(metrics: Mapping[str, Any], spread: TaskValues | None = None) -> dict[str, list[MetricRow]]:
    """Return by task its metrics: the paper's, then the others.

    Args:
        metrics: Content of a ``metrics.json``, from :func:`ednas.training.evaluate`.
        spread: Standard deviations over several runs.
    """
    trivial = metrics.get("trivial", {}).get("tasks", {})
    return {
        task: [
            MetricRow(
                heading=measured_heading(metrics, task, metric),
                value=show_metric(metric, values[metric], (spread or {}).get(task, {}).get(metric)),
                trivial=show_metric(metric, trivial.get(task, {}).get(metric)),
            )
            for metric in dict.fromkeys([*scored_metrics(values), *values])
        ]
        for task, values in metrics["tasks"].items()
    }
