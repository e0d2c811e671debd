"""The Pareto set, the best trial, and the files that hold them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.searches import make_trial
from hypothesis import given
from hypothesis import strategies as st

from ednas.arch import load_architecture
from ednas.exceptions import StudyError
from ednas.search.results import best, pareto, summarise, write_results
from ednas.search.trial import Trial, TrialState


def trial(number: int, latency_ms: float, accuracy: float, reward: float | None = None) -> Trial:
    reward = accuracy if reward is None else reward
    return make_trial(number, cost={"latency_ms": latency_ms}, accuracy=accuracy, reward=reward)


TARGET = {"latency_ms": 10.0}
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


QUANTITIES_3 = ("latency_ms", "energy_mj", "params")


@given(
    st.lists(st.tuples(*[few_values] * 4), max_size=25),
    st.lists(st.sampled_from(("accuracy", *QUANTITIES_3)), min_size=1, unique=True),
)
def test_the_pareto_set_of_any_objectives_against_brute_force(
    points: list[tuple[float, ...]], objectives: list[str]
) -> None:
    trials = [
        make_trial(number, accuracy=point[0], cost=dict(zip(QUANTITIES_3, point[1:], strict=True)))
        for number, point in enumerate(points)
    ]

    def goodness(t: Trial) -> list[float]:
        return [(t.accuracy or 0) if name == "accuracy" else -t.cost[name] for name in objectives]

    def beats(a: Trial, b: Trial) -> bool:
        pairs = list(zip(goodness(a), goodness(b), strict=True))
        return all(x >= y for x, y in pairs) and (any(x > y for x, y in pairs) or a.number < b.number)

    expected = {t.number for t in trials if not any(beats(other, t) for other in trials if other is not t)}
    assert {t.number for t in pareto([*trials, *USELESS], objectives)} == expected


class TestBest:
    def test_the_highest_reward_among_those_that_meet_the_target(self) -> None:
        trials = [trial(0, 9.0, 0.5), trial(1, 10.0, 0.6), trial(2, 10.1, 0.9), *USELESS]
        assert best(trials, TARGET) == trials[1]

    def test_where_none_meets_it_the_highest_reward(self) -> None:
        trials = [trial(0, 12.0, 0.5), trial(1, 20.0, 0.9, reward=0.4)]
        assert best(trials, TARGET) == trials[0]
        assert not summarise(trials, TARGET).feasible

    def test_of_equal_ones_the_faster_then_the_earlier(self) -> None:
        trials = [trial(0, 9.0, 0.5), trial(2, 8.0, 0.5), trial(1, 8.0, 0.5)]
        assert best(trials, TARGET) == trials[2]

    def test_every_limit_has_to_be_met(self) -> None:
        costs = [(9.0, 3.0), (11.0, 1.0), (9.5, 1.5)]
        trials = [
            make_trial(number, cost={"latency_ms": latency, "energy_mj": energy}, reward=1.0 - number / 10)
            for number, (latency, energy) in enumerate(costs)
        ]
        limits = {"latency_ms": 10.0, "energy_mj": 2.0}
        assert best(trials, limits) == trials[2]
        assert summarise(trials, limits).feasible
        assert best(trials, {}) == trials[0]
        assert not summarise(trials[:2], limits).feasible
        assert summarise(trials, {"energy_mj": 2.0}).target_ms is None

    def test_none_if_nothing_is_done(self) -> None:
        assert best(USELESS, TARGET) is None
        with pytest.raises(StudyError, match="none of its 3 trials is done; the last reason: too slow"):
            summarise(USELESS, TARGET)


def test_the_files(tmp_path: Path) -> None:
    trials = [trial(0, 9.0, 0.5), trial(1, 10.0, 0.6), trial(2, 11.0, 0.9), trial(3, 10.5, 0.1)]
    write_results(summarise(trials, TARGET), tmp_path)
    best_json = json.loads((tmp_path / "best.json").read_text())
    assert (best_json["trial"], best_json["feasible"], best_json["reward"]) == (1, True, 0.6)
    assert (best_json["latency_ms"], best_json["target_ms"]) == (10.0, 10.0)
    assert (best_json["limits"], best_json["objectives"]) == (TARGET, ["accuracy", "latency_ms"])
    pareto_json = json.loads((tmp_path / "pareto.json").read_text())
    assert [entry["trial"] for entry in pareto_json["trials"]] == [0, 1, 2]
    assert "heads" not in best_json  # of costs of which it is not known what they are for
    architecture = load_architecture(tmp_path / "best.json")
    assert architecture.fingerprint() == load_architecture("base").fingerprint()
    assert architecture.name == "trial_1"


def test_the_files_say_which_network_the_costs_are_of(tmp_path: Path) -> None:
    own_size = replace(load_architecture("base"), input_size=(64, 96)).to_text()
    trials = [trial(0, 9.0, 0.5), replace(trial(1, 8.0, 0.4), architecture=own_size)]
    heads = {"segmentation": 40, "normals": 3}
    write_results(summarise(trials, TARGET, heads=heads, input_size=(96, 128)), tmp_path)
    found = json.loads((tmp_path / "best.json").read_text())
    assert (found["input_size"], found["heads"]) == ([96, 128], heads)
    entries = json.loads((tmp_path / "pareto.json").read_text())["trials"]
    assert [(entry["input_size"], entry["heads"]) for entry in entries] == [([64, 96], heads), ([96, 128], heads)]
    assert load_architecture(tmp_path / "best.json").name == "trial_0"


def test_a_result_as_json_names_the_best_and_what_was_asked_for() -> None:
    values = summarise([trial(0, 5.0, 0.5), trial(1, 20.0, 0.75)], TARGET, input_size=(64, 128)).to_dict()
    assert (values["target_ms"], values["feasible"]) == (10.0, True)
    best_found = values["best"]
    assert (best_found["trial"], best_found["latency_ms"], best_found["input_size"]) == (0, 5.0, (64, 128))
    assert json.loads(json.dumps(values))["best"]["architecture"]["blocks"]
