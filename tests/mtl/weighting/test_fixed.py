"""The recipe's weights alone."""

from __future__ import annotations

from helpers.weightings import make, run


def test_every_loss_counts_as_it_is():
    assert (run(make("fixed", 3)) == 1).all()
