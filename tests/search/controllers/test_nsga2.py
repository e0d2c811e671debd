"""NSGA-II against brute force, and against random search."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from helpers.controllers import SIZES, ask, simulate
from helpers.profiles import examples
from helpers.searches import make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch.space import Genes
from ednas.exceptions import ConfigError
from ednas.search import pareto
from ednas.search.controllers import Controller, ControllerConfig, Proposal, RandomSearch
from ednas.search.controllers.nsga2 import NSGA2, crowding, fronts
from ednas.search.trial import Trial, TrialState

OBJECTIVES = ("accuracy", "latency_ms", "macs")

Points = list[tuple[int, int, int]]


def trials_at(points: Points) -> list[Trial]:
    return [
        make_trial(number, accuracy=-float(a), cost={"latency_ms": float(b), "macs": float(c)})
        for number, (a, b, c) in enumerate(points)
    ]


def dominates(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    return all(a <= b for a, b in zip(first, second, strict=True)) and first != second


coordinates = st.integers(0, 4)


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(coordinates, coordinates, coordinates), max_size=14, unique=True))
def test_ranks_are_those_of_the_definition(points: Points) -> None:
    """A point's rank is the length of the longest chain of points, each dominating the next, that ends in it."""

    def rank(point: tuple[int, int, int]) -> int:
        return max((1 + rank(other) for other in points if dominates(other, point)), default=0)

    found = {
        trial.number: index for index, front in enumerate(fronts(trials_at(points), OBJECTIVES)) for trial in front
    }
    assert found == {number: rank(point) for number, point in enumerate(points)}


def test_of_equal_ones_each_later_one_is_a_rank_behind() -> None:
    found = fronts(trials_at([(1, 1, 1), (2, 2, 2), (1, 1, 1)]), OBJECTIVES)
    assert [[trial.number for trial in front] for front in found] == [[0], [2], [1]]


@settings(max_examples=examples(100))
@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_crowding_is_that_of_the_definition(count: int, rng) -> None:
    axes = [rng.sample(range(100), count) for _ in range(3)]
    points = list(zip(*axes, strict=True))
    expected = []
    for point in points:
        total = 0.0
        for axis, value in zip(axes, point, strict=True):
            above, below = [v for v in axis if v > value], [v for v in axis if v < value]
            total += (min(above) - max(below)) / (max(axis) - min(axis)) if above and below else math.inf
        expected.append(total)
    assert crowding(trials_at(points), OBJECTIVES) == pytest.approx(expected)


class TestNSGA2:
    sizes = (4,) * 16

    def evaluate(self, number: int, genes: Genes) -> Trial:
        """Two objectives at odds: every gene adds to both, each in a proportion of its own."""
        accuracy = sum(gene * (1 + index % 5) for index, gene in enumerate(genes)) / 100
        latency = sum(gene * (1 + index % 3) for index, gene in enumerate(genes))
        macs = float(sum(3 - gene for gene in genes))
        return make_trial(number, genes=genes, accuracy=accuracy, cost={"latency_ms": 1.0 + latency, "macs": macs})

    def drive(self, subject: Controller, trials: int) -> list[Trial]:
        found = []
        for number in range(trials):
            found.append(self.evaluate(number, ask(subject).genes))
            subject.tell(found[-1])
        return found

    @pytest.mark.parametrize("seed", range(5))
    def test_its_front_dominates_that_of_random_search(self, seed: int) -> None:
        def covered(front: Sequence[Trial], by: Sequence[Trial]) -> float:
            return sum(
                any((o.accuracy or 0) >= (t.accuracy or 0) and o.cost["latency_ms"] <= t.cost["latency_ms"] for o in by)
                for t in front
            ) / len(front)

        ours = pareto(self.drive(NSGA2(self.sizes, seed), 600))
        theirs = pareto(self.drive(RandomSearch(self.sizes, seed), 600))
        assert covered(theirs, ours) > 0.8
        assert covered(ours, theirs) < 0.1

    def test_the_search_says_which_objectives(self) -> None:
        """Here a low latency is the same as many macs: the population is where the objectives lead it."""

        def mean_latency(*objectives: str) -> float:
            subject = ControllerConfig(name="nsga2").make(self.sizes, 0, objectives=objectives)
            assert isinstance(subject, NSGA2)
            self.drive(subject, 400)
            return sum(trial.cost["latency_ms"] for trial in subject.population) / len(subject.population)

        assert mean_latency("accuracy", "macs") > 1.5 * mean_latency("accuracy", "latency_ms")

    def test_whatever_is_above_a_limit_comes_after_all_that_meet_it_the_nearest_first(self) -> None:
        config = ControllerConfig(name="nsga2", options={"population_size": 6, "offspring": 8})
        subject = config.make((8,), 0, {"latency_ms": 10.0})
        assert isinstance(subject, NSGA2)
        told = [
            make_trial(0, accuracy=0.9, cost={"latency_ms": 14.0}),
            make_trial(1, accuracy=0.1, cost={"latency_ms": 9.0}),
            make_trial(2, state=TrialState.PRUNED, accuracy=None, reward=None, cost={"latency_ms": 99.0}),
            make_trial(3, accuracy=0.2, cost={"latency_ms": 8.0}),
            make_trial(4, state=TrialState.PRUNED, accuracy=None, reward=None, cost={"latency_ms": 12.0}),
            make_trial(5, accuracy=0.8, cost={"latency_ms": 11.0}),
            make_trial(6, state=TrialState.PRUNED, accuracy=None, reward=None, cost={"latency_ms": 77.0}),
            make_trial(7, state=TrialState.PRUNED, accuracy=None, reward=None, cost={"latency_ms": 88.0}),
        ]
        for trial in told:
            subject.tell(trial)
        assert [trial.number for trial in subject.population] == [3, 1, 5, 4, 0, 6]

    @settings(max_examples=examples(20))
    @given(offspring=st.integers(1, 12), workers=st.integers(1, 5), seed=st.integers(0, 99))
    def test_parents_are_of_the_population_when_their_child_is_asked(
        self, offspring: int, workers: int, seed: int
    ) -> None:
        populations: list[tuple[Trial, ...]] = []

        class Watched(NSGA2):
            def ask(self) -> Proposal | None:
                populations.append(self.population)
                return super().ask()

        subject = Watched(self.sizes, seed, population_size=8, offspring=offspring, crossover=0.0)
        for trial in simulate(subject, 60, workers, seed):
            population = {member.number: member for member in populations[trial.number]}
            if trial.parent is None:
                assert len(population) < 8
            else:
                parent = population[trial.parent]
                assert sum(a != b for a, b in zip(parent.genes, trial.genes, strict=True)) == 1

    def test_children_mix_their_parents(self) -> None:
        """Of parents that are all 0 and all 3, each decision of a child is one or the other, but for one mutation."""
        subject = NSGA2(self.sizes, population_size=2, offspring=2, crossover=1.0)
        for number, gene in enumerate((0, 3)):
            subject.tell(self.evaluate(number, (gene,) * 16))
        children = [ask(subject).genes for _ in range(40)]
        assert all(sum(gene in (1, 2) for gene in genes) <= 1 for genes in children)
        mixed = [genes for genes in children if 4 <= genes.count(0) <= 12]
        assert len(mixed) > 10  # half of the tournaments' pairs are two of a kind

    def test_the_first_population_may_be_variants_of_what_is_given(self) -> None:
        options = {"population_size": 8, "initial_mutations": 3}
        subject = ControllerConfig(name="nsga2", options=options).make(self.sizes, 0, initial=[(0,) * 16])
        trials = simulate(subject, 8)
        assert [16 - trial.genes.count(0) for trial in trials] == [0, *[3] * 7]

    def test_wrong_options_are_one_line(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'offspring'"):
            NSGA2(SIZES, offsprings=3)
        with pytest.raises(ConfigError, match="'crossover'"):
            NSGA2(SIZES, crossover=1.5)
