"""Runs below one another."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from ednas.hw.quantities import QUANTITIES
from ednas.metrics import scored_metrics
from ednas.report.labels import metric_label, show_metric, show_number
from ednas.report.overview import RunRow, State
from ednas.report.tables.layout import names, new_table

_STYLES = {State.RUNNING: "cyan", State.FINISHED: "green", State.BROKEN_OFF: "yellow", State.DAMAGED: "red"}


def runs_table(rows: Iterable[RunRow]) -> Table:
    """Return a row for each run: what it is, how far it is, and its main figures."""
    table = new_table(
        "Runs", *names("Run", "Kind"), "State", *names("Data", "Network", "Progress", "Result"), "Changed"
    )
    for row in rows:
        table.add_row(
            Text(str(row.path)),
            str(row.kind),
            Text(row.state, _STYLES[row.state]),
            Text(row.data),
            Text(_network(row)),
            _progress(row),
            Text(row.problem or _result(row)),
            row.changed.strftime("%Y-%m-%d %H:%M"),
        )
    return table


def _network(row: RunRow) -> str:
    """Return the network of a training; of a search, from how many it chooses, and for which device."""
    if not row.target:
        return row.network
    space = "" if row.space is None else f", 1 of 2^{math.log2(row.space):.3g}"
    return f"{row.network}{space} for {row.target}"


def _progress(row: RunRow) -> str:
    """Return ``400/800 steps (2 seeds)`` or ``30/32 trials (1 failed, 4 pruned)``."""
    if row.done is None:
        return ""
    planned = "" if row.planned in (None, row.done) else f"/{row.planned:,}"
    remarks = [f"{count} {what}" for what, count in (("failed", row.failed), ("pruned", row.pruned)) if count]
    remarks += [f"{row.seeds} seeds"] if row.seeds > 1 else []
    return f"{row.done:,}{planned} {row.unit}" + (f" ({', '.join(remarks)})" if remarks else "")


def _result(row: RunRow) -> str:
    """Return reward, accuracy and latency of a search; of a training the first scored metric of each task."""
    if "reward" in row.figures:
        shown = [f"{name} {show_number(row.figures.get(name), 4)}" for name in ("reward", "accuracy")]
        latency = row.figures.get("latency_ms")
        return ", ".join([*shown, *([] if latency is None else [QUANTITIES["latency_ms"].show(latency)])])
    tasks: dict[str, list[str]] = {}
    for figure in row.figures:
        task, _, metric = figure.rpartition(".")
        tasks.setdefault(task, []).append(metric)
    return ", ".join(_metric(task, scored_metrics(metrics)[0], row) for task, metrics in tasks.items())


def _metric(task: str, metric: str, row: RunRow) -> str:
    label = metric_label(metric)
    return f"{task} {label.title} {show_metric(metric, row.figures[f'{task}.{metric}'])} {label.unit}".rstrip()
