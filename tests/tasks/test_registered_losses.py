"""Losses of one's own stand beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from helpers.own_parts import known
from torch import Tensor, nn

from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks import make_task, register_loss

INFOS = {
    "segmentation": TargetInfo("labels", 3, ("a", "b", "c")),
    "depth": TargetInfo("distance"),
    "normals": TargetInfo("normals"),
}
TARGETS = {
    "segmentation": torch.zeros(2, 8, 8, dtype=torch.int64),
    "depth": torch.ones(2, 1, 8, 8),
    "normals": torch.ones(2, 3, 8, 8) / 3**0.5,
}


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with known():
        yield


def scaled(prediction: Tensor, target: Tensor, factor: float = 1.0) -> Tensor:
    assert prediction.shape[-2:] == target.shape[-2:]
    return factor * prediction.mean()


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return scaled(prediction, target, self.factor)


@pytest.mark.parametrize("loss", [scaled, Scaled])
@pytest.mark.parametrize("name", INFOS)
def test_functions_and_classes_of_modules_with_options(name: str, loss: object) -> None:
    register_loss(name, "mine", loss)
    task = make_task(name, INFOS[name], loss="mine", loss_options={"factor": 3.0})
    prediction = torch.ones(2, task.channels, 4, 4, requires_grad=True)
    value = task.loss(prediction, TARGETS[name])
    assert value.item() == pytest.approx(3.0)
    value.backward()
    assert prediction.grad is not None


def test_a_weighted_sum_with_a_built_in_loss() -> None:
    register_loss("depth", "mine", scaled)
    task = make_task("depth", INFOS["depth"], loss={"l1": 1, "mine": 0.5})
    assert task.loss(torch.full((2, 1, 8, 8), 2.0), TARGETS["depth"]).item() == pytest.approx(1 + 0.5 * 2)


def test_options_of_the_task_reach_a_loss_that_takes_them() -> None:
    seen = []

    def weighted(prediction: Tensor, target: Tensor, *, class_weights: list[float]) -> Tensor:
        seen.append(class_weights)
        return prediction.sum()

    register_loss("segmentation", "weighted", weighted)
    task = make_task("segmentation", INFOS["segmentation"], loss="weighted", class_weights={"b": 2})
    task.loss(torch.zeros(2, 3, 8, 8), TARGETS["segmentation"])
    assert seen == [[1.0, 2, 1.0]]


def test_mistakes_are_one_line() -> None:
    register_loss("depth", "mine", Scaled)
    cases = [
        (lambda: register_loss("dpth", "mine", scaled), "task 'dpth' takes no registered losses; did you mean 'depth'"),
        (lambda: register_loss("edges", "mine", scaled), "task 'edges' takes no registered losses"),
        (lambda: register_loss("depth", "mine", scaled), "a loss 'mine' exists already"),
        (lambda: make_task("depth", INFOS["depth"], loss="mien"), "unknown loss 'mien'; did you mean 'mine'"),
        (lambda: make_task("depth", INFOS["depth"], loss="mine"), "loss 'mine': missing a required argument: 'factor'"),
        (
            lambda: make_task("depth", INFOS["depth"], loss="mine", loss_options={"factor": 1, "fctor": 2}),
            "fctor belongs to no loss",
        ),
    ]
    for make, said in cases:
        with pytest.raises(ConfigError, match=said) as error:
            make()
        assert "\n" not in str(error.value)
    register_loss("depth", "l1", scaled)
    with pytest.raises(ConfigError, match="loss 'l1' is built in"):
        make_task("depth", INFOS["depth"], loss="l1")
