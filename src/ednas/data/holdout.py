"""A part of the training split that is not trained on: what searches and recipes are judged by, in place of ``val``.

Whether a sample is held out depends on its name alone: it stays where it is when samples are added, on every machine
and for every seed, so that what was judged before and after can be compared. Only where one of the parts would have no
label at all of a task, which may happen to a task with few labels, a sample goes to the other part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ednas.data.cache import CachedSplit
from ednas.data.sample import valid_pixels
from ednas.exceptions import ConfigError

SHARE = 0.1
"""Share of the training split that is held out."""

HELD_OUT = "train (held out)"
"""Name of the part, where a result says on what it was measured."""


def hold_out(cached: CachedSplit, share: float = SHARE, targets: Iterable[str] = ()) -> tuple[CachedSplit, CachedSplit]:
    """Divide a split into a part to train on and a part to measure on, about ``share`` of it; neither is empty.

    Args:
        cached: The split.
        share: Of the samples to measure on.
        targets: Each has a label in both parts.

    Raises:
        ConfigError: The split has fewer than 2 samples, or too few labels of one of ``targets``.
    """
    if len(cached) < 2:
        raise ConfigError(f"dataset {cached.info.name}: {len(cached)} training sample cannot be divided; give more")
    places = np.array([_place(cached.sources[row]) for row in cached.rows])
    # Of a handful of samples perhaps none falls below the share, or all do.
    limit = np.clip(share, places.min(), np.partition(places, -2)[-2])
    held = places <= limit
    names, order = tuple(targets), places.argsort()
    for name in names:
        _share_labels(cached, name, held, order, names)
    for name in names:
        if any(_first_labelled(cached, name, np.flatnonzero(part)) is None for part in (held, ~held)):
            raise ConfigError(
                f"dataset {cached.info.name}: has too few labels of {name} to train on some and to measure on others; "
                "give more"
            )
    return cached.select(~held, cached.split), cached.select(held, HELD_OUT)


def _share_labels(
    cached: CachedSplit,
    target: str,
    held: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int64],
    targets: tuple[str, ...],
) -> None:
    """Move a sample where a part has no label of a target: the one whose place is nearest to the limit.

    A sample stays that has its part's only label of one of ``targets``.
    """
    for to_held, nearest in ((True, order), (False, order[::-1])):
        if _first_labelled(cached, target, nearest[held[nearest] == to_held]) is None:
            part = nearest[held[nearest] != to_held]
            movable = (index for index in part if _can_leave(cached, index, part, targets))
            moved = _first_labelled(cached, target, movable)
            if moved is not None:
                held[moved] = to_held


def _can_leave(cached: CachedSplit, index: int, part: npt.NDArray[np.int64], targets: tuple[str, ...]) -> bool:
    return all(
        _first_labelled(cached, target, [index]) is None
        or _first_labelled(cached, target, part[part != index]) is not None
        for target in targets
    )


def _first_labelled(cached: CachedSplit, target: str, samples: Iterable[int]) -> int | None:
    """Return the first sample with a label; of a target that all samples have, no other is looked at."""
    info, labels = cached.info.targets[target], cached.targets[target]
    return next((index for index in samples if valid_pixels(labels[cached.rows[index]], info).any()), None)


def _place(name: str) -> float:
    """Return a number from 0 to 1 that is a sample's own."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
