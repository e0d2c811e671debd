"""Drawings are well-formed whatever they say."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from helpers.reports import HOSTILE

from ednas.report.svg import Canvas, shorten


def test_every_text_and_value_is_escaped() -> None:
    canvas = Canvas(100, 50, HOSTILE)
    canvas.rect(0, 0, 10, 10, HOSTILE, hint=HOSTILE)
    canvas.circle(5, 5, 2, "#fff", hint=HOSTILE)
    canvas.text(1, 2, HOSTILE, bold=True, angle=30, anchor="end")
    tree = ET.fromstring(canvas.render())
    tags = [element.tag.rpartition("}")[2] for element in tree.iter()]
    assert set(tags) == {"svg", "title", "rect", "circle", "text"}
    texts = [element.text for element in tree.iter() if element.text and element.text.strip()]
    assert texts == [HOSTILE] * 4


def test_only_what_is_longer_is_cut() -> None:
    assert shorten("segmentation", 12) == "segmentation"
    assert shorten("segmentation", 5) == "segm…"
