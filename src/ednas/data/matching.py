"""Data whose labels mean what a model predicts: what is the same is counted alike, what is not is refused."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ednas.data.cache import CachedSplit
from ednas.data.sample import DatasetInfo, TargetInfo
from ednas.exceptions import DataError

_log = logging.getLogger(__name__)


def match_labels(cached: CachedSplit, expected: Mapping[str, TargetInfo]) -> CachedSplit:
    """Return a split whose labels mean what a model has learned.

    Classes of the same names in another order are renumbered. Where only one side names its classes, they are taken to
    be the same in the same order, with a warning.

    Args:
        cached: The split.
        expected: What the model has learned, by target; a target that the split lacks is left to whoever reads it.

    Raises:
        DataError: As :func:`check_meaning`.
    """
    check_meaning(cached.info, expected)
    found = cached.info.targets
    tables = dict(cached.class_tables)
    for name in expected.keys() & found.keys():
        ours, theirs = expected[name], found[name]
        if _are_renumbered(ours, theirs):
            tables[name] = _table(ours, theirs)
            _log.info("%s: the classes of %s are in another order, and are matched by name", cached.info.name, name)
        elif _are_unnamed(ours, theirs):
            _log.warning(
                "%s: only the %s names the classes of %s; they are taken to be the same, in the same order",
                cached.info.name, "model" if ours.class_names else "dataset", name,
            )  # fmt: skip
    targets = {**found, **{name: expected[name] for name in tables}}
    return dataclasses.replace(cached, info=dataclasses.replace(cached.info, targets=targets), class_tables=tables)


def check_meaning(dataset: DatasetInfo, expected: Mapping[str, TargetInfo]) -> None:
    """Refuse a dataset whose labels mean something else than a model has learned, before any is read.

    Args:
        dataset: What the dataset has.
        expected: As for :func:`match_labels`.

    Raises:
        DataError: A target is of another kind or unit, or has other classes; names the first difference.
    """
    for name in expected.keys() & dataset.targets.keys():
        ours, theirs = expected[name], dataset.targets[name]
        if _are_renumbered(ours, theirs) or _are_unnamed(ours, theirs):
            continue
        if difference := ours.difference(theirs):
            raise DataError(
                f"dataset {dataset.name}: the model predicts another {name} than the dataset has: {difference}; "
                "take data that are labelled as those that it was trained on"
            )


def _are_unnamed(ours: TargetInfo, theirs: TargetInfo) -> bool:
    return bool(ours.class_names) != bool(theirs.class_names) and ours.num_classes == theirs.num_classes


def _are_renumbered(ours: TargetInfo, theirs: TargetInfo) -> bool:
    same_names = sorted(ours.class_names) == sorted(theirs.class_names)
    return same_names and ours.class_names != theirs.class_names and len(set(ours.class_names)) == ours.num_classes


def _table(ours: TargetInfo, theirs: TargetInfo) -> npt.NDArray[np.uint8]:
    """Return our number of each of their classes, ``(256,)``; void stays what it is."""
    table = np.arange(256, dtype=np.uint8)
    table[: len(theirs.class_names)] = [ours.class_names.index(name) for name in theirs.class_names]
    return table
