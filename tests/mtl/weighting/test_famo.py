"""FAMO."""

from __future__ import annotations

import torch
from helpers.weightings import losses_at, make, run, slope
from torchjd.scalarization import FAMO


def test_it_is_that_of_torchjd():
    ours = run(make("famo", 3))
    reference = FAMO(3, lr=0.025, weight_decay=1e-3)
    for step, weights in enumerate(ours):
        losses = losses_at(step, 3)
        torch.testing.assert_close(weights, slope(losses, reference))
        reference.update(losses_at(step + 500, 3))


def test_weighed_losses_fall_at_one_rate():
    """The slopes of the logarithms add up to a mean of the slopes of the losses."""
    weighting = make("famo", 3)
    run(weighting)
    torch.testing.assert_close(weighting.weigh(losses_at(0, 3), 0).sum(), torch.tensor(1.0))
