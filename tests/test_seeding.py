"""Named streams stay the same for good: stored searches and trainings rest on them."""

from __future__ import annotations

import doctest

import ednas.seeding
from ednas.seeding import derive_seed


def test_values_stay_what_stored_runs_were_made_with() -> None:
    assert derive_seed(0, "batch", 12) == 2307216079647889531
    assert derive_seed(7) == 4359823973405836615


def test_streams_do_not_meet() -> None:
    seeds = {derive_seed(seed, name, step) for seed in range(20) for name in ("batch", "augment") for step in range(50)}
    assert len(seeds) == 20 * 2 * 50
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_example_in_the_docstring_holds() -> None:
    assert doctest.testmod(ednas.seeding).failed == 0
