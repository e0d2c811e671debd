"""Dynamic weight average."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.weightings import losses_at, make, run
from torchjd.scalarization import DWA


def test_it_is_that_of_torchjd():
    ours, theirs = run(make("dwa", 3, window=3)), []
    reference = DWA(temperature=2.0)
    for step in range(len(ours)):
        leaf = losses_at(step, 3).requires_grad_()
        theirs.append(torch.autograd.grad(reference(leaf), leaf)[0])
        if (step + 1) % 3 == 0:
            reference.step()
    torch.testing.assert_close(ours, torch.stack(theirs))


def test_what_fell_less_counts_more():
    weighting = make("dwa", 2, window=1, temperature=1.0)
    weighting.means.copy_(torch.tensor([[1.0, 1.0], [0.9, 0.5]]))
    found = weighting.weigh(torch.ones(2), 2)
    first, second = math.exp(0.9), math.exp(0.5)
    assert found.tolist() == pytest.approx([2 * first / (first + second), 2 * second / (first + second)])
