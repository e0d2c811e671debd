"""What was measured of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ednas.metrics import NO_NETWORK, TaskValues
from ednas.report.labels import show_number
from ednas.report.metrics import metric_rows
from ednas.report.tables.layout import names, new_table, numbers


def metrics_table(metrics: Mapping[str, Any], spread: TaskValues | None = None) -> Table:
    """Return what was measured of one model: of each task the paper's metrics, then the others.

    Beside them stands what the mean training label of each pixel scores, where it was measured.

    Args:
        metrics: Content of a ``metrics.json``, from :func:`ednas.training.evaluate`.
        spread: Standard deviations over several runs.
    """
    beside = [NO_NETWORK] if metrics.get("trivial", {}).get("tasks") else []
    value = "Value" if spread is None else "Mean ± std"
    table = new_table("Metrics", "Task", "Metric", *numbers(value, *beside))
    for task, rows in metric_rows(metrics, spread).items():
        for number, row in enumerate(rows):
            trivial = [row.trivial] if beside else []
            table.add_row(Text(task if number == 0 else ""), Text(row.heading), row.value, *trivial)
        table.add_section()
    return table


def classes_table(task: str, classes: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Return a task's metrics by class in percent; a dash where a class does not occur."""
    table = new_table(f"{task} by class", *names("Class"), *numbers("IoU %", "Acc. %"))
    for name, values in classes.items():
        table.add_row(Text(name), show_number(values["iou"]), show_number(values["acc"]))
    return table
