"""The sum of logarithms."""

from __future__ import annotations

import torch
from helpers.weightings import advance, losses_at, make, slope


def test_it_is_the_slope_of_the_sum_of_logarithms():
    losses = losses_at(0, 3)
    torch.testing.assert_close(advance(make("log_sum", 3), 0), slope(losses, lambda own: own.log().sum()))


def test_units_of_losses_do_not_matter():
    losses, units = losses_at(0, 2), torch.tensor([1000.0, 0.01])
    weighting = make("log_sum", 2)
    torch.testing.assert_close(weighting.weigh(losses * units, 0) * units, weighting.weigh(losses, 0))


def test_a_loss_of_0_has_a_finite_weight():
    assert make("log_sum", 2).weigh(torch.tensor([0.0, 1.0]), 0).isfinite().all()
