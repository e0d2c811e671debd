"""Drives weightings without a network, on losses and gradients that follow a seed."""

from __future__ import annotations

import torch

from ednas.mtl.weighting import GradientWeighting, WeightingConfig
from ednas.mtl.weighting.base import Taken

STEPS = 12
OPTIONS = {
    "dwa": {"window": 3},
    "stch": {"warmup_steps": 4, "window": 2},
    "gradnorm": {"window": 3},
    "nash": {"every": 2},
}
"""So that a few steps pass through all phases."""


def make(name, tasks, seed=0, **options):
    return WeightingConfig(name=name, options={**OPTIONS.get(name, {}), **options}).make(tasks, seed)


def losses_at(step, tasks):
    """Positive losses of a step."""
    return torch.rand(tasks, generator=torch.Generator().manual_seed(step)) + 0.1


def jacobian_at(step, tasks):
    """The gradients of tasks, ``(T, 20)``."""
    return torch.randn(tasks, 20, generator=torch.Generator().manual_seed(1000 + step))


def advance(weighting, step):
    """Take a step, and return the weights."""
    losses = losses_at(step, weighting.tasks)
    if isinstance(weighting, GradientWeighting):
        gradients = jacobian_at(step, weighting.tasks).double()
        weights = weighting.weigh(gradients @ gradients.T, losses, step)
    else:
        weights = weighting.weigh(losses, step)
    weighting.update(Taken(step, losses, lambda: losses_at(step + 500, weighting.tasks)))
    return weights


def run(weighting, start=0, stop=STEPS):
    """Take some steps, and return the weights of each, ``(steps, T)``."""
    return torch.stack([advance(weighting, step) for step in range(start, stop)])


def slope(losses, total):
    """Return the derivative of a function of the losses."""
    leaf = losses.clone().requires_grad_()
    return torch.autograd.grad(total(leaf), leaf)[0]
