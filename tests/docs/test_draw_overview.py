from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "draw_overview.py"
PICTURES = runpy.run_path(str(SCRIPT))["draw_pictures"]()


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_of_the_documentation_are_up_to_date(name):
    assert SCRIPT.with_name(name).read_text(encoding="utf-8") == PICTURES[name], "run: python docs/draw_overview.py"


def test_the_overview_is_self_contained_and_described():
    drawing = PICTURES["overview.svg"]
    root = ElementTree.fromstring(drawing)
    assert root.find("{http://www.w3.org/2000/svg}title").text
    assert root.attrib["role"] == "img"
    assert not any(word in drawing for word in ("href", "url(", "<script"))
