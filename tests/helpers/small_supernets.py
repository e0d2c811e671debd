"""A space of small networks, and its supernet, which trains for four steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ednas.arch import SearchSpace, SpaceConfig
from ednas.training import TrainConfig
from ednas.training.supernet.train import train_supernet
from helpers.small_searches import small_search
from helpers.small_training import small_architecture

SPACE = SearchSpace(small_architecture(), SpaceConfig(kinds=("ibn",), multipliers=(0.5, 1.0)))
NETWORKS = [
    SPACE.decode([number >> place & 1 for place in range(len(SPACE.decisions))]).to_text() for number in range(6)
]


def small_config(**changes: Any) -> TrainConfig:
    """Return how single networks are trained, with another recipe."""
    training = small_search().train_config(small_architecture())
    recipe = training.recipe.model_copy(update={"log_every": 1, "checkpoint_every": 1, **changes})
    return training.model_copy(update={"recipe": recipe})


def small_supernet(
    folder: Path, *, steps: int = 4, callbacks: Sequence[Any] = (), networks: Sequence[str] = NETWORKS, **changes: Any
) -> Path:
    """Train a supernet and return its folder."""
    train_supernet(
        small_config(**changes), SPACE, networks, folder, steps=steps, at_once=2, device="cpu", callbacks=callbacks
    )
    return folder
