"""Labels that mean what a model has learned: renumbered by name, or refused."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers.memory_dataset import SIZE, TARGETS, MemoryDataset
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.data import TargetInfo
from ednas.data.cache import CachedSplit, open_cache
from ednas.data.loader import BatchLoader, load_samples
from ednas.data.matching import match_labels
from ednas.data.sample import VOID
from ednas.exceptions import DataError

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> CachedSplit:
    return open_cache(MemoryDataset(), SIZE, tmp_path_factory.mktemp("cache"))


def learned(**changes: TargetInfo) -> dict[str, TargetInfo]:
    return {**TARGETS, **changes}


def test_the_same_labels_stay_what_they_are(split: CachedSplit) -> None:
    matched = match_labels(split, TARGETS)
    assert not matched.class_tables
    assert matched.info == split.info


@settings(max_examples=examples(20))
@given(order=st.permutations(NAMES))
def test_classes_in_another_order_are_matched_by_name(split: CachedSplit, order: list[str]) -> None:
    ours = TargetInfo("labels", num_classes=5, class_names=tuple(order))
    matched = match_labels(split, learned(segmentation=ours))
    assert matched.info.targets["segmentation"] == ours
    stored, seen = (load_samples(each, range(7))["segmentation"].numpy() for each in (split, matched))
    assert ((stored == VOID) == (seen == VOID)).all()
    valid = stored != VOID
    assert (np.array(NAMES)[stored[valid]] == np.array(order)[seen[valid]]).all()
    again = match_labels(matched, learned(segmentation=ours))
    assert (load_samples(again, range(7))["segmentation"].numpy() == seen).all()


def test_it_holds_for_parts_other_processes_and_training(split: CachedSplit) -> None:
    ours = TargetInfo("labels", num_classes=5, class_names=NAMES[::-1])
    matched = match_labels(split, learned(segmentation=ours))
    part = pickle.loads(pickle.dumps(matched.select(np.arange(7) > 3, "part")))
    assert part.info.targets["segmentation"] == ours
    stored = load_samples(split, [4, 5, 6])["segmentation"]
    expected = np.where(stored == VOID, VOID, 4 - stored)
    assert (load_samples(part, range(3))["segmentation"].numpy() == expected).all()
    ours_batch, theirs = (BatchLoader(each, 7, seed=1).batch(0)["segmentation"].numpy() for each in (matched, split))
    assert (ours_batch == np.where(theirs == VOID, VOID, 4 - theirs)).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"segmentation": TargetInfo("labels", 4, NAMES[:4])}, "another segmentation .*: num_classes 4, not 5"),
        ({"segmentation": TargetInfo("labels", 5, ("a", "b", "car", "d", "e"))}, "class 2 is 'car', not 'c'"),
        ({"segmentation": TargetInfo("labels", 5, ("a", "a", "c", "d", "e"))}, "class 1 is 'a', not 'b'"),
        ({"depth": TargetInfo("distance", unit="mm")}, "another depth .*: unit 'mm', not 'm'"),
        ({"depth": TargetInfo("disparity", unit="m")}, "another depth .*: kind 'disparity', not 'distance'"),
        ({"segmentation": TargetInfo("distance", unit="m")}, "kind 'distance', not 'labels'"),
    ],
)
def test_what_means_something_else_is_refused(split: CachedSplit, changes: dict[str, TargetInfo], said: str) -> None:
    with pytest.raises(DataError, match=said):
        match_labels(split, learned(**changes))
    (name,) = changes
    others = {other: info for other, info in TARGETS.items() if other != name}
    assert match_labels(split, others).info == split.info  # a target that nobody reads does not matter


def test_classes_without_names_are_taken_to_be_the_same(split: CachedSplit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        matched = match_labels(split, learned(segmentation=TargetInfo("labels", 5)))
    assert not matched.class_tables
    assert "only the dataset names the classes of segmentation" in caplog.text
    unnamed = dataclasses.replace(split, info=dataclasses.replace(split.info, targets={
        **TARGETS, "segmentation": TargetInfo("labels", 5)
    }))  # fmt: skip
    with caplog.at_level(logging.WARNING):
        match_labels(unnamed, TARGETS)
    assert "only the model names the classes of segmentation" in caplog.text
    with pytest.raises(DataError, match="num_classes 4, not 5"):
        match_labels(split, learned(segmentation=TargetInfo("labels", 4)))


def test_a_target_that_is_missing_is_left_to_the_reader(split: CachedSplit, tmp_path: Path) -> None:
    assert match_labels(split, {"edges": TargetInfo("labels", 2)}).info == split.info
