"""Tables for other places than the terminal: LaTeX (booktabs), Markdown, and CSV for spreadsheets and pandas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ednas.files import csv_text
from ednas.metrics import TaskValues
from ednas.report.content import ComparisonTable

_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "−": "$-$",
        "×": r"$\times$",
        "Δ": r"$\Delta$",
        "°": r"$^\circ$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "δ": r"$\delta$",
        "²": "$^2$",
        "³": "$^3$",
    }
)

CSV_COLUMNS = ("model", "task", "metric", "unit", "value", "std", "gain_percent", "p_value")


def latex(table: Table) -> str:
    """Return a table as a ``tabular`` for the package booktabs; its title is a comment."""
    places = "".join("r" if column.justify == "right" else "l" for column in table.columns)
    header, *rows = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in cells(table)]
    lines = [f"% {_plain(table.title)}", rf"\begin{{tabular}}{{{places}}}", r"\toprule", header, r"\midrule"]
    for number, (row, line) in enumerate(zip(table.rows, rows, strict=True), start=1):
        lines += [line, *([r"\midrule"] if row.end_section and number < len(rows) else [])]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def markdown(table: Table) -> str:
    """Return a table in Markdown, below its title."""
    rule = ["---:" if column.justify == "right" else "---" for column in table.columns]
    header, *rows = ([cell.replace("|", r"\|") for cell in row] for row in cells(table))
    lines = [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
    return "\n".join([f"**{_plain(table.title)}**", "", *lines])


def comparison_csv(content: ComparisonTable, chances: Sequence[TaskValues]) -> str:
    """Return a comparison as CSV: a line for each model, task and metric, numbers in full.

    Args:
        content: The comparison.
        chances: p-values of all models but the baseline, in their order.
    """
    return csv_text(CSV_COLUMNS, _comparison_rows(content, chances)).rstrip("\n")


def _comparison_rows(content: ComparisonTable, chances: Sequence[TaskValues]) -> Iterator[dict[str, Any]]:
    by_model = iter(chances)
    for model in content.models:
        p_values = {} if model.delta is None else next(by_model)
        for task, metrics in content.metrics.items():
            for metric in metrics:
                yield {
                    "model": model.name,
                    "task": task,
                    "metric": metric,
                    "unit": content.units.get(task, {}).get(metric, ""),
                    "value": model.values.get(task, {}).get(metric),
                    "std": model.spread.get(task, {}).get(metric),
                    "gain_percent": model.metric_deltas.get(task, {}).get(metric),
                    "p_value": p_values.get(task, {}).get(metric),
                }
            yield {"model": model.name, "task": task, "gain_percent": model.task_deltas.get(task)}
        yield {"model": model.name, "gain_percent": model.delta}


def cells(table: Table) -> Iterator[list[str]]:
    """Yield the headings and then the rows, as plain texts."""
    yield [_plain(column.header) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        yield [_plain(cell) for cell in row]


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell or "")
