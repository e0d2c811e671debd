"""Trainings of a few steps, of one seed and of two."""

from __future__ import annotations

import shutil

import pytest
from helpers.small_training import SIZE, small_architecture, write_dataset

from ednas.training import Recipe, TrainConfig, train, train_runs


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with data, a cache, a run ``one`` and two runs ``two``."""
    root = tmp_path_factory.mktemp("trained")
    data = write_dataset(root / "data")
    recipe = Recipe(
        steps=6, batch_size=4, learning_rate=1e-2, input_size=SIZE, checkpoint_every=2, log_every=1, evaluate_every=2
    )
    config = TrainConfig(architecture=small_architecture().to_dict(), data=str(data), recipe=recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDNAS_CACHE", str(root / "cache"))
        train(config, root / "one", device="cpu")
        train_runs(config, root / "two", runs=2, device="cpu")
    return root


@pytest.fixture
def one(trained, tmp_path, monkeypatch):
    """A copy of the run, to change."""
    monkeypatch.setenv("EDNAS_CACHE", str(trained / "cache"))
    return shutil.copytree(trained / "one", tmp_path / "one")


@pytest.fixture
def two(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("EDNAS_CACHE", str(trained / "cache"))
    return shutil.copytree(trained / "two", tmp_path / "two")
