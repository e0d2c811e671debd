"""Kendall's weights."""

from __future__ import annotations

import torch
from helpers.weightings import losses_at, make, slope

from ednas.mtl.weighting.base import Taken


def total(losses, log_variances):
    return (losses / (2 * log_variances.exp()) + log_variances / 2).sum()


def test_the_network_and_the_variances_go_down_the_same_function():
    weighting = make("uncertainty", 3, learning_rate=0.05)
    theirs = torch.nn.Parameter(torch.full((3,), -0.5))
    adam = torch.optim.Adam([theirs], 0.05)
    for step in range(20):
        losses = losses_at(step, 3)
        expected = slope(losses, lambda own: total(own, theirs.detach()))
        torch.testing.assert_close(weighting.weigh(losses, step), expected)
        weighting.update(Taken(step, losses, losses.clone))
        adam.zero_grad()
        total(losses, theirs).backward()
        adam.step()
    torch.testing.assert_close(weighting.log_variances.values, theirs)


def test_it_comes_to_the_losses_themselves():
    losses = torch.tensor([0.1, 4.0])
    weighting = make("uncertainty", 2, learning_rate=0.1)
    for step in range(500):
        weighting.update(Taken(step, losses, lambda: losses))
    torch.testing.assert_close(2 * weighting.weigh(losses, 0) * losses, torch.ones(2), rtol=0.02, atol=0)
