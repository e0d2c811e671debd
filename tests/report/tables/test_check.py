"""The table of a check says what a user can act on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.reports import show

from ednas.report.tables.check import check_remarks, check_tables
from ednas.search.check import Check
from ednas.search.verdict import Scores, judge, measure_reference


@pytest.fixture
def check() -> Check:
    rng = np.random.default_rng(0)
    quality = rng.normal(size=32)
    trainings = [[value + 0.1 * rng.normal(), value + 0.1 * rng.normal()] for value in quality]
    reference = measure_reference(trainings, {"depth": quality.tolist()}, [i % 2 == 0 for i in range(32)])
    scores = [
        Scores("proxy [bold]x[/bold]", quality + 0.2 * rng.normal(size=32), seconds=75.0, once=4000.0),
        Scores("MACs", rng.normal(size=32), is_cost=True),
    ]
    return Check(judge(scores, reference), 32, 16, 32, 200, 800, reference.reliability, reference.noise, 300.0)


def test_the_table_shows_figures_and_verdicts(check):
    text = "".join(show(table) for table in check_tables(check))
    row = check.rows[0]
    assert f"{row.tau.value:.2f} [{row.tau.low:.2f}, {row.tau.high:.2f}]" in text
    for fact in ("proxy [bold]x[/bold]", "trust", "1 min 15 s", "1 h 06 min", "Tau, depth", "reference: 800 steps"):
        assert fact in text
    assert "do not trust" not in text  # a cost has no verdict


def test_remarks_say_what_is_trusted_and_what_the_reference_allows(check):
    lines = list(check_remarks(check))
    assert "trusted: proxy [bold]x[/bold]" in lines[-1]
    assert f"a tau of {2 / math.pi * math.asin(math.sqrt(check.reliability)):.2f}" in lines[0]
    distrusted = replace(check, networks=9, rows=[replace(check.rows[0], verdict="filter only")])
    lines = list(check_remarks(distrusted))
    assert "few networks" in lines[1]
    assert "none is to be trusted" in lines[2]
