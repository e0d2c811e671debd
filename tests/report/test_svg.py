"""Drawings are well-formed whatever they are told, and axes have round steps."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from helpers.reports import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from ednas.report.svg import Canvas, axis_step, shorten


def test_every_text_and_value_is_escaped() -> None:
    canvas = Canvas(100, 50, HOSTILE)
    canvas.rect(0, 0, 10, 10, HOSTILE, hint=HOSTILE)
    canvas.circle(5, 5, 2, "#fff", hint=HOSTILE)
    canvas.text(1, 2, HOSTILE, bold=True, angle=30, anchor="end")
    canvas.path("M0 0")
    tree = ET.fromstring(canvas.render())
    tags = [element.tag.rpartition("}")[2] for element in tree.iter()]
    assert set(tags) == {"svg", "title", "rect", "circle", "text", "path"}
    texts = [element.text for element in tree.iter() if element.text and element.text.strip()]
    assert texts == [HOSTILE] * 4


@pytest.mark.parametrize(
    ("value", "step"), [(1, 1), (1.01, 2), (2, 2), (3, 5), (7, 10), (0.03, 0.05), (0.2, 0.2), (4200, 5000)]
)
def test_steps_are_the_least_round_number_that_is_large_enough(value: float, step: float) -> None:
    assert axis_step(value) == pytest.approx(step)


@given(st.floats(1e-12, 1e12))
def test_a_step_is_at_most_two_and_a_half_times_too_large(value: float) -> None:
    assert value * (1 - 1e-6) <= axis_step(value) <= 2.5 * value * (1 + 1e-6)


def test_only_what_is_longer_is_cut() -> None:
    assert shorten("segmentation", 12) == "segmentation"
    assert shorten("segmentation", 5) == "segm…"
