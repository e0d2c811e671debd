"""Random search: the baseline that every other controller has to beat."""

from __future__ import annotations

import random

from ednas.search.controllers.base import Controller, Proposal, register_controller
from ednas.search.trial import Trial


@register_controller("random")
class RandomSearch(Controller):
    """Proposes points of the space uniformly, none twice.

    Args:
        sizes: Number of candidates of each decision.
        seed: The search's seed.
    """

    def _propose(self, rng: random.Random, attempt: int) -> Proposal:  # noqa: ARG002
        return Proposal(self._random_genes(rng))

    def _learn(self, trial: Trial) -> None:
        """Learn nothing."""
