"""The spread between candidates stands beside the spread between seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from search_fakes import make_trial

from ednas.arch import Architecture
from ednas.search.evaluators.base import Evaluation
from ednas.search.executors import InlineExecutor
from ednas.search.noise import measure_noise
from ednas.search.objective import Objective
from ednas.search.trial import Trial, TrialState

OBJECTIVE = Objective(limits={})


@dataclass
class Noisy:
    """Measures what each candidate is said to be worth, and chance."""

    spread: float
    values: list[float]
    asked: list[int] = field(default_factory=list)
    fails: frozenset[int] = frozenset()

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        number = len(self.asked)
        self.asked.append(seed)
        if number in self.fails:
            raise ValueError("no good")
        value = self.values[number] + np.random.default_rng([seed, number]).normal(0.0, self.spread)
        return Evaluation({"segmentation": {"miou": 100 * float(value)}})


def trials(values: list[float]) -> list[Trial]:
    return [make_trial(number, accuracy=value) for number, value in enumerate(values)]


def test_the_spreads_are_those_of_candidates_and_of_seeds() -> None:
    chance = np.random.default_rng(0)
    worth = np.sort(chance.normal(0.5, 0.06, 400))
    found = trials([float(value) for value in worth + chance.normal(0.0, 0.02, 400)])
    by_accuracy = sorted(range(400), key=lambda number: (found[number].accuracy, number))
    evaluator = Noisy(0.02, [float(worth[number]) for number in by_accuracy])
    noise = measure_noise(found, InlineExecutor(evaluator), OBJECTIVE, seed=7, repeats=400)
    assert noise is not None
    assert noise.candidates == pytest.approx(math.hypot(0.06, 0.02), rel=0.1)
    assert noise.seeds == pytest.approx(0.02, rel=0.1)
    assert noise.ratio == pytest.approx(math.hypot(3, 1), rel=0.15)
    assert (noise.judged, noise.repeated) == (400, 400)
    assert set(evaluator.asked) == {7}


def test_the_chosen_are_spread_over_the_ranking() -> None:
    asked: list[int] = []

    class Listening(InlineExecutor):
        def submit(self, job):  # type: ignore[no-untyped-def]
            asked.append(job.number)
            super().submit(job)

    found = trials([0.3, 0.9, 0.1, 0.5, 0.7])
    found += [make_trial(5, accuracy=None, state=TrialState.FAILED), make_trial(6, accuracy=None)]
    measure_noise(found, Listening(Noisy(0.0, [0.5] * 3)), OBJECTIVE, seed=1, repeats=3)
    assert asked == [2, 3, 1]


def test_a_failed_repeat_is_left_out() -> None:
    evaluator = Noisy(0.0, [0.1, 0.2, 0.4], fails=frozenset({1}))
    noise = measure_noise(trials([0.1, 0.2, 0.3]), InlineExecutor(evaluator), OBJECTIVE, seed=1, repeats=3)
    assert noise is not None
    assert noise.repeated == 2
    assert noise.seeds == pytest.approx(math.sqrt((0.1**2 / 2) / 2))


def test_no_chance_at_all_has_no_ratio_in_json() -> None:
    noise = measure_noise(trials([0.25, 0.5]), InlineExecutor(Noisy(0.0, [0.25, 0.5])), OBJECTIVE, seed=1, repeats=2)
    assert noise is not None
    assert noise.ratio == math.inf
    assert noise.to_json()["ratio"] is None


@pytest.mark.parametrize(("values", "repeats"), [([0.1], 4), ([0.1, 0.2], 1), ([], 2)])
def test_one_pair_says_nothing(values: list[float], repeats: int) -> None:
    assert measure_noise(trials(values), InlineExecutor(Noisy(0.0, [])), OBJECTIVE, seed=1, repeats=repeats) is None
