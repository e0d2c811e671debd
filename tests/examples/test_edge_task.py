"""The example of a task of one's own works as its text says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError, DataError, TrainingError
from ednas.plugins import load_plugin
from ednas.tasks import make_task, make_tasks, task_target

EXAMPLE = Path(__file__).parents[2] / "examples" / "edge_task.py"
INFO = TargetInfo("labels", 3)


@pytest.fixture
def edges():
    return load_plugin(EXAMPLE)


@pytest.fixture
def task(edges):
    return make_task("edges", INFO)


def test_reads_the_segmentation_target(edges):
    assert task_target("edges") == "segmentation"
    tasks = make_tasks(["segmentation", "edges"], {"segmentation": INFO}, {"edges": {"positive_weight": 2.0}})
    assert [task.channels for task in tasks.values()] == [3, 1]
    with pytest.raises(ConfigError, match="kind labels"):
        make_task("edges", TargetInfo("distance"))


def test_borders_by_hand(edges):
    labels = torch.tensor([[[0, 0, 1], [0, 0, 1], [2, 2, 255]]])
    assert edges.class_borders(labels).tolist() == [[[0, 1, 0], [1, 1, 255], [0, 255, 255]]]


def test_learns_its_labels(task):
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, 2:5, 3:7] = 1
    prediction = torch.zeros(1, 1, 8, 8, requires_grad=True)
    optimiser = torch.optim.Adam([prediction], lr=0.3)
    for _ in range(30):
        optimiser.zero_grad()
        task.loss(prediction, labels).backward()
        optimiser.step()
    metrics = task.metrics()
    metrics.update(prediction, labels)
    assert metrics.compute() == {"edge_f1": 1.0}
    assert (task.decode(prediction) == task.decode_target(labels)).all()


def test_metrics_by_hand(task):
    labels = torch.tensor([[[0, 0, 1, 1]]])
    metrics = task.metrics("adashare")
    metrics.update(torch.tensor([[[[1.0, 1.0, -1.0, -1.0]]]]), labels)  # one border, found together with a false one
    assert metrics.compute() == {"edge_f1": pytest.approx(2 / 3)}
    metrics.reset()
    with pytest.raises(DataError):
        metrics.compute()
    with pytest.raises(TrainingError):
        metrics.update(torch.full((1, 1, 1, 4), math.nan), labels)


def test_nothing_valid(task):
    prediction = torch.randn(1, 1, 2, 2, requires_grad=True)
    loss = task.loss(prediction, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0
    assert (prediction.grad == 0).all()


def test_picture(task):
    picture = task.picture(np.array([[0, 1, 255]]))
    assert picture[0].tolist() == [[64] * 3, [255] * 3, [0] * 3]
    assert [name for name, _ in task.legend(picture).seen_in([picture[:, :2]]).colors] == ["border", "no border"]
