"""Searches that train for two steps."""

from __future__ import annotations

from typing import Any

from ednas.search import SearchConfig
from ednas.training import TrainConfig

_SMALL: dict[str, Any] = {
    "data": "streets",
    "data_options": {"count": 6, "size": [32, 64]},
    "recipe": {"name": "mini", "steps": 2, "batch_size": 2, "input_size": [32, 64]},
    "space": {"kinds": ["ibn"], "kernel_sizes": [3, 5], "multipliers": [0.5, 1.0]},
    "controller": {"options": {"population_size": 2, "tournament_size": 2}},
    "trials": 4,
    "executor": "inline",
    "device": "cpu",
}


def small_search(**changes: Any) -> SearchConfig:
    """Return a search with other values than the usual ones; those of its training stand beside its own."""
    values = {**_SMALL, **changes}
    training = {key: values.pop(key) for key in TrainConfig.model_fields if key in values}
    return SearchConfig.model_validate({"training": training, **values})
