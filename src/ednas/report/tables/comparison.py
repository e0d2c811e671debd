"""Models against a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ednas.metrics import TaskValues
from ednas.report.content import ComparisonTable
from ednas.report.gains import Cell, Row, overall_rows, task_rows
from ednas.report.labels import MISSING, metric_heading, show_delta
from ednas.report.tables.layout import new_table, per_model


def comparison_table(content: ComparisonTable) -> Table:
    """Return metrics by models: values with their relative gains in percent, and the gains Δ by task and overall.

    A model is a column, so that three tasks fit into a terminal of 80 characters. Gains (Eq. 9-12) are positive where
    the model is better than the baseline. Metrics that do not enter Δ stand below it, without a gain.
    """
    title = f"Gains over {content.baseline}" if content.baseline else "Comparison"
    if content.protocol:
        title += f" (protocol {content.protocol})"
    table = new_table(title, "Task", "Metric", *per_model(*[model.name for model in content.models]))
    for task in content.metrics:
        for number, row in enumerate(task_rows(content, task)):
            style = "dim" if row.kind == "other" else ""
            table.add_row(Text(task if number == 0 else ""), *_cells(row), style=style)
        table.add_section()
    overall, *costs = overall_rows(content, "Params")
    table.add_row("all", *_cells(overall), style="bold", end_section=True)
    for row in costs:
        table.add_row("", *_cells(row))
    return table


def chances_table(names: Sequence[str], chances: Sequence[TaskValues]) -> Table:
    """Return how probable the differences of models from the baseline are by chance, a column each.

    Args:
        names: The models.
        chances: Of each, from :func:`ednas.scoring.paired_p_values`.
    """
    table = new_table("p-values", "Task", "Metric", *per_model(*names))
    rows = dict.fromkeys((task, metric) for model in chances for task, metrics in model.items() for metric in metrics)
    for task, metric in rows:
        values = [model.get(task, {}).get(metric) for model in chances]
        cells = [MISSING if value is None else f"{value:.3f}" for value in values]
        table.add_row(Text(task), Text(metric_heading(metric)), *cells)
    return table


def _cells(row: Row) -> list[Text]:
    """Return a row's heading and values; a gain is in brackets beside its value."""
    if row.kind == "gain":
        return [Text(f"{row.heading} %"), *[_gain(cell.gain) for cell in row.cells]]
    return [Text(row.heading), *[_value(cell) for cell in row.cells]]


def _value(cell: Cell) -> Text:
    text = Text(cell.text)
    return text if cell.gain is None else text.append(" (").append_text(_gain(cell.gain)).append(")")


def _gain(value: float | None) -> Text:
    if value is None:
        return Text("")
    text = show_delta(value)
    return Text(text, "green" if text.startswith("+") else "red" if text.startswith("−") else "")
