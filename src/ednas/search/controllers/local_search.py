"""Local search: climb from a good network, one decision at a time.

It is the simplest search that learns, and hard to beat in a few hundred trials (White et al., UAI 2021).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from ednas.arch.space import Genes
from ednas.config import StrictModel, parse
from ednas.search.controllers.base import Controller, Proposal, register_controller
from ednas.search.trial import Trial


def neighbours(genes: Genes, sizes: Sequence[int]) -> list[Genes]:
    """Return the points that differ from one in a single decision."""
    return [
        (*genes[:index], gene, *genes[index + 1 :])
        for index, size in enumerate(sizes)
        for gene in range(size)
        if gene != genes[index]
    ]


@register_controller("local_search")
class LocalSearch(Controller):
    """Climbs to a local optimum, then begins again.

    A climb begins at the best of the initial candidates, or at a random one. All that differ from the current point in
    one decision are proposed, in random order; as soon as one turns out to be better, it is the current point. When all
    have been proposed, a new climb begins: at a variant of the best point known, with ``kick`` other decisions, or at a
    random point.

    With several trials in flight, a result that was asked from an earlier point of the climb counts as any other. One
    of an earlier climb counts if it is the best of all.

    Candidates that were pruned for their cost have no reward. Any that is trained is better than they are, and among
    them one that is nearer to the limits (:func:`ednas.scoring.violation`, then latency): so a climb that begins
    outside of the limits comes inside, and no other is led out of them.

    Args:
        sizes: Number of candidates of each decision.
        seed: The search's seed.
        **options: Those of :class:`Options`.

    Raises:
        ConfigError: An option is unknown or out of range.
    """

    class Options(StrictModel):
        """Settings of the local search.

        Attributes:
            kick: In how many decisions the beginning of a new climb differs from the best network; None = it is random.
        """

        kick: int | None = Field(default=3, ge=2)

    def __init__(self, sizes: Sequence[int], seed: int = 0, **options: Any) -> None:
        super().__init__(sizes, seed)
        self._options = parse(self.Options, options, "controller")
        self._known: dict[Genes, Trial] = {}
        self._best: Trial | None = None
        self._current: Trial | None = None
        self._climb: set[int] = set()  # numbers of the points that were the current one of this climb

    @property
    def current(self) -> Trial | None:
        """Whose neighbours are proposed; None before the first result."""
        return self._current

    def _propose(self, rng: random.Random, attempt: int) -> Proposal:
        if self._current is not None and (free := self._free(self._current)):
            return Proposal(rng.choice(free), self._current.number)
        if self._best is not None and self._options.kick is not None:
            return Proposal(self._mutate(rng, self._best.genes, self._options.kick, attempt))
        return Proposal(self._random_genes(rng))

    def _learn(self, trial: Trial) -> None:
        self._known[trial.genes] = trial
        begins = trial.parent is None
        rival = self._current if begins or trial.parent in self._climb else self._best
        if rival is None or self._merit(trial) > self._merit(rival) or (begins and not self._free(rival)):
            self._move(trial)
        self._best = max(filter(None, (self._best, trial)), key=self._merit)

    def _move(self, trial: Trial) -> None:
        """Go to a point, and on to the best of its neighbours for as long as one that is known is better."""
        if trial.parent not in self._climb:
            self._climb = set()
        while self._current is not trial:
            self._current = trial
            self._climb.add(trial.number)
            known = [self._known[genes] for genes in neighbours(trial.genes, self.sizes) if genes in self._known]
            trial = max([trial, *known], key=self._merit)

    def _free(self, trial: Trial) -> list[Genes]:
        return [genes for genes in neighbours(trial.genes, self.sizes) if genes not in self._proposed]

    def _merit(self, trial: Trial) -> tuple[float, ...]:
        """Return what is larger of the better of two trials."""
        if trial.reward is not None:
            return 1.0, trial.reward
        return 0.0, *(-part for part in self._excess(trial))
