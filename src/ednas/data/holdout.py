"""A part of the training split that is not trained on: what searches and recipes are judged by, in place of ``val``.

Whether a sample is held out depends on its name alone: it stays where it is when samples are added, on every machine
and for every seed, so that what was judged before and after can be compared.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ednas.data.cache import CachedSplit
from ednas.exceptions import ConfigError

SHARE = 0.1
"""Share of the training split that is held out."""

HELD_OUT = "train (held out)"
"""Name of the part, where a result says on what it was measured."""


def hold_out(cached: CachedSplit, share: float = SHARE) -> tuple[CachedSplit, CachedSplit]:
    """Divide a split into a part to train on and a part to measure on, about ``share`` of it; neither is empty.

    Raises:
        ConfigError: The split has fewer than 2 samples.
    """
    if len(cached) < 2:
        raise ConfigError(f"dataset {cached.info.name}: {len(cached)} training sample cannot be divided; give more")
    places = np.array([_place(cached.sources[row]) for row in cached.rows])
    # Of a handful of samples perhaps none falls below the share, or all do.
    limit = np.clip(share, places.min(), np.partition(places, -2)[-2])
    held = places <= limit
    return cached.select(~held, cached.split), cached.select(held, HELD_OUT)


def _place(name: str) -> float:
    """Return a number from 0 to 1 that is a sample's own."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
