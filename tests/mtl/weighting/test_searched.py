"""Weights that are found before a run."""

from __future__ import annotations

import pytest
from helpers.weightings import make

from ednas.exceptions import ConfigError
from ednas.mtl.weighting import WeightingConfig


def test_it_is_for_whole_runs():
    with pytest.raises(ConfigError, match="is for whole runs"):
        make("searched", 2)


def test_its_options_are_completed():
    assert WeightingConfig(name="searched").complete().options == {"trials": 5, "share": 0.5, "spread": 3.0}
    with pytest.raises(ConfigError, match="trials"):
        WeightingConfig(name="searched", options={"trials": 1}).complete()
