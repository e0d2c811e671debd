"""Axes against their definition."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.report.axis import Axis, axis_step

ENDS = st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(lambda ends: (ends[0], ends[0] + ends[1]))
DECADES = st.tuples(st.floats(-6, 6), st.floats(0.1, 8)).map(lambda ends: (ends[0], ends[0] + ends[1]))


def test_the_ends_are_at_the_ends_also_where_it_runs_up_the_picture() -> None:
    assert [Axis(10, 30, 200, 100)(value) for value in (10, 20, 30)] == [200, 150, 100]
    assert [Axis(0, 2, 0, 50, is_logarithmic=True)(value) for value in (1, 10, 100)] == pytest.approx([0, 25, 50])


@given(ENDS)
def test_ticks_are_few_round_and_inside(ends: tuple[float, float]) -> None:
    first, last = ends
    ticks = Axis(first, last, 0, 100).ticks()
    slack = 1e-6 * (last - first)
    assert 2 <= len(ticks) <= 6
    assert all(first - slack <= tick <= last + slack for tick in ticks)
    steps = {round(after - before, 9) for before, after in pairwise(ticks)}
    assert max(steps) - min(steps) <= slack


@given(DECADES)
def test_logarithmic_ticks_are_few_and_inside(ends: tuple[float, float]) -> None:
    first, last = ends
    ticks = Axis(first, last, 0, 100, is_logarithmic=True).ticks()
    assert len(ticks) <= 10
    assert all(first - 1e-6 <= math.log10(tick) <= last + 1e-6 for tick in ticks)


@given(st.floats(1e-9, 1e9))
def test_a_step_is_the_least_round_one(value: float) -> None:
    step = axis_step(value)
    assert value * (1 - 1e-6) <= step <= 2.5 * value * (1 + 1e-6)
    assert f"{step:e}"[0] in "125"


@pytest.mark.parametrize(
    ("value", "step"), [(1, 1), (1.01, 2), (2, 2), (3, 5), (7, 10), (0.03, 0.05), (0.2, 0.2), (4200, 5000)]
)
def test_steps_are_the_least_round_number_that_is_large_enough(value: float, step: float) -> None:
    assert axis_step(value) == pytest.approx(step)
