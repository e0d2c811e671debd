"""The table of a check says what a user can act on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from helpers.checks import small_check
from helpers.reports import show

from ednas.report.tables.check import check_remarks, check_tables
from ednas.search.check import BY_LOSS, Check, Floor


@pytest.fixture
def check() -> Check:
    return small_check()


def test_the_table_shows_figures_and_verdicts(check):
    text = "".join(show(table) for table in check_tables(check))
    row = check.rows[0]
    assert f"{row.tau.value:.2f} [{row.tau.low:.2f}, {row.tau.high:.2f}]" in text
    for fact in ("proxy [bold]x[/bold]", "trust", "1 min 15 s", "1 h 06 min", "Tau, depth", "reference: 800 steps"):
        assert fact in text
    assert "do not trust" not in text  # a cost has no verdict


def test_remarks_say_what_is_trusted_and_what_the_reference_allows(check):
    lines = list(check_remarks(check))
    assert "trusted: proxy [bold]x[/bold]" in lines[-2]
    assert "to search by it: --evaluator mine;" in lines[-1]
    assert f"a tau of {2 / math.pi * math.asin(math.sqrt(check.reliability)):.2f}" in lines[0]
    distrusted = replace(check, judged=check.judged[:9], rows=[replace(check.rows[0], verdict="filter only")])
    lines = list(check_remarks(distrusted))
    assert "few networks" in lines[1]
    assert "none is to be trusted" in lines[2]
    assert lines[3] == f"to leave out what {check.rows[0].name} thinks least of: --filter mine"
    proxy = replace(distrusted.rows[0], options="--evaluator proxy")
    by_losses = replace(distrusted.rows[0], options=f"--evaluator predictor {BY_LOSS}")
    assert len(list(check_remarks(replace(distrusted, rows=[proxy, by_losses])))) == 3


def test_a_metric_that_most_trainings_do_not_learn_is_named(check):
    def remarks(short: float, reference: float) -> list[str]:
        floor = Floor("depth", "abs_err", 0.5, short, reference)
        return [line for line in check_remarks(replace(check, floors=[floor])) if line.startswith("depth")]

    assert remarks(0.9, 1.0) == []
    (early,) = remarks(0.25, 0.9)
    assert "(0.5000) are 25% of the networks after the short training, 90% after the longer one" in early
    assert BY_LOSS in early
    (worthless,) = remarks(0.25, 0.5)
    assert "the reference is too early" in worthless
