"""Random weights."""

from __future__ import annotations

import torch
from helpers.weightings import make, run


def test_weights_are_drawn_anew_in_every_step_and_for_every_seed():
    first, again, other = run(make("rlw", 3)), run(make("rlw", 3)), run(make("rlw", 3, seed=1))
    torch.testing.assert_close(first.sum(1), torch.ones(len(first)))
    assert torch.equal(first, again)
    assert len(torch.cat([first, other]).unique(dim=0)) == 2 * len(first)


def test_they_are_a_softmax_of_normal_numbers():
    logits = run(make("rlw", 2), stop=4000).log().diff(dim=1)
    assert abs(logits.mean()) < 0.1
    assert abs(logits.std() - 2**0.5) < 0.1
