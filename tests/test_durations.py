"""One way to write how long something takes."""

from __future__ import annotations

import pytest

from ednas.durations import show_seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("inf"), "–"),
        (0, "0.0 s"),
        (3.21, "3.2 s"),
        (42, "42 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3725, "1 h 02 min"),
        (7500, "2 h 05 min"),
        (100_000, "27 h 46 min"),
    ],
)
def test_durations(value: float | None, text: str) -> None:
    assert show_seconds(value) == text
