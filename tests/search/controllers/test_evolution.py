"""Regularised evolution against its definition and the published algorithm."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from helpers.controllers import finished, simulate, smooth
from helpers.profiles import examples
from helpers.searches import make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch.space import Genes
from ednas.exceptions import ConfigError
from ednas.scoring import violation
from ednas.search.controllers import (
    Controller,
    ControllerConfig,
    RandomSearch,
    RegularizedEvolution,
)
from ednas.search.controllers.evolution import PATIENCE, REFUSED_KEPT
from ednas.search.trial import TrialState


def reference_evolution(
    sizes: Sequence[int], function: Callable[[Genes], float], population_size: int, tournament_size: int, trials: int
) -> list[tuple[Genes, float]]:
    """Regularised evolution written after Algorithm 1 of the paper (Real et al. 2019), with its own generator."""
    rng = random.Random(123)
    population: list[tuple[Genes, float]] = []
    history: list[tuple[Genes, float]] = []
    while len(population) < population_size:
        genes = tuple(rng.randrange(size) for size in sizes)
        population.append((genes, function(genes)))
        history.append(population[-1])
    while len(history) < trials:
        sample = rng.sample(population, tournament_size)
        parent = max(sample, key=lambda member: member[1])
        child = list(parent[0])
        place = rng.randrange(len(child))
        child[place] = rng.choice([gene for gene in range(sizes[place]) if gene != child[place]])
        population.append((tuple(child), function(tuple(child))))
        history.append(population[-1])
        population.pop(0)
    return history


class TestEvolution:
    sizes = (4,) * 24

    def test_the_first_candidates_are_random_then_each_has_a_parent(self) -> None:
        trials = simulate(RegularizedEvolution(self.sizes, population_size=10, tournament_size=4), 30)
        assert all(trial.parent is None for trial in trials[:10])
        assert all(trial.parent is not None for trial in trials[10:])

    @settings(max_examples=examples(20))
    @given(
        population=st.integers(1, 12), tournament=st.integers(1, 12), seed=st.integers(0, 99), workers=st.integers(1, 5)
    )
    def test_aging_and_mutation_against_the_definition(
        self, population: int, tournament: int, seed: int, workers: int
    ) -> None:
        """Every parent is one of the last N results when its child is asked, and differs from it in one decision."""
        tournament = min(tournament, population)
        subject = RegularizedEvolution(self.sizes, seed, population_size=population, tournament_size=tournament)
        trials = simulate(subject, 60, workers, seed)
        by_number = {trial.number: trial for trial in trials}
        for trial in trials:
            window = trials[: trial.asked_after][-population:]
            if trial.parent is None:
                assert len(window) < population
                continue
            parent = by_number[trial.parent]
            assert parent in window
            assert sum(a != b for a, b in zip(parent.genes, trial.genes, strict=True)) == 1
            # The tournament's winner is at least the t-th worst of the window: t - 1 others lost against it.
            assert sum(smooth(t.genes) <= smooth(parent.genes) for t in window) >= tournament
        assert list(subject.population) == trials[-population:]

    def test_winners_are_distributed_as_a_tournament_says(self) -> None:
        """P(rank r wins) when 3 distinct of 8 are drawn: C(r, 2) / C(8, 3) for the r-th from below, r from 0."""
        wins: Counter[int] = Counter()
        rounds = 2000
        for seed in range(rounds):
            subject = RegularizedEvolution((50, 50), seed, population_size=8, tournament_size=3)
            for rank in range(8):
                subject.tell(make_trial(rank, genes=(rank, 0), reward=float(rank)))
            proposal = subject.ask()
            assert proposal is not None
            assert proposal.parent is not None
            wins[proposal.parent] += 1
        for rank in range(8):
            expected = rounds * math.comb(rank, 2) / math.comb(8, 3)
            assert abs(wins[rank] - expected) <= 4 * math.sqrt(expected) + 1e-9

    def test_mutations_are_uniform_over_decisions_and_other_values(self) -> None:
        changes: Counter[tuple[int, int]] = Counter()
        rounds = 3000
        for seed in range(rounds):
            subject = RegularizedEvolution((2, 3, 5), seed, population_size=1, tournament_size=1)
            subject.tell(make_trial(0, genes=(0, 1, 2)))
            proposal = subject.ask()
            assert proposal is not None
            changes.update((i, g) for i, g in enumerate(proposal.genes) if g != (0, 1, 2)[i])
        expected = {(0, 1): 1, (1, 0): 1 / 2, (1, 2): 1 / 2, **{(2, g): 1 / 4 for g in (0, 1, 3, 4)}}
        assert changes.keys() == expected.keys()
        for change, share in expected.items():
            assert abs(changes[change] - share * rounds / 3) <= 4 * math.sqrt(share * rounds / 3)

    def test_it_beats_random_search_on_every_seed(self) -> None:
        def best_of(subject: Controller) -> float:
            return max(smooth(trial.genes) for trial in simulate(subject, 400))

        optimum = smooth(tuple(size - 1 for size in self.sizes))
        for seed in range(5):
            evolved, drawn = best_of(RegularizedEvolution(self.sizes, seed)), best_of(RandomSearch(self.sizes, seed))
            assert optimum - evolved < 0.5 * (optimum - drawn)

    def test_it_does_as_well_as_the_published_algorithm(self) -> None:
        reference = max(value for _, value in reference_evolution(self.sizes, smooth, 50, 10, 400))
        ours = [
            max(smooth(t.genes) for t in simulate(RegularizedEvolution(self.sizes, seed), 400)) for seed in range(5)
        ]
        assert statistics.mean(ours) == pytest.approx(reference, rel=0.05)

    def test_where_little_is_fast_enough_it_breeds_from_the_refused_ones(self) -> None:
        """Random candidates would meet this limit once in 280,000 draws."""
        subject = RegularizedEvolution(self.sizes, population_size=10, tournament_size=4)
        accepted = 0
        for number in range(3000):
            proposal = subject.ask()
            assert proposal is not None
            fast = sum(proposal.genes) <= 12
            accepted += fast
            state = TrialState.DONE if fast else TrialState.PRUNED
            subject.tell(finished(number, proposal, number, number, state, smooth(proposal.genes)))
            if accepted == 10:
                break
        assert accepted == 10
        assert len(subject.population) == 10

    def test_the_refused_ones_that_it_breeds_from_are_those_nearest_to_the_limits(self) -> None:
        limits = {"latency_ms": 10.0, "energy_mj": 1.0}
        config = ControllerConfig(options={"population_size": 5, "tournament_size": 2})
        subject = config.make(self.sizes, 0, limits)
        rng = random.Random(0)
        refused = []
        for number in range(PATIENCE * 5):
            proposal = subject.ask()
            assert proposal is not None
            cost = {"latency_ms": rng.uniform(10, 20), "energy_mj": rng.uniform(0, 9)}
            state = TrialState.PRUNED
            refused.append(make_trial(number, genes=proposal.genes, state=state, reward=None, cost=cost))
            subject.tell(refused[-1])
        nearest = sorted(refused, key=lambda trial: violation(trial.cost, limits))[:REFUSED_KEPT]
        parents = {proposal.parent for _ in range(300) if (proposal := subject.ask()) is not None}
        assert parents == {trial.number for trial in nearest}

    def test_the_first_population_may_be_variants_of_what_is_given(self) -> None:
        options = {"population_size": 8, "tournament_size": 2, "mutations": 3, "initial_mutations": 5}
        initial = [(0,) * 24, (3,) * 24]
        trials = simulate(ControllerConfig(options=options).make(self.sizes, 0, initial=initial), 30)
        by_number = {trial.number: trial for trial in trials}

        def changes(first: Genes, second: Genes) -> int:
            return sum(a != b for a, b in zip(first, second, strict=True))

        assert {min(changes(trial.genes, given) for given in initial) for trial in trials[2:8]} == {5}
        assert {changes(trial.genes, by_number[trial.parent or 0].genes) for trial in trials[8:]} == {3}
        without = simulate(ControllerConfig(options=options).make(self.sizes, 0), 8)
        assert min(changes(trial.genes, (0,) * 24) for trial in without) > 5

    @pytest.mark.parametrize("sizes", [{"population_size": 5, "tournament_size": 6}, {"population_size": 0}])
    def test_impossible_sizes(self, sizes: dict[str, int]) -> None:
        with pytest.raises(ConfigError, match="population_size"):
            RegularizedEvolution(self.sizes, **sizes)
