"""Telling by their values in what unit depths are stored, which nobody may have named."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ednas.data.cache import CachedSplit
from ednas.data.sample import DEPTHS, valid_pixels

_SHORTEST = 0.05
"""Metres: the mean depth of no usual scene is less."""

_UNITS = (("metres", 1.0, 100.0), ("centimetres", 0.01, 500.0), ("millimetres", 0.001, 1e6))
"""Name, metres, and the mean of stored values up to which it is the likely one: scenes of some metres are usual."""

_OTHER_SCALE = 10.0
"""Ratio of two datasets' mean depths from which on one is probably stored in another unit."""

_LOOKED_AT = 200


def likely_unit(mean: float) -> tuple[str, float] | None:
    """Guess from the mean of stored distances the name of their unit and its metres; None: no usual scene fits."""
    if not mean >= _SHORTEST:
        return None
    return next(((name, metres) for name, metres, largest in _UNITS if mean < largest), None)


def mean_depths(split: CachedSplit) -> dict[str, float]:
    """Return the mean label of each target that is a depth, over samples spread evenly; those without are absent."""
    rows = split.rows[:: max(1, len(split.rows) // _LOOKED_AT)]
    means = {}
    for name, info in split.info.targets.items():
        if info.kind in DEPTHS:
            total, count = 0.0, 0
            for row in rows:  # one at a time: large images would take gigabytes
                values = split.targets[name][row]
                measured = values[valid_pixels(values, info)]
                total, count = total + float(measured.sum(dtype=np.float64)), count + len(measured)
            if count:
                means[name] = total / count
    return means


def other_scales(ours: Mapping[str, float], theirs: Mapping[str, float]) -> list[str]:
    """Say which means (:func:`mean_depths`) of what a network was trained on, and meets now, are far apart."""
    pairs = {name: (ours[name], theirs[name]) for name in ours if theirs.get(name, 0) > 0 < ours[name]}
    return [
        f"{name}: the labels' mean is {now:.4g}, where the network was trained on {then:.4g}: is the scale right?"
        for name, (then, now) in pairs.items()
        if max(then, now) > _OTHER_SCALE * min(then, now)
    ]
