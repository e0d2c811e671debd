"""Axes: values lie between the ends, ticks are round and on the axis."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.report.axis import Axis, axis_step


@pytest.mark.parametrize(
    ("value", "step"), [(1, 1), (1.01, 2), (2, 2), (3, 5), (7, 10), (0.03, 0.05), (0.2, 0.2), (4200, 5000)]
)
def test_steps_are_the_least_round_number_that_is_large_enough(value: float, step: float) -> None:
    assert axis_step(value) == pytest.approx(step)


@given(st.floats(1e-12, 1e12))
def test_a_step_is_at_most_two_and_a_half_times_too_large(value: float) -> None:
    assert value * (1 - 1e-6) <= axis_step(value) <= 2.5 * value * (1 + 1e-6)


@given(st.floats(-1e6, 1e6), st.floats(0.1, 1e6))
def test_a_linear_axis_divides_its_length_as_its_values(first: float, length: float) -> None:
    axis = Axis(first, first + length, 300, 100)
    assert [axis(first + share * length) for share in (0, 0.25, 1)] == pytest.approx([300, 250, 100], abs=1e-3)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(99.99 <= axis(tick) <= 300.01 for tick in ticks)
    steps = {round((b - a) / (ticks[1] - ticks[0]), 6) for a, b in itertools.pairwise(ticks)}
    assert steps == {1}


@pytest.mark.parametrize(
    ("first", "last", "ticks"),
    [(0, 3, [1, 10, 100, 1000]), (-0.4, 0.8, [0.5, 1, 2, 5]), (0, 9, [1, 100, 1e4, 1e6, 1e8])],
)
def test_a_logarithmic_axis_is_marked_at_powers_of_ten_or_between(first: float, last: float, ticks: list) -> None:
    axis = Axis(first, last, 0, 60, is_logarithmic=True)
    assert axis.ticks() == pytest.approx(ticks)
    assert axis(10**first) == pytest.approx(0)
    assert axis(10 ** ((first + last) / 2)) == pytest.approx(30)
