"""A small network, small data and small runs, so that the tests of training take seconds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from helpers.small_training import (
    LABELLED,
    SIZE,
    TARGETS,
    Batches,
    small_architecture,
    write_dataset,
)

from ednas.data import open_cache, open_dataset
from ednas.data.sample import no_label
from ednas.training import Recipe, TrainConfig, build_model, fit


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


@pytest.fixture
def whole(build, short):
    """The network after an uninterrupted run."""
    model = build()
    fit(model.network, model.tasks, Batches(), short, device="cpu")
    return model.network


@pytest.fixture
def partial_split(config):
    """Four validation samples, one of which has two labels."""
    split = open_cache(open_dataset(config.data, "val"), SIZE)
    targets = {name: np.array(values) for name, values in split.targets.items()}
    for name in ("segmentation", "depth"):
        for row in set(range(4)) - set(LABELLED[name]):
            targets[name][row] = no_label(split.info.targets[name], SIZE)
    return dataclasses.replace(split, targets=targets)


@pytest.fixture
def remove(config, tmp_path):
    """Makes a configuration whose data lack the given label files, ``train/depth/0``."""

    def make(*files, **changes):
        file = write_dataset(tmp_path / "data")
        description = yaml.safe_load(file.read_text())
        for target in description["targets"].values():
            target["partial"] = True
        file.write_text(yaml.safe_dump(description))
        for name in files:
            next(file.parent.glob(f"{name}.*")).unlink()
        return config.model_copy(update={"data": str(file), **changes})

    return make
