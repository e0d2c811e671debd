"""Regularised Evolution (Real et al., AAAI 2019), the paper's controller (supplement A).

It works on the genes of PyGlove's space directly instead of through ``pg.evolution``, whose algorithm object keeps
its state to itself: its mutator cannot be seeded and often redraws the value it has, ``recover`` does not bring
back its random generators, NaN rewards win tournaments, and proposals in flight are not known to its deduplication.
Here a proposal depends on nothing but the seed, its number and what was told, which makes resuming exact.
"""

from __future__ import annotations

import random
from bisect import insort
from collections import deque
from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from ednas.config import StrictModel, parse
from ednas.search.controllers.base import Controller, Proposal, register_controller
from ednas.search.trial import Trial

TOURNAMENT_SIZE = 10
"""The paper's."""

PATIENCE = 20
"""Refused candidates per member of the population before the initial candidates are no longer drawn at random."""

REFUSED_KEPT = 50
"""How many of the refused candidates, those nearest to the limits, the initial ones are mutated from then."""


@register_controller("evolution")
class RegularizedEvolution(Controller):
    """A population that ages: the last N results, whatever their reward; parents win tournaments among them.

    The first ``population_size`` results come from random candidates. Then each proposal draws ``tournament_size``
    distinct members, takes the one with the highest reward (the older one of equals) and changes one decision, drawn
    uniformly, to a different value, drawn uniformly. A child that was proposed before is drawn again, in the end with
    more and more mutations.

    In a few dozen trials that does not come far. A network that is good already can be given to begin with
    (``initial``); then the rest of the first population can be its variants instead of random candidates
    (``initial_mutations``), and children can differ from their parents in more than one decision (``mutations``).

    Candidates that were pruned for their cost have no reward and never join the population. Where the limits are so
    tight that random candidates hardly ever meet them (:data:`PATIENCE` times as many were refused as the population
    holds, and it is still not full), the rest of the initial candidates are mutated from those of the refused ones that
    are nearest to the limits (:func:`ednas.scoring.violation`, then latency).

    Args:
        sizes: Number of candidates of each decision.
        seed: The search's seed.
        population_size: N.
        tournament_size: At most N; by default 10, or N if that is less.
        mutations: In how many decisions a child differs from its parent.
        initial_mutations: In how many the first population differs from the initial candidates, where there are some;
            None = it is random.

    Raises:
        ConfigError: A size is below 1, or the tournament is larger than the population.
    """

    class Options(StrictModel):
        """Settings of the evolution; the defaults are the paper's.

        Attributes:
            population_size: Networks in the population.
            tournament_size: Networks of the population that are drawn to choose a parent from; by default 10, or the
                whole population if that is less.
            mutations: In how many decisions a child differs from its parent.
            initial_mutations: In how many decisions the first population differs from the networks of ``initial``;
                None = it is random.
        """

        population_size: int = Field(default=50, ge=1)
        tournament_size: int = Field(default=TOURNAMENT_SIZE, ge=1)
        mutations: int = Field(default=1, ge=1)
        initial_mutations: int | None = Field(default=None, ge=1)

        @model_validator(mode="before")
        @classmethod
        def _fit_tournament(cls, values: Any) -> Any:
            """A tournament that nobody asked for is not larger than a small population."""
            size = values.get("population_size") if isinstance(values, dict) else None
            if not isinstance(size, int) or values.get("tournament_size") is not None:
                return values
            return {**values, "tournament_size": max(1, min(TOURNAMENT_SIZE, size))}

        @model_validator(mode="after")
        def _check(self) -> Self:
            if self.tournament_size > self.population_size:
                raise ValueError(f"tournament_size is above population_size {self.population_size}")
            return self

    def __init__(
        self,
        sizes: Sequence[int],
        seed: int = 0,
        *,
        population_size: int = 50,
        tournament_size: int | None = None,
        mutations: int = 1,
        initial_mutations: int | None = None,
    ) -> None:
        super().__init__(sizes, seed)
        given = {"population_size": population_size, "tournament_size": tournament_size}
        given |= {"mutations": mutations, "initial_mutations": initial_mutations}
        self._options = parse(self.Options, given, "controller")
        self._population: deque[Trial] = deque(maxlen=population_size)
        self._num_refused = 0
        self._nearest_refused: list[Trial] = []

    @property
    def population(self) -> tuple[Trial, ...]:
        """The members, the oldest first."""
        return tuple(self._population)

    def _learn(self, trial: Trial) -> None:
        if trial.scored:
            self._population.append(trial)
            return
        self._num_refused += 1
        insort(self._nearest_refused, trial, key=self._excess)
        del self._nearest_refused[REFUSED_KEPT:]

    def _propose(self, rng: random.Random, attempt: int) -> Proposal:
        options = self._options
        if len(self._population) == options.population_size:
            parent = self._tournament(rng)
        elif self._num_refused >= PATIENCE * options.population_size:
            parent = rng.choice(self._nearest_refused)
        else:
            return Proposal(self._first_genes(rng, attempt, options.initial_mutations))
        return Proposal(self._mutate(rng, parent.genes, options.mutations, attempt), parent.number)

    def _tournament(self, rng: random.Random) -> Trial:
        drawn = sorted(rng.sample(range(len(self._population)), self._options.tournament_size))
        return max((self._population[index] for index in drawn), key=_reward)


def _reward(trial: Trial) -> float:
    return trial.reward or 0.0
