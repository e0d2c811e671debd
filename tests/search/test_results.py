"""The Pareto set, the best trial, and the files that hold them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_fakes import make_trial

from ednas.arch import load_architecture
from ednas.exceptions import StudyError
from ednas.search.results import best, pareto, summarise, write_results
from ednas.search.trial import Trial, TrialState


def trial(number: int, latency_ms: float, accuracy: float, reward: float | None = None) -> Trial:
    reward = accuracy if reward is None else reward
    return make_trial(number, cost={"latency_ms": latency_ms}, accuracy=accuracy, reward=reward)


USELESS = [
    make_trial(100, state=TrialState.FAILED, reward=None, accuracy=None, error="no memory"),
    make_trial(101, state=TrialState.PRUNED, reward=None, accuracy=None, error="too slow"),
    make_trial(102, state=TrialState.RUNNING, reward=None, accuracy=None, done_order=None),
]

few_values = st.integers(1, 6).map(float)
trials_strategy = st.lists(st.tuples(few_values, few_values), max_size=30).map(
    lambda pairs: [trial(number, *pair) for number, pair in enumerate(pairs)]
)


def dominates(a: Trial, b: Trial) -> bool:
    assert a.accuracy is not None
    assert b.accuracy is not None
    pair = (-a.cost["latency_ms"], a.accuracy), (-b.cost["latency_ms"], b.accuracy)
    return all(x >= y for x, y in zip(*pair, strict=True)) and pair[0] != pair[1]


@given(trials_strategy)
def test_the_pareto_set_against_its_definition(trials: list[Trial]) -> None:
    front = pareto([*trials, *USELESS])
    undominated = [t for t in trials if not any(dominates(other, t) for other in trials)]
    assert {(t.cost["latency_ms"], t.accuracy) for t in front} == {
        (t.cost["latency_ms"], t.accuracy) for t in undominated
    }
    latencies = [t.cost["latency_ms"] for t in front]
    assert latencies == sorted(set(latencies))
    assert all(
        t.number == min(o.number for o in undominated if (o.cost, o.accuracy) == (t.cost, t.accuracy)) for t in front
    )


class TestBest:
    def test_the_highest_reward_among_those_that_meet_the_target(self) -> None:
        trials = [trial(0, 9.0, 0.5), trial(1, 10.0, 0.6), trial(2, 10.1, 0.9), *USELESS]
        assert best(trials, 10.0) == trials[1]

    def test_where_none_meets_it_the_highest_reward(self) -> None:
        trials = [trial(0, 12.0, 0.5), trial(1, 20.0, 0.9, reward=0.4)]
        assert best(trials, 10.0) == trials[0]
        assert not summarise(trials, 10.0).feasible

    def test_of_equal_ones_the_faster_then_the_earlier(self) -> None:
        trials = [trial(0, 9.0, 0.5), trial(2, 8.0, 0.5), trial(1, 8.0, 0.5)]
        assert best(trials, 10.0) == trials[2]

    def test_none_if_nothing_is_done(self) -> None:
        assert best(USELESS, 10.0) is None
        with pytest.raises(StudyError, match="none of its 3 trials is done; the last reason: too slow"):
            summarise(USELESS, 10.0)


def test_the_files(tmp_path: Path) -> None:
    trials = [trial(0, 9.0, 0.5), trial(1, 10.0, 0.6), trial(2, 11.0, 0.9), trial(3, 10.5, 0.1)]
    write_results(summarise(trials, 10.0), tmp_path)
    best_json = json.loads((tmp_path / "best.json").read_text())
    assert (best_json["trial"], best_json["feasible"], best_json["reward"]) == (1, True, 0.6)
    assert (best_json["latency_ms"], best_json["target_ms"]) == (10.0, 10.0)
    pareto_json = json.loads((tmp_path / "pareto.json").read_text())
    assert [entry["trial"] for entry in pareto_json["trials"]] == [0, 1, 2]
    architecture = load_architecture(tmp_path / "best.json")
    assert architecture.fingerprint() == load_architecture("base").fingerprint()
    assert architecture.name == "trial_1"
