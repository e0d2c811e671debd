"""The spread between candidates stands beside the spread between seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.searches import make_trial

from ednas.search.noise import measure_noise, spread_evenly
from ednas.search.trial import Judgement, Trial, TrialState


def trials(values: list[float]) -> list[Trial]:
    return [make_trial(number, accuracy=value) for number, value in enumerate(values)]


def judged(values: dict[int, float]) -> dict[int, Judgement]:
    return {number: Judgement(value, value) for number, value in values.items()}


def test_the_spreads_are_those_of_candidates_and_of_seeds() -> None:
    chance = np.random.default_rng(0)
    worth = chance.normal(0.5, 0.06, 400)
    first, second = (worth + chance.normal(0.0, 0.02, 400) for _ in range(2))
    found = trials([float(value) for value in first])
    noise = measure_noise(found, spread_evenly(found, 400), judged({n: float(v) for n, v in enumerate(second)}))
    assert noise is not None
    assert noise.candidates == pytest.approx(math.hypot(0.06, 0.02), rel=0.1)
    assert noise.seeds == pytest.approx(0.02, rel=0.1)
    assert noise.ratio == pytest.approx(math.hypot(3, 1), rel=0.15)
    assert (noise.judged, noise.repeated) == (400, 400)


def test_the_chosen_are_spread_over_the_ranking() -> None:
    found = trials([0.3, 0.9, 0.1, 0.5, 0.7])
    found += [make_trial(5, accuracy=None, state=TrialState.FAILED, reward=None), make_trial(6, accuracy=None)]
    assert [trial.number for trial in spread_evenly(found, 3)] == [2, 3, 1]
    assert len(spread_evenly(found, 50)) == 5
    assert spread_evenly(found, 1) == spread_evenly(found, 0) == []


def test_a_failed_repeat_is_left_out_and_other_judgements_do_not_count() -> None:
    found = trials([0.1, 0.2, 0.3, 0.4])
    noise = measure_noise(found, found[:3], judged({0: 0.1, 2: 0.4, 3: 0.9}))
    assert noise is not None
    assert noise.repeated == 2
    assert noise.seeds == pytest.approx(math.sqrt((0.1**2 / 2) / 2))


def test_no_chance_at_all_has_no_ratio_in_json() -> None:
    found = trials([0.25, 0.5])
    noise = measure_noise(found, found, judged({0: 0.25, 1: 0.5}))
    assert noise is not None
    assert noise.ratio == math.inf
    assert noise.to_json()["ratio"] is None


@pytest.mark.parametrize(("values", "repeats"), [([0.1], 4), ([0.1, 0.2], 1), ([], 2)])
def test_one_pair_says_nothing(values: list[float], repeats: int) -> None:
    found = trials(values)
    assert measure_noise(found, spread_evenly(found, repeats), judged(dict(enumerate(values)))) is None
