"""The convention of all readers: what is valid, what is void, and when two targets mean the same."""

from __future__ import annotations

import numpy as np
import pytest

from ednas.data.sample import VOID, TargetInfo, no_label, valid_pixels
from ednas.exceptions import DataError

LABELS = TargetInfo("labels", 3, ("floor", "wall", "bed"))
DEPTH, NORMALS = TargetInfo("distance", unit="m"), TargetInfo("normals")


@pytest.mark.parametrize("info", [LABELS, DEPTH, TargetInfo("disparity"), NORMALS], ids=lambda info: info.kind)
def test_no_label_is_valid_nowhere(info: TargetInfo) -> None:
    empty = no_label(info, (4, 6))
    assert empty.shape[:2] == (4, 6)
    assert valid_pixels(empty, info).tolist() == [[False] * 6] * 4


def test_pixels_are_valid_by_kind() -> None:
    assert valid_pixels(np.array([[0, 2, VOID]], np.uint8), LABELS).tolist() == [[True, True, False]]
    assert valid_pixels(np.array([[0.0, 0.5, 80.0]]), DEPTH).tolist() == [[False, True, True]]
    assert valid_pixels(np.array([[[0, 0, 0], [0, 0, -1.0]]]), NORMALS).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (LABELS, ""),
        (DEPTH, "kind 'labels', not 'distance'"),
        (TargetInfo("labels", 4, LABELS.class_names), "num_classes 3, not 4"),
        (TargetInfo("labels", 3, ("floor", "door", "bed")), "class 1 is 'wall', not 'door'"),
        (TargetInfo("labels", 3), "only one of them names its classes"),
    ],
)
def test_the_first_difference_is_named(other: TargetInfo, said: str) -> None:
    assert LABELS.difference(other) == said


def test_units_are_compared() -> None:
    assert DEPTH.difference(TargetInfo("distance", unit="mm")) == "unit 'm', not 'mm'"


@pytest.mark.parametrize("fields", [{"class_names": ("floor", "wa\x1bll")}, {"unit": "m\n"}])
def test_names_do_not_act_on_the_terminal(fields: dict) -> None:
    with pytest.raises(DataError, match="holds control characters"):
        TargetInfo("labels", 2, **fields)
