"""Smooth Tchebycheff scalarisation."""

from __future__ import annotations

import pytest
import torch
from helpers.weightings import losses_at, make, run, slope

from ednas.exceptions import ConfigError


def test_it_is_the_slope_of_its_function():
    mu, found = 0.5, run(make("stch", 3, mu=0.5, warmup_steps=4, window=2))
    nadir = (losses_at(2, 3) + losses_at(3, 3)) / 2
    for step, weights in enumerate(found):
        losses = losses_at(step, 3)
        if step < 4:
            expected = 1 / losses
        else:
            expected = slope(losses, lambda own: 3 * mu * ((own / nadir).log() / mu).logsumexp(0))
        torch.testing.assert_close(weights, expected)


def test_with_a_small_mu_the_worst_task_counts_alone():
    weighting = make("stch", 2, mu=0.01)
    weighting.mean.copy_(torch.tensor([1.0, 10.0]))
    first, second = weighting.weigh(torch.tensor([0.9, 5.0]), 500)
    assert first > 1e6 * second


def test_a_window_longer_than_the_warm_up_is_refused():
    with pytest.raises(ConfigError, match="window = 9 is more than warmup_steps = 8"):
        make("stch", 2, warmup_steps=8, window=9)
