"""One conformance suite for every controller, and what is particular to each."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
from helpers.controllers import ALL_STATES, OPTIONS, SIZES, controller, simulate
from helpers.profiles import examples
from helpers.searches import make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.exceptions import ConfigError, StudyError
from ednas.search.controllers import (
    Controller,
    ControllerConfig,
    Proposal,
    controller_names,
    replay,
)
from ednas.search.trial import TrialState


@pytest.mark.parametrize("name", controller_names())
class TestConformance:
    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_same_seed_same_proposals(self, name: str) -> None:
        first, second = (simulate(controller(name, seed=3), 40) for _ in range(2))
        assert first == second
        assert first != simulate(controller(name, seed=4), 40)

    @settings(max_examples=examples(25))
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

    @pytest.mark.slow
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

    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_a_decision_with_one_candidate_is_fine(self, name: str) -> None:
        trials = simulate(controller(name, (1, 30, 1)), 25)
        assert {trial.genes[0] for trial in trials} == {0}

    def test_impossible_space(self, name: str) -> None:
        with pytest.raises(ConfigError, match="no candidate"):
            controller(name, (3, 0))
