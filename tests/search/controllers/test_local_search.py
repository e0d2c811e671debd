"""Local search on functions whose local optima are known."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from helpers.controllers import ask, finished, simulate, smooth
from helpers.profiles import examples
from helpers.searches import make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch.space import Genes
from ednas.exceptions import ConfigError
from ednas.search.controllers import ControllerConfig, Proposal
from ednas.search.controllers.local_search import LocalSearch, neighbours
from ednas.search.trial import TrialState
from ednas.seeding import derive_seed


def rugged(genes: Genes) -> float:
    """A function with many local optima: a random number for every point, on a gentle slope."""
    return random.Random(derive_seed(0, *genes)).random() + sum(genes) / 20


def changes(first: Genes, second: Genes) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))


def tell(subject: LocalSearch, number: int, proposal: Proposal, reward: float) -> None:
    subject.tell(finished(number, proposal, number, number, TrialState.DONE, reward))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_neighbours_are_all_points_with_one_change(sizes: Sequence[int], rng: random.Random) -> None:
    genes = tuple(rng.randrange(size) for size in sizes)
    found = neighbours(genes, sizes)
    assert len(set(found)) == len(found) == sum(size - 1 for size in sizes)
    assert all(changes(genes, other) == 1 and all(map(int.__lt__, other, sizes)) for other in found)


class TestLocalSearch:
    sizes = (3,) * 6

    @settings(max_examples=examples(30))
    @given(seed=st.integers(0, 999), kick=st.sampled_from([None, 2, 3]))
    def test_it_climbs_by_the_first_improvement_and_restarts_at_local_optima_alone(
        self, seed: int, kick: int | None
    ) -> None:
        subject = LocalSearch(self.sizes, seed, kick=kick)
        climbs = 0
        for number in range(200):
            before = subject.current
            proposal = ask(subject)
            if before is not None and proposal.parent is None:
                climbs += 1
                assert all(rugged(other) <= (before.reward or 0) for other in neighbours(before.genes, self.sizes))
            elif before is not None:
                assert proposal.parent == before.number
                assert changes(proposal.genes, before.genes) == 1
            value = rugged(proposal.genes)
            tell(subject, number, proposal, value)
            after = subject.current
            assert after is not None
            if before is not None and proposal.parent is not None:
                assert (after is not before) == (value > (before.reward or 0))
        assert climbs > 3

    @settings(max_examples=examples(30))
    @given(seed=st.integers(0, 999), workers=st.integers(1, 6))
    def test_the_best_is_a_local_optimum_whatever_is_in_flight(self, seed: int, workers: int) -> None:
        subject = LocalSearch(self.sizes, seed)
        rng = random.Random(seed)
        running: list[tuple[int, Proposal]] = []
        rewards: dict[Genes, float] = {}
        for number in range(300):
            proposal = ask(subject)
            running.append((number, proposal))
            while len(running) >= workers:
                told, proposal = running.pop(rng.randrange(len(running)))
                rewards[proposal.genes] = rugged(proposal.genes)
                tell(subject, told, proposal, rewards[proposal.genes])
        best = max(rewards, key=rewards.__getitem__)
        assert all(rugged(other) <= rewards[best] for other in neighbours(best, self.sizes))

    def test_neighbours_come_in_random_order(self) -> None:
        orders = set()
        for seed in range(3):
            subject = ControllerConfig(name="local_search").make((5, 5, 5), seed, initial=[(1, 2, 3)])
            trials = simulate(subject, 1, states=[TrialState.DONE])
            order = tuple(ask(subject).genes for _ in range(12))
            assert set(order) == set(neighbours(trials[0].genes, (5, 5, 5)))
            orders.add(order)
        assert len(orders) == 3

    @pytest.mark.parametrize(("kick", "expected"), [(4, {4}), (2, {2})])
    def test_a_new_climb_begins_some_decisions_from_the_best(self, kick: int, expected: set[int]) -> None:
        subject = LocalSearch((4,) * 8, kick=kick)
        tell(subject, 0, first := ask(subject), 1.0)
        for number in range(1, 25):
            tell(subject, number, ask(subject), 0.0)
        begins = [ask(subject) for _ in range(10)]
        assert {changes(proposal.genes, first.genes) for proposal in begins} == expected
        assert {proposal.parent for proposal in begins} == {None}

    def test_it_begins_at_the_best_of_the_initial_candidates(self) -> None:
        initial = [(0,) * 6, (2,) * 6, (1,) * 6]
        subject = ControllerConfig(name="local_search").make(self.sizes, 0, initial=initial)
        trials = simulate(subject, 4)
        assert [trial.genes for trial in trials[:3]] == initial
        assert trials[3].parent == 1

    def test_late_results_of_an_earlier_climb_do_not_lead_back_unless_they_are_the_best(self) -> None:
        subject = LocalSearch((3, 3), kick=2)
        tell(subject, 0, ask(subject), 0.5)
        late = [ask(subject) for _ in range(4)]
        tell(subject, 5, ask(subject), 0.1)
        assert subject.current is not None
        assert subject.current.number == 5
        tell(subject, 1, late[0], 0.3)
        assert subject.current.number == 5
        tell(subject, 2, late[1], 0.7)
        assert subject.current.number == 2

    def test_where_little_is_fast_enough_it_comes_down_to_the_limits(self) -> None:
        """Random candidates would meet this limit once in 280,000 draws."""
        subject = ControllerConfig(name="local_search").make((4,) * 24, 0, {"latency_ms": 1300.0})
        states = []
        for number in range(600):
            proposal = ask(subject)
            states.append(TrialState.DONE if sum(proposal.genes) <= 12 else TrialState.PRUNED)
            subject.tell(finished(number, proposal, number, number, states[-1], smooth(proposal.genes)))
        assert isinstance(subject, LocalSearch)
        assert subject.current is not None
        assert subject.current.state is TrialState.DONE
        assert states.count(TrialState.DONE) > 50

    def test_a_pruned_neighbour_never_takes_the_place_of_one_that_was_trained(self) -> None:
        subject = LocalSearch(self.sizes)
        tell(subject, 0, ask(subject), 0.0)
        proposal = ask(subject)
        pruned = make_trial(1, genes=proposal.genes, parent=0, state=TrialState.PRUNED, reward=None)
        subject.tell(pruned)
        assert subject.current is not None
        assert subject.current.number == 0

    def test_wrong_options_are_one_line(self) -> None:
        with pytest.raises(ConfigError, match="'kick'"):
            LocalSearch(self.sizes, kick=1)
