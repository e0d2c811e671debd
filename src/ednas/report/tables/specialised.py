"""What several devices got out of one supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from ednas.metrics import TaskValues, scored_metrics
from ednas.report.labels import MISSING, metric_heading, show_latency, show_metric
from ednas.report.tables.layout import names, new_table, numbers


@dataclass(frozen=True)
class DeviceRow:
    """What one device got.

    Attributes:
        target: The device.
        latency_ms: Of its network.
        base_ms: Of the base network; None if it was not judged.
        front: How many networks the Pareto front has.
        metrics: Of the fine-tuned network on the validation split, by task.
        higher_is_better: Directions of metrics that are not built in.
        model: The exported model; None where none was asked for.
    """

    target: str
    latency_ms: float
    base_ms: float | None
    front: int
    metrics: TaskValues
    higher_is_better: Mapping[str, bool]
    model: Path | None


def specialised_table(rows: Sequence[DeviceRow]) -> Table:
    """Return a row for each device: latencies, the fine-tuned network's metrics, and the model's file."""
    metrics = {
        (task, metric): metric_heading(metric, row.higher_is_better)
        for row in rows
        for task, values in row.metrics.items()
        for metric in scored_metrics(values)
    }
    figures = numbers("Latency ms", "Base ms", "Front", *metrics.values())
    table = new_table("One supernet, fine-tuned for each device", *names("Device"), *figures, *names("Model"))
    for row in rows:
        table.add_row(
            Text(row.target),
            show_latency(row.latency_ms),
            MISSING if row.base_ms is None else show_latency(row.base_ms),
            str(row.front),
            *(show_metric(metric, row.metrics.get(task, {}).get(metric)) for task, metric in metrics),
            Text(MISSING if row.model is None else str(row.model)),
        )
    table.caption = Text(
        "metrics: on the validation split, after fine-tuning; base: the base network on the same device; front: "
        "networks of the Pareto front, which the device's report.html shows"
    )
    return table
