"""Rank correlations and their certainty, against scipy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ednas.search.agreement import (
    bootstrap,
    ceiling,
    kendall,
    probability,
    regret,
    spearman,
    top_hits,
    worst_found,
)

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20)


@given(pairs)
def test_rank_correlations_are_scipys(values):
    first, second = zip(*values, strict=True)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(kendall(first, second))
        assert math.isnan(spearman(first, second))
        return
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


def noisy_scores(rng: np.random.Generator, count: int, r: float, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of networks by several trainings; two of them correlate by ``r``."""
    quality = rng.normal(size=count) * math.sqrt(r)
    return quality + rng.normal(size=(seeds, count)) * math.sqrt(1 - r), quality


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_ceiling_is_what_the_true_ranking_reaches(seeds):
    scores, quality = noisy_scores(np.random.default_rng(0), 3000, 0.7, seeds)
    reliability = 0.7 / (0.7 + 0.3 / seeds)
    assert ceiling(reliability) == pytest.approx(kendall(scores.mean(0), quality), abs=0.02)


def test_a_reference_of_chance_alone_cannot_be_met():
    assert ceiling(0.0) == ceiling(-0.2) == 0
    assert ceiling(1.0) == ceiling(1.1) == pytest.approx(1)


def test_the_interval_holds_the_true_value_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    r = math.sin(math.pi * 0.5 / 2)  # of normal scores whose tau is 0.5
    held = 0
    for trial in range(40):
        first = rng.normal(size=32)
        second = r * first + math.sqrt(1 - r * r) * rng.normal(size=32)
        found = bootstrap(32, lambda rows: kendall(first[rows], second[rows]), seed=trial)  # noqa: B023
        held += found.low <= 0.5 <= found.high
        assert found.value == kendall(first, second)
    assert held >= 33  # 95 % of 40 is 38


def test_an_interval_of_networks_that_are_all_alike_is_unknown():
    found = bootstrap(4, lambda rows: kendall(np.zeros(len(rows)), rows))
    assert math.isnan(found.value)
    assert math.isnan(found.low)


def test_a_better_evaluator_is_probably_better():
    truth = np.arange(24.0)
    noise = np.random.default_rng(2).normal(size=24) * 30

    def better(rows: np.ndarray) -> float:
        return kendall(truth[rows], truth[rows]) - kendall(noise[rows], truth[rows])

    assert probability(24, better) > 0.95
    assert probability(24, lambda rows: -better(rows)) < 0.05


def test_hits_regret_and_the_filter_are_counted():
    reference = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    scores = np.array([1.0, 2, 3, 4, 9, 6, 7, 8])
    assert top_hits(scores, reference) == 0.5  # chosen 5 and 8, best 7 and 8
    assert regret(scores, reference) == 3
    assert worst_found(scores, reference) == 1
    assert worst_found(-scores, reference) == 0
