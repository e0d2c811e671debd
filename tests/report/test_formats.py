from __future__ import annotations

import csv
import io

import pytest
from rich.table import Table
from rich.text import Text

from ednas.metrics import ModelMetrics, TaskValues
from ednas.report.comparison import tabulate
from ednas.report.formats import CSV_COLUMNS, comparison_csv, latex, markdown

BASELINE = ModelMetrics("single", "standard", {"depth": {"rel_err": 0.3, "rmse": 0.5}}, units={"depth": {"rmse": "m"}})
MODELS = [
    ModelMetrics("first", "standard", {"depth": {"rel_err": 0.15}}),
    ModelMetrics('a, "b"', "standard", {"depth": {"rel_err": 0.6}}),
]


@pytest.fixture
def table() -> Table:
    table = Table(title=Text("50 % of A_1"))
    table.add_column("Task")
    table.add_column(Text("a|b & c"), justify="right")
    table.add_row("depth", Text("0.2 ± 0.1 (−5.0)"), end_section=True)
    table.add_row(Text("seg"), "{x} \\ #1")
    return table


def test_latex_escapes_what_latex_reads(table: Table) -> None:
    assert latex(table).splitlines() == [
        "% 50 % of A_1",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Task & a|b \& c \\",
        r"\midrule",
        r"depth & 0.2 $\pm$ 0.1 ($-$5.0) \\",
        r"\midrule",
        r"seg & \{x\} \textbackslash{} \#1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_markdown_keeps_cells_apart(table: Table) -> None:
    assert markdown(table).splitlines() == [
        "**50 % of A_1**",
        "",
        r"| Task | a\|b & c |",
        "| --- | ---: |",
        "| depth | 0.2 ± 0.1 (−5.0) |",
        "| seg | {x} \\ #1 |",
    ]


def test_csv_holds_every_number_in_full() -> None:
    chances: list[TaskValues] = [{"depth": {"rel_err": 1 / 3}}, {}]
    rows = list(csv.DictReader(io.StringIO(comparison_csv(tabulate(BASELINE, MODELS), chances))))
    assert tuple(rows[0]) == CSV_COLUMNS
    found = {(row["model"], row["task"], row["metric"]): row for row in rows}
    assert float(found["first", "depth", "rel_err"]["p_value"]) == 1 / 3
    assert float(found["first", "depth", "rel_err"]["gain_percent"]) == pytest.approx(50)
    assert found['a, "b"', "depth", "rel_err"]["p_value"] == ""
    assert float(found['a, "b"', "", ""]["gain_percent"]) == pytest.approx(-100)
    assert found["single", "depth", "rmse"]["unit"] == "m"
    assert found["single", "", ""]["gain_percent"] == ""
