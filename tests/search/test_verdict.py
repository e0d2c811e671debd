"""Verdicts on evaluators whose quality is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ednas.search.agreement import ceiling, kendall
from ednas.search.verdict import Reference, Scores, judge, measure_reference

COUNT = 64


def known_reference(seed: int = 0, noise: float = 0.3) -> tuple[Reference, np.ndarray]:
    """Networks of spread 1; half of them in the band; each trained once, sixteen twice."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=COUNT)
    first, second = (quality + noise * rng.normal(size=COUNT) for _ in range(2))
    trainings = [[a, b] if i < 16 else [a] for i, (a, b) in enumerate(zip(first, second, strict=True))]
    in_band = [i % 2 == 0 for i in range(COUNT)]
    return measure_reference(trainings, {"depth": first, "segmentation": -first}, in_band), quality


def test_noise_and_reliability_are_those_that_were_put_in():
    found = [known_reference(seed)[0] for seed in range(20)]
    assert np.mean([reference.noise for reference in found]) == pytest.approx(0.3, rel=0.1)
    assert np.mean([reference.reliability for reference in found]) == pytest.approx(1 - 0.09 / 1.09, abs=0.03)
    reference = measure_reference([[1.0, 3.0], [2.0], [6.0, 6.0]], {}, [True, False, True])
    assert reference.accuracy == pytest.approx([2, 2, 6])
    assert reference.noise == pytest.approx(1)  # half of ((1 - 3)^2 / 2 + 0)


def test_a_good_evaluator_is_trusted_and_a_cost_is_not():
    reference, quality = known_reference()
    rng = np.random.default_rng(1)
    good = Scores("good", quality + 0.3 * rng.normal(size=COUNT), seconds=2.0)
    cost = Scores("MACs", quality + 0.1 * rng.normal(size=COUNT), is_cost=True)
    chance = Scores("chance", rng.permutation(COUNT).astype(float), is_cost=True)
    weak_cost = Scores("params", quality + 1.5 * rng.normal(size=COUNT), is_cost=True)
    rows = {row.name: row for row in judge([chance, good, weak_cost], reference)}
    assert list(rows) == ["good", "params", "chance"]
    assert rows["good"].verdict == "trust"
    assert rows["good"].better_than_costs > 0.95
    assert rows["good"].tau.value == kendall(good.values, reference.accuracy)
    assert rows["good"].tau_of_ceiling == pytest.approx(rows["good"].tau.value / ceiling(reference.reliability))
    assert rows["good"].seconds == 2
    assert rows["good"].tasks["segmentation"] == -rows["good"].tasks["depth"]
    assert rows["chance"].verdict == "do not trust"
    # Behind a cost that is as good, it may filter at best: the cost is for nothing.
    against = {row.name: row for row in judge([good, cost], reference)}
    assert against["good"].verdict == "filter only"
    assert against["MACs"].verdict == "filter only"


def test_what_only_tells_costs_apart_is_not_trusted():
    reference, quality = known_reference()
    rng = np.random.default_rng(2)
    values = np.where(reference.in_band, rng.normal(size=COUNT), quality)
    (row,) = judge([Scores("outside alone", values)], reference)
    assert row.tau.value > 0.1
    assert row.tau_in_band.low < 0
    assert row.verdict != "trust"


def test_what_knows_the_worst_alone_is_a_filter():
    reference, quality = known_reference()
    rng = np.random.default_rng(3)
    below = quality < np.median(quality)
    (row,) = judge([Scores("filter", np.where(below, -1.0, 1.0) + 0.1 * rng.normal(size=COUNT))], reference)
    assert row.worst_half >= 0.8
    assert row.top_quarter < 0.9


def test_unknown_figures_are_none_in_json():
    reference = measure_reference([[1.0], [2.0], [2.5]], {}, [True, False, False])
    (row,) = judge([Scores("same", np.zeros(3))], reference)
    values = json.loads(json.dumps(row.to_json(), allow_nan=False))
    assert values["tau"]["value"] is None
    assert values["better_than_costs"] is None
    assert math.isnan(reference.reliability) or reference.reliability >= 0
