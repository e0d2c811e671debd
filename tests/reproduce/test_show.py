"""Tables and verdicts as people see them."""

from __future__ import annotations

import csv

import pytest

from ednas.report import formats
from ednas.report.comparison import ModelCost
from ednas.reproduce.claims import Verdict
from ednas.reproduce.paper import Printed, PrintedCost
from ednas.reproduce.result import ClaimResult, RowResult, TableResult
from ednas.reproduce.show import claims_table, rows_table, show_verdict, values_csv, verdicts_table


def row(key, *errors, over=None, printed=None, latency=None):
    cost = None if latency is None else ModelCost(latency_ms=latency, params=3_400_000, macs=600_000_000, runs=1)
    seeds = {seed: {"depth": {"abs_err": 0.02, "rel_err": error}} for seed, error in enumerate(errors)}
    return RowResult(key=key, title=f"row {key}", over=over, reading=None, printed=printed, trainings=({},),
                     measured={"standard": seeds, "adashare": {}}, cost=cost)  # fmt: skip


@pytest.fixture
def result():
    printed = Printed({"depth": {"rel_err": 0.35}}, {"depth": {"rel_err": 0.01}}, 8.5, {"depth": 7.9},
                      PrintedCost(4.3, 4.1, 1.3))  # fmt: skip
    verdict = Verdict("holds", "paired t-test", 0.012, 12.5, 2, 2)
    claim = ClaimResult(text="b is better", printed="+12.6", reading="counted", effect="points of Δ",
                        verdicts={"standard": verdict})  # fmt: skip
    unknown = ClaimResult(text="c is better", printed="", reading=None, effect="points", verdicts={})
    return TableResult(
        table="table2", title="Two tasks", scale="mini", command="", wanted=2,
        measured_on={"dataset": "streets", "input_size": [64, 128], "samples": 768},
        rows=(row("a", 0.4, 0.4, latency=6.0), row("b", 0.3, 0.2, over="a", printed=printed, latency=4.0), row("c")),
        claims=(claim, unknown), notes=(), versions={},
    )  # fmt: skip


def cells(table):
    return [*formats.cells(table)]


def test_rows_stand_below_the_papers(result):
    table = rows_table(result)
    assert table.title.plain == "Table 2: Two tasks (scale mini, streets at 64x128)"
    header, a, paper, b = cells(table)
    assert header[:5] == ["Row", "From", "Runs", "Δ %", "Δ depth %"]
    found = dict(zip(header, b, strict=True))
    # abs_err gains nothing, rel_err (25 + 50) / 2 percent on average: half of it, 12.5 and 25 by seed.
    assert found["Δ depth %"] == found["Δ %"] == "+18.8 ± 8.8"
    assert found["Rel. error ↓"] == "0.2500 ± 0.0707"
    assert (found["Params"], found["GFLOP"], found["Latency ms"], found["Speed"]) == ("3.40 M", "1.2", "4.00", "x1.50")
    printed = dict(zip(header, paper, strict=True))
    assert (printed["From"], printed["Δ %"], printed["Rel. error ↓"]) == ("paper", "+8.5", "0.3500 ± 0.0100")
    assert (printed["Params"], printed["Speed"], printed["Abs. error ↓"]) == ("4.30 M", "x1.30", "–")
    assert (a[0], a[1], a[3], a[-1]) == ("row a", "standard", "–", "x1.00")


def test_claims_say_their_test_and_verdict(result):
    _, first, second = cells(claims_table(result))
    assert first == ["b is better (as counted)", "+12.6", "here", "+12.5 points of Δ", "0.012", "2",
                     "paired t-test", "holds"]  # fmt: skip
    assert second[-1] == "undecided (0 of 2 runs)"


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict("undecided", "t", 0.2, 1.0, 3, 3), "undecided"),
        (Verdict("undecided", "t", 0.01, 1.0, 3, 8), "undecided (3 of 8 runs)"),
        (Verdict("does not hold", "t", 0.99, -1.0, 3, 3), "does not hold"),
    ],
)
def test_verdicts(verdict, said):
    assert show_verdict(verdict) == said


def test_all_verdicts_stand_in_one_table(result):
    _, first, second = cells(verdicts_table([result]))
    assert first == ["Table 2", "b is better (as counted)", "+12.6", "+12.5 points of Δ", "holds", "–"]
    assert second == ["", "c is better", "", "–", *["undecided (0 of 2 runs)"] * 2]


def test_what_is_no_metric_says_what_it_is_of(result):
    seeds = {number: {"coral_usb": {"latency_ms": 3.4347}} for number in range(3)}
    plain = RowResult(key="n", title="N", over=None, reading=None, printed=None, trainings=(),
                      measured={"standard": seeds}, cost=None)  # fmt: skip
    header, line = cells(rows_table(result.model_copy(update={"rows": (plain,), "measured_on": {}})))
    assert header == ["Row", "From", "Runs", "Coral ms"]
    assert line == ["N", "here", "3", "3.43"]


def test_csv_has_a_line_for_every_value(result):
    lines = list(csv.DictReader(values_csv([result, result]).splitlines()))
    assert len(lines) == 2 * (2 * 2 * 2 + 1)
    assert lines[-1] == {"table": "table2", "row": "b", "from": "standard", "seed": "1", "task": "depth",
                         "metric": "rel_err", "value": "0.2"}  # fmt: skip
    assert [(line["value"], line["seed"]) for line in lines if line["from"] == "paper"] == [("0.35", "")] * 2
