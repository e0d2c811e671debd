"""Errors are one line, and names from files do not act on the terminal that shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ednas.arch import load_architecture
from ednas.data import TargetInfo
from ednas.exceptions import ArchitectureError, DataError, EdnasError

HOSTILE = "\x1b]0;title\x07\x9b2Jroad\n"


def test_an_error_writes_control_characters_out() -> None:
    assert str(DataError(f"{HOSTILE}.png: no such file")) == r"\x1b]0;title\x07\x9b2Jroad\n.png: no such file"
    assert str(DataError("dépôt/图.png — 3 µm")) == "dépôt/图.png — 3 µm"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: TargetInfo("labels", 2, ("car", HOSTILE)), DataError),
        (lambda: TargetInfo("distance", unit=HOSTILE), DataError),
        (lambda: replace(load_architecture("base"), name=HOSTILE), ArchitectureError),
    ],
    ids=["class", "unit", "architecture"],
)
def test_names_that_act_on_a_terminal_are_refused(make: Callable[[], object], error: type[EdnasError]) -> None:
    with pytest.raises(error, match=r"\\x1b.* control characters"):
        make()
