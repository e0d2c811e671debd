"""NSGA-II (Deb et al., IEEE TEC 2002): evolution towards the whole Pareto set instead of the highest reward.

The sorting is :func:`ednas.search.results.pareto`, peeled off front by front: the fronts that breed are those that the
search reports. pymoo has the same algorithm, but as a loop over generations with a random generator that lives on. Here
a proposal depends on nothing but the seed, its number and what was told, with trials in flight, which makes resuming
exact.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from ednas.arch.space import Genes
from ednas.config import StrictModel, parse
from ednas.search.controllers.base import Controller, Proposal, register_controller
from ednas.search.results import pareto, point
from ednas.search.trial import Trial


def fronts(trials: Sequence[Trial], objectives: Sequence[str]) -> list[tuple[Trial, ...]]:
    """Return the trials by rank: the Pareto set, that of the rest, and so on. Equal ones are in fronts of their own."""
    found, rest = [], list(trials)
    while rest:
        found.append(pareto(rest, objectives))
        taken = {trial.number for trial in found[-1]}
        rest = [trial for trial in rest if trial.number not in taken]
    return found


def crowding(front: Sequence[Trial], objectives: Sequence[str]) -> list[float]:
    """Return how far apart each trial's neighbours of the front are.

    It is the sum over the objectives, as shares of the front's extent; infinite at the ends of each.
    """
    distances = [0.0] * len(front)
    for axis in zip(*(point(trial, objectives) for trial in front), strict=True):
        order = sorted(range(len(front)), key=axis.__getitem__)
        extent = axis[order[-1]] - axis[order[0]]
        distances[order[0]] = distances[order[-1]] = math.inf
        for before, own, after in zip(order, order[1:], order[2:], strict=False):
            distances[own] += (axis[after] - axis[before]) / extent if extent else 0.0
    return distances


@register_controller("nsga2")
class NSGA2(Controller):
    """A population of the best trade-offs between the search's objectives: the reward plays no part.

    Networks are compared by their rank, the number of the front that they are in (:func:`fronts`), then by how far from
    others they are there (:func:`crowding`). Those above a limit come after all that meet the limits, the nearest to
    them first (:func:`ednas.scoring.violation`, then latency), whether they were trained or pruned: this is Deb's
    constrained domination. Without limits the whole front is looked for.

    The first ``population_size`` results come from random candidates, or from variants of the initial ones
    (``initial_mutations``). Then two parents win a tournament of two each, their child takes each decision from one or
    the other, and some of its decisions are changed. Each time that ``offspring`` results have come, the best
    ``population_size`` of these and the population survive. A child that was proposed before is bred again, in the end
    with more and more mutations.

    Args:
        sizes: Number of candidates of each decision.
        seed: The search's seed.
        **options: Those of :class:`Options`.

    Raises:
        ConfigError: An option is unknown or out of range.
    """

    follows_objectives = True

    class Options(StrictModel):
        """Settings of the evolution.

        Attributes:
            population_size: Networks in the population.
            offspring: Results between two choices of those that survive; NSGA-II in its first form has as many as the
                population.
            crossover: Share of the children that have two parents.
            mutations: In how many decisions a child differs from what its parents have.
            initial_mutations: In how many decisions the first population differs from the networks of ``initial``;
                None = it is random.
        """

        population_size: int = Field(default=30, ge=1)
        offspring: int = Field(default=10, ge=1)
        crossover: float = Field(default=0.9, ge=0, le=1)
        mutations: int = Field(default=1, ge=1)
        initial_mutations: int | None = Field(default=None, ge=1)

    def __init__(self, sizes: Sequence[int], seed: int = 0, **options: Any) -> None:
        super().__init__(sizes, seed)
        self._options = parse(self.Options, options, "controller")
        self._population: list[Trial] = []
        self._offspring: list[Trial] = []

    @property
    def population(self) -> tuple[Trial, ...]:
        """The members, the best first."""
        return tuple(self._population)

    def _learn(self, trial: Trial) -> None:
        self._offspring.append(trial)
        if len(self._offspring) == self._options.offspring:
            self._population = self._sorted(self._population + self._offspring)[: self._options.population_size]
            self._offspring = []

    def _propose(self, rng: random.Random, attempt: int) -> Proposal:
        options = self._options
        if len(self._population) < options.population_size:
            return Proposal(self._first_genes(rng, attempt, options.initial_mutations))
        parent = self._tournament(rng)
        genes = parent.genes
        if rng.random() < options.crossover:
            genes = _cross(rng, genes, self._tournament(rng).genes)
        return Proposal(self._mutate(rng, genes, options.mutations, attempt), parent.number)

    def _sorted(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials, the best first."""
        meeting = [trial for trial in trials if trial.scored and trial.meets(self.limits)]
        found: list[Trial] = []
        for front in fronts(meeting, self.objectives):
            distances = crowding(front, self.objectives)
            found += [front[index] for index in sorted(range(len(front)), key=lambda i: -distances[i])]
        others = [trial for trial in trials if not (trial.scored and trial.meets(self.limits))]
        return found + sorted(others, key=self._excess)

    def _tournament(self, rng: random.Random) -> Trial:
        return self._population[min(rng.randrange(len(self._population)) for _ in range(2))]


def _cross(rng: random.Random, first: Genes, second: Genes) -> Genes:
    return tuple(rng.choice(pair) for pair in zip(first, second, strict=True))
