"""Sluice networks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.small_training import small_architecture

from ednas.exceptions import ArchitectureError
from ednas.mtl.sharing.sluice import Sluice

TASKS = ("a", "b")


def test_subspaces_are_mixed_by_one_number_each():
    sharing = Sluice(small_architecture(), TASKS)
    alpha = torch.rand(4, 4)
    for task in range(2):
        sharing.units["alpha"][1][task].data = alpha[2 * task : 2 * task + 2]
    features = [*torch.rand(2, 1, 8, 3, 3)]
    halves = torch.stack([half for x in features for half in x.split(4, 1)])
    expected = torch.einsum("ij,jnchw->inchw", alpha, halves)
    for task, mixed in enumerate(sharing.join(1, features)):
        torch.testing.assert_close(mixed, torch.cat([*expected[2 * task : 2 * task + 2]], 1))


def test_without_mixing_the_finer_features_are_those_of_single_networks():
    sharing = Sluice(small_architecture(), TASKS, start=1.0, start_last=1.0).eval()
    image = torch.rand(1, 3, 64, 64)
    for features, encoder in zip(sharing(image), sharing.encoders, strict=True):
        for found, stage in zip(features, small_architecture().feature_stages, strict=True):
            torch.testing.assert_close(found, encoder(image)[stage])


def test_features_of_all_strides_are_added_at_the_last():
    sharing = Sluice(small_architecture(), TASKS, start_last=0.4).eval()
    image = torch.rand(1, 3, 64, 64)
    before = sharing(image)[0][-1]
    with torch.no_grad():
        sharing.units["beta"][0][1].mul_(2)
    change = sharing(image)[0][-1] - before
    eighth = sharing(image)[0][1]
    pooled = torch.nn.functional.avg_pool2d(eighth, 4)
    torch.testing.assert_close(change, 0.2 * sharing.projections[0][1](pooled), rtol=1e-4, atol=1e-5)


def test_the_penalty_is_of_filters_of_different_subspaces():
    sharing = Sluice(small_architecture(), TASKS, orthogonality=0.5)
    expected = 0.0
    for of_task in sharing.projections:
        for project in of_task:
            weight = project[0].weight.detach().double().flatten(1)
            products = weight[:4] @ weight[4:].T
            expected += 0.5 * products.square().sum().item()
    assert sharing.penalty(torch.zeros(2)).item() == pytest.approx(expected, rel=1e-4)
    with torch.no_grad():
        for of_task in sharing.projections:
            for project in of_task:
                project[0].weight[:, :4] = project[0].weight[:, :4].flip(0)
                project[0].weight[:4, 4:] = 0
                project[0].weight[4:, :4] = 0
    assert sharing.penalty(torch.zeros(2)).item() == 0


def test_stages_of_an_odd_number_of_channels_are_refused():
    own = small_architecture()
    blocks = (dataclasses.replace(own.blocks[0], filters=7), *own.blocks[1:])
    with pytest.raises(ArchitectureError, match="a stage of 7 channels, must be an even number"):
        Sluice(dataclasses.replace(own, blocks=blocks), TASKS)
