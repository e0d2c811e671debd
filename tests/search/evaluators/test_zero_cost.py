"""Scores of untrained networks, against their definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_searches import small_search
from helpers.small_training import small_architecture
from torch import nn

from ednas.search.evaluators.zero_cost import TASK, ActivationCodes, ZeroCostEvaluator, gradient_norm


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


def test_images_are_told_apart_by_the_places_of_their_units():
    network = nn.Sequential(nn.Identity(), nn.ReLU6())
    codes = ActivationCodes(network)
    values = torch.tensor([[-1.0, 3, 7, 3], [-1, 3, 7, -2], [8, 8, 8, 8]])
    network(values)
    places = np.digitize(values.numpy(), [1e-9, 6])
    agreements = (places[:, None] == places[None]).sum(2)
    assert codes.score() == pytest.approx(np.linalg.slogdet(agreements)[1])


def test_the_gradient_of_every_tensor_counts():
    network = nn.Linear(2, 1)
    network(torch.tensor([[3.0, 4.0]])).sum().backward()
    assert gradient_norm(network) == pytest.approx(5 + 1)


def test_a_candidate_has_scores_that_depend_on_its_seed_alone(tmp_path: Path):
    training = small_search().train_config(small_architecture())
    evaluator = ZeroCostEvaluator(training, device="cpu")
    found = evaluator.evaluate(small_architecture(), 1)
    assert set(found.tasks[TASK]) == {"grad_norm", "naswot"} == set(found.higher_is_better)
    assert all(math.isfinite(value) and value > 0 for value in found.tasks[TASK].values())
    assert evaluator.evaluate(small_architecture(), 1) == found
    assert evaluator.evaluate(small_architecture(), 2) != found
    one = ZeroCostEvaluator(training, "cpu", ("naswot",)).evaluate(small_architecture(), 1)
    assert one.tasks == {TASK: {"naswot": found.tasks[TASK]["naswot"]}}
