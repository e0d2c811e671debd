"""A number of the hardware says where it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from ednas.config import StrictModel, parse
from ednas.exceptions import ConfigError
from ednas.hw.model.figure import Figure, PositiveFigure


class Part(StrictModel):
    """A part with one figure."""

    clock: Figure


KNOWN = {"provenance": "published", "source": "data sheet"}


def test_zero_is_a_figure_but_no_positive_one() -> None:
    assert parse(Figure, {"value": 0, **KNOWN}, "target").value == 0
    with pytest.raises(ConfigError, match="greater than 0"):
        parse(PositiveFigure, {"value": 0, **KNOWN}, "target")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (500, r"write \{value: 500, provenance: measured | published | assumed, source: ...\}"),
        ({"value": -1, **KNOWN}, "greater than or equal to 0"),
        ({"value": float("nan"), **KNOWN}, "finite number"),
        ({"value": "5", **KNOWN}, "valid number"),
        ({"value": 5, "provenance": "guessed", "source": "me"}, "'measured', 'published' or 'assumed'"),
        ({"value": 5, "provenance": "assumed", "source": ""}, "source"),
        ({"value": 5, "provenance": "assumed"}, "source' is missing"),
    ],
)
def test_a_number_without_its_origin_is_refused(content: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(Part, {"clock": content}, "target")
