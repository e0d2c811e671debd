"""A small network, small data and small runs, so that the tests of training take seconds."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import SIZE, TARGETS, small_architecture, write_dataset

from ednas.training import Recipe, TrainConfig, build_model


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def build():
    """Makes the small model for some tasks."""

    def make(tasks=("segmentation", "depth", "normals"), seed=0, **options):
        return build_model(small_architecture(), tasks, TARGETS, input_size=SIZE, seed=seed, dataset="tiny", **options)

    return make


@pytest.fixture
def short() -> Recipe:
    return Recipe(steps=8, batch_size=4, learning_rate=1e-2, checkpoint_every=3, log_every=2, input_size=SIZE)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """The dataset.yaml of a tiny dataset."""
    return write_dataset(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def config(tiny_data, tmp_path_factory, monkeypatch) -> TrainConfig:
    """A run of a second on the tiny data."""
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    return TrainConfig(
        architecture=small_architecture().to_dict(),
        data=str(tiny_data),
        tasks=("segmentation", "depth"),
        recipe=Recipe(steps=6, batch_size=4, learning_rate=1e-2, input_size=SIZE, checkpoint_every=2, log_every=2),
    )
