"""The page of a check: what the table says, and each network."""

from __future__ import annotations

import html
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.checks import NAME, small_check

from ednas.report.check_page import CheckReport, draw_intervals, draw_scatter, render_check, write_check_report
from ednas.search.agreement import Interval
from ednas.search.check import Check


@pytest.fixture
def check() -> Check:
    return small_check()


def test_it_says_what_the_table_says_and_nothing_breaks_out(check: Check, tmp_path: Path) -> None:
    page = write_check_report(CheckReport("Check of <x>", check, "data: <y>"), tmp_path / "report.html").read_text()
    row = check.rows[0]
    for fact in (f"{row.tau.value:.2f} [{row.tau.low:.2f}, {row.tau.high:.2f}]", html.escape(NAME), "data: &lt;y&gt;"):
        assert fact in page
    assert "<b>" not in page
    assert "<x>" not in page
    assert page.count("<svg") == 1 + len(check.rows)
    assert 'href="http' not in page


def test_intervals_are_where_their_values_are(check: Check) -> None:
    row = replace(check.rows[0], tau=Interval(0.5, 0.0, 1.0), tau_in_band=Interval(math.nan, math.nan, math.nan))
    picture = draw_intervals(replace(check, rows=[row]))
    zero, one = (float(re.search(rf'x="([\d.]+)"[^>]*>{tick}<', picture)[1]) for tick in ("0", "1"))
    (x,) = (float(place) for place in re.findall(r'<circle cx="([\d.]+)"', picture))
    assert x == pytest.approx((zero + one) / 2)
    assert f"{zero:g}," in picture
    assert f"{NAME}: 0.50 [0.00, 1.00]" in html.unescape(picture)


def test_networks_are_drawn_by_their_ranks(check: Check) -> None:
    agreed = replace(check.rows[0], values=[own.log_accuracy for own in check.judged])
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', draw_scatter(check, agreed))
    assert len(places) == 32
    by_rank = sorted((float(x), -float(y)) for x, y in places)
    assert [y for _, y in by_rank] == sorted(y for _, y in by_rank)
    equal = replace(agreed, values=[1.0] * 32)
    assert len({x for x, _ in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', draw_scatter(check, equal))}) == 1


def test_a_check_without_doubles_has_no_ceiling(check: Check) -> None:
    page = render_check(CheckReport("Check", replace(check, reliability=math.nan), ""))
    assert "ceiling nan" not in page
