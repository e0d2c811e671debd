"""One conformance suite for every controller, and what is particular to each."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyglove as pg
import pytest
from helpers.searches import make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch.space import Genes
from ednas.exceptions import ConfigError, StudyError
from ednas.scoring import violation
from ednas.search.controllers import (
    Controller,
    ControllerConfig,
    Proposal,
    RandomSearch,
    RegularizedEvolution,
    controller_names,
    register_controller,
    replay,
)
from ednas.search.controllers import pyglove as pyglove_controller
from ednas.search.controllers.evolution import PATIENCE, REFUSED_KEPT
from ednas.search.controllers.pyglove import PyGlove, register_algorithm
from ednas.search.trial import Trial, TrialState

SIZES = (2, 3, 4, 2, 5, 3)
OPTIONS: dict[str, dict[str, Any]] = {
    "evolution": {"population_size": 6, "tournament_size": 3},
    "pyglove": {"arguments": {"population_size": 6, "tournament_size": 3}},
}


def controller(name: str, sizes: Sequence[int] = SIZES, seed: int = 0) -> Controller:
    return ControllerConfig(name=name, options=OPTIONS.get(name, {})).make(sizes, seed)


def smooth(genes: Genes) -> float:
    """A known function: best where every gene is its decision's last candidate."""
    return sum(gene / (index + 1) for index, gene in enumerate(genes)) / 10


def finished(number: int, proposal: Proposal, order: int, asked_after: int, state: TrialState, reward: float) -> Trial:
    return make_trial(
        number,
        genes=proposal.genes,
        parent=proposal.parent,
        state=state,
        asked_after=asked_after,
        done_order=order,
        reward=reward if state is TrialState.DONE else None,
        cost={"latency_ms": 100.0 * (1 + sum(proposal.genes))},
    )


def simulate(
    subject: Controller, trials: int, workers: int = 1, seed: int = 0, states: Sequence[TrialState] = (TrialState.DONE,)
) -> list[Trial]:
    """Drive a controller as the loop does, with trials that end in random order; return them in completion order."""
    rng = random.Random(seed)
    running: list[tuple[int, Proposal, int]] = []
    done: list[Trial] = []
    asked = 0
    while asked < trials or running:
        while len(running) < workers and asked < trials and (proposal := subject.ask()) is not None:
            running.append((asked, proposal, len(done)))
            asked += 1
        if not running:
            break
        number, proposal, asked_after = running.pop(rng.randrange(len(running)))
        state = rng.choice(states)
        done.append(finished(number, proposal, len(done), asked_after, state, smooth(proposal.genes)))
        subject.tell(done[-1])
    return done


ALL_STATES = (TrialState.DONE, TrialState.FAILED, TrialState.PRUNED)


@pytest.mark.parametrize("name", controller_names())
class TestConformance:
    def test_proposes_points_of_the_space(self, name: str) -> None:
        for trial in simulate(controller(name), 60):
            assert len(trial.genes) == len(SIZES)
            assert all(0 <= gene < size for gene, size in zip(trial.genes, SIZES, strict=True))

    @pytest.mark.parametrize("workers", [1, 4])
    def test_proposes_no_point_twice_and_ends_when_all_were_proposed(self, name: str, workers: int) -> None:
        sizes = (3, 2, 4)
        subject = controller(name, sizes)
        trials = simulate(subject, 1000, workers, states=ALL_STATES)
        assert Counter(trial.genes for trial in trials).most_common(1)[0][1] == 1
        assert len(trials) == math.prod(sizes)
        assert subject.ask() is None

    def test_same_seed_same_proposals(self, name: str) -> None:
        first, second = (simulate(controller(name, seed=3), 40) for _ in range(2))
        assert first == second
        assert first != simulate(controller(name, seed=4), 40)

    @settings(max_examples=25, deadline=None)
    @given(workers=st.integers(1, 6), cut=st.integers(0, 50), seed=st.integers(0, 1000))
    def test_replaying_restores_it_at_any_moment(self, name: str, workers: int, cut: int, seed: int) -> None:
        number = 15 if name == "pyglove" else 50  # PyGlove takes tens of milliseconds for a proposal
        trials = simulate(controller(name), number, workers, seed, states=ALL_STATES)
        # What the store holds when the first `cut` trials are done: those, and the ones that run.
        asked = [t for t in trials if t.asked_after <= cut]
        stored = [
            t if t.done_order is not None and t.done_order < cut
            else make_trial(t.number, genes=t.genes, parent=t.parent, asked_after=t.asked_after,
                            state=TrialState.RUNNING, done_order=None)
            for t in asked
        ]  # fmt: skip
        subject = controller(name)
        random.Random(seed).shuffle(stored)
        replay(subject, stored)
        assert subject.told == min(cut, number)
        later = sorted((t for t in trials if t not in asked), key=lambda t: t.number)
        by_order = sorted(trials, key=lambda t: t.done_order or 0)
        for trial in later:
            while subject.told < trial.asked_after:
                subject.tell(by_order[subject.told])
            assert subject.ask() == Proposal(trial.genes, trial.parent)

    def test_replaying_another_searchs_history_is_refused(self, name: str) -> None:
        history = simulate(controller(name, seed=1), 20)
        with pytest.raises(StudyError, match="trial 0 of the study is not what this search proposes"):
            replay(controller(name, seed=2), history)

    def test_replaying_a_history_with_a_gap_is_refused(self, name: str) -> None:
        history = simulate(controller(name), 20)
        with pytest.raises(StudyError, match="gap"):
            replay(controller(name), history[:5] + history[6:])

    def test_useless_results_teach_nothing(self, name: str) -> None:
        """Failures, NaN and infinite rewards: the proposals are those of a controller that was told other failures."""

        def run(rewards: Callable[[int], float | None]) -> list[Proposal | None]:
            subject = controller(name)
            proposals = []
            for number in range(40):
                proposals.append(proposal := subject.ask())
                assert proposal is not None
                reward = rewards(number)
                state = TrialState.FAILED if reward is None else TrialState.DONE
                subject.tell(make_trial(number, genes=proposal.genes, state=state, reward=reward))
            return proposals

        useless: list[float | None] = [float("nan"), float("inf"), -float("inf"), None]
        assert run(lambda number: useless[number % 4]) == run(lambda number: None)

    def test_given_networks_come_first_and_once(self, name: str) -> None:
        initial = [(1, 2, 3, 1, 4, 2), (0, 0, 0, 0, 0, 0), (1, 2, 3, 1, 4, 2)]

        def make() -> Controller:
            return ControllerConfig(name=name, options=OPTIONS.get(name, {})).make(SIZES, 0, initial=initial)

        trials = simulate(make(), 30, states=ALL_STATES)
        assert [trial.genes for trial in trials[:2]] == initial[:2]
        assert len({trial.genes for trial in trials}) == 30
        replay(make(), trials)
        with pytest.raises(StudyError, match="trial 0 of the study is not what this search proposes"):
            replay(controller(name), trials)

    def test_a_running_trial_cannot_be_told(self, name: str) -> None:
        with pytest.raises(StudyError, match="still runs"):
            controller(name).tell(make_trial(0, state=TrialState.RUNNING, done_order=None))

    def test_a_decision_with_one_candidate_is_fine(self, name: str) -> None:
        trials = simulate(controller(name, (1, 30, 1)), 25)
        assert {trial.genes[0] for trial in trials} == {0}

    def test_impossible_space(self, name: str) -> None:
        with pytest.raises(ConfigError, match="no candidate"):
            controller(name, (3, 0))


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

    @settings(max_examples=20, deadline=None)
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


class TestConfig:
    def test_options_are_completed(self) -> None:
        config = ControllerConfig(options={"population_size": 20}).complete()
        defaults = {"mutations": 1, "initial_mutations": None}
        assert config.options == {"population_size": 20, "tournament_size": 10, **defaults}
        assert config.complete() == config

    def test_the_default_tournament_fits_a_small_population(self) -> None:
        assert ControllerConfig(options={"population_size": 4}).complete().options["tournament_size"] == 4
        assert simulate(RegularizedEvolution(SIZES, population_size=4), 20)

    def test_unknown_names_come_with_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'evolution'"):
            ControllerConfig(name="evolutoin").complete()
        with pytest.raises(ConfigError, match="did you mean 'population_size'"):
            ControllerConfig(options={"populaton": 3}).complete()

    def test_a_name_cannot_be_taken_twice(self) -> None:
        with pytest.raises(ConfigError, match="exists already"):
            register_controller("random")(RegularizedEvolution)


class TestPyGlove:
    sizes = (4,) * 8

    def test_its_evolution_beats_random_search(self) -> None:
        def best_of(subject: Controller) -> float:
            return max(smooth(trial.genes) for trial in simulate(subject, 120))

        evolved = PyGlove(self.sizes, arguments={"population_size": 20, "tournament_size": 5})
        assert best_of(evolved) > best_of(RandomSearch(self.sizes))

    @pytest.mark.parametrize("algorithm", ["hill_climb", "random"])
    def test_other_algorithms_resume_too(self, algorithm: str) -> None:
        trials = simulate(PyGlove(self.sizes, algorithm=algorithm), 20, workers=3, states=ALL_STATES)
        assert len({trial.genes for trial in trials}) == 20
        replay(PyGlove(self.sizes, algorithm=algorithm), trials)

    def test_it_leaves_the_global_generator_alone(self) -> None:
        random.seed(1)
        expected = [random.random() for _ in range(2)]
        random.seed(1)
        first = random.random()
        simulate(PyGlove(self.sizes), 3)
        assert [first, random.random()] == expected

    def test_an_algorithm_of_ones_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pyglove_controller, "_algorithms", dict(pyglove_controller._algorithms))

        @pg.members([("seed", pg.typing.Int())])
        class Countdown(pg.DNAGenerator):
            """Proposes points in order, and remembers what it was told."""

            def _setup(self) -> None:
                self.told: list[float] = []

            def _propose(self) -> pg.DNA:
                if self.num_proposals == 3:
                    raise StopIteration
                return pg.DNA([self.num_proposals] * 8)

            def _feedback(self, dna: pg.DNA, reward: float) -> None:
                self.told.append(reward)

        register_algorithm("countdown", Countdown)
        subject = ControllerConfig(name="pyglove", options={"algorithm": "countdown"}).make(self.sizes, 7)
        trials = simulate(subject, 5)
        assert [trial.genes for trial in trials[:3]] == [(n,) * 8 for n in range(3)]
        assert isinstance(subject, PyGlove)
        assert subject._algorithm.told == [trial.reward for trial in trials[:3]]
        with pytest.raises(ConfigError, match="'countdown' exists already"):
            register_algorithm("countdown", pg.geno.Random)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"algorithm": "hil_climb"}, "did you mean 'hill_climb'"),
            ({"arguments": {"colour": 3}}, "algorithm 'regularized_evolution' of PyGlove: .*colour"),
            ({"arguments": {"population_size": "many"}}, "algorithm 'regularized_evolution' of PyGlove"),
            ({"arguments": {"seed": 1}}, "seed"),
        ],
    )
    def test_wrong_options_are_one_line(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said) as error:
            ControllerConfig(name="pyglove", options=options).make(self.sizes, 0)
        assert "\n" not in str(error.value)
