"""Claims: the tests against formulas of their own, and when they decide."""

from __future__ import annotations

import math
import statistics
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.exceptions import ConfigError
from ednas.metrics import ModelMetrics
from ednas.reproduce.claims import AtMost, Better, Measured, Steadier, check_tests, quantity

BASE = {"segmentation": {"miou": 40.0, "pixel_acc": 80.0}, "depth": {"abs_err": 0.02, "rel_err": 0.4}}


def row(name, *errors, miou=40.0, directions=None):
    """A row by its relative errors, one a seed; the rest is the baseline's."""
    seeds = {
        seed: {"segmentation": {"miou": miou, "pixel_acc": 80.0}, "depth": {"abs_err": 0.02, "rel_err": error}}
        for seed, error in enumerate(errors)
    }
    means = {**BASE, "depth": {"abs_err": 0.02, "rel_err": statistics.mean(errors)}}
    return Measured(
        ModelMetrics(name, "standard", means, directions or {}, by_seed=seeds), ModelMetrics("base", "standard", BASE)
    )


def t_tail(t: float, degrees: int) -> float:
    """The upper tail of Student's t distribution, by integrating its density."""
    x = np.linspace(t, t + 400, 400_001)
    density = (
        math.gamma((degrees + 1) / 2)
        / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))
        * (1 + x**2 / degrees) ** (-(degrees + 1) / 2)
    )
    return float(np.trapezoid(density, x))


class TestQuantity:
    def test_gains_are_over_the_baseline(self):
        found = quantity(row("model", 0.4, 0.3, miou=44.0), "delta")
        # Segmentation gains (10 + 0) / 2, depth (0 + 25) / 2 with the second seed; the mean of both tasks.
        assert found == pytest.approx({0: 2.5, 1: (5 + 12.5) / 2})
        assert quantity(row("model", 0.4, 0.3), "delta.depth") == pytest.approx({0: 0.0, 1: 12.5})

    def test_of_a_metric_higher_is_better(self):
        assert quantity(row("model", 0.4, 0.3), "depth.rel_err") == {0: -0.4, 1: -0.3}
        assert quantity(row("model", 0.4, miou=44.0), "segmentation.miou") == {0: 44.0}


class TestBetter:
    def test_it_is_the_paired_t_test(self):
        measured = {"new": row("new", 0.30, 0.33, 0.29, 0.31), "old": row("old", 0.40, 0.38, 0.41, 0.37)}
        verdict = Better("", "new", "old", "depth.rel_err").judge(measured, 4)
        differences = [0.10, 0.05, 0.12, 0.06]
        t = statistics.mean(differences) / (statistics.stdev(differences) / 2)
        assert verdict.p_value == pytest.approx(t_tail(t, 3), rel=1e-3)
        assert (verdict.outcome, verdict.runs, verdict.wanted) == ("holds", 4, 4)
        assert verdict.effect == pytest.approx(100 * statistics.mean(differences) / 0.39)

    def test_to_the_other_side_it_does_not_hold(self):
        measured = {"new": row("new", 0.30, 0.33, 0.29), "old": row("old", 0.40, 0.41, 0.38)}
        assert Better("", "old", "new", "depth.rel_err").judge(measured, 3).outcome == "does not hold"

    def test_what_chance_may_have_done_is_undecided(self):
        measured = {"new": row("new", 0.30, 0.42, 0.35), "old": row("old", 0.33, 0.40, 0.36)}
        assert Better("", "new", "old").judge(measured, 3).outcome == "undecided"

    def test_with_fewer_runs_than_asked_for_it_is_undecided(self):
        measured = {"new": row("new", 0.30, 0.33, 0.29), "old": row("old", 0.40, 0.41, 0.38)}
        verdict = Better("", "new", "old", "depth.rel_err").judge(measured, 8)
        assert (verdict.outcome, verdict.runs, verdict.wanted) == ("undecided", 3, 8)
        assert verdict.p_value < 0.05

    def test_only_seeds_that_both_have_are_paired(self):
        measured = {"new": row("new", 0.30, 0.33, 0.29), "old": row("old", 0.40)}
        verdict = Better("", "new", "old").judge(measured, 3)
        assert (verdict.runs, verdict.p_value, verdict.outcome) == (1, None, "undecided")

    @pytest.mark.parametrize(
        ("by", "effect"), [("delta.depth", "points of Δ"), ("depth.rel_err", "% better"), ("x.y_percent", "points")]
    )
    def test_effects_say_their_unit(self, by, effect):
        assert Better("", "new", "old", by).effect == effect

    def test_equal_rows_decide_nothing(self):
        measured = {"new": row("new", 0.3, 0.3, 0.3), "old": row("old", 0.3, 0.3, 0.3)}
        verdict = Better("", "new", "old").judge(measured, 3)
        assert (verdict.p_value, verdict.outcome, verdict.effect) == (None, "undecided", 0)

    def test_differences_that_are_all_alike_are_certain(self):
        measured = {"new": row("new", 0.3, 0.35, 0.4), "old": row("old", 0.4, 0.45, 0.5)}
        assert Better("", "new", "old", "depth.rel_err").judge(measured, 3).outcome == "holds"
        assert Better("", "old", "new", "depth.rel_err").judge(measured, 3).outcome == "does not hold"

    def test_a_baseline_of_zero_leaves_nothing_to_compare(self):
        nothing = {"segmentation": {"miou": 0.0, "pixel_acc": 0.0}, "depth": BASE["depth"]}
        old = Measured(row("old", 0.4, 0.5, 0.3).metrics, ModelMetrics("base", "standard", nothing))
        verdict = Better("", "new", "old").judge({"new": old, "old": old}, 3)
        assert (verdict.outcome, verdict.effect, verdict.runs) == ("undecided", None, 0)
        zeros = {"new": row("new", 0.1, 0.2, 0.3), "old": row("old", 0.0, 0.0, 0.0)}
        assert Better("", "new", "old", "depth.rel_err").judge(zeros, 3).effect is None
        assert Steadier("", "new", "old", "depth.rel_err").judge(zeros, 3).outcome == "undecided"

    @given(st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)), min_size=3, max_size=8))
    def test_a_claim_and_its_reverse_share_the_probability(self, pairs):
        first, second = zip(*pairs, strict=True)
        measured = {"new": row("new", *first), "old": row("old", *second)}
        one = Better("", "new", "old", "depth.rel_err").judge(measured, 3).p_value
        other = Better("", "old", "new", "depth.rel_err").judge(measured, 3).p_value
        assert (one is None) == (other is None)
        if one is not None:
            assert one + other == pytest.approx(1, abs=1e-9)


class TestSteadier:
    def test_it_is_the_pitman_morgan_test_of_logarithms(self):
        steady, wild = [0.30, 0.31, 0.305, 0.302, 0.309], [0.40, 0.30, 0.36, 0.45, 0.33]
        verdict = Steadier("", "new", "old", "depth.rel_err").judge(
            {"new": row("n", *steady), "old": row("o", *wild)}, 5
        )
        x, y = np.log(steady), np.log(wild)
        r = np.corrcoef(x + y, y - x)[0, 1]
        t = r * math.sqrt(3 / (1 - r**2))
        assert verdict.p_value == pytest.approx(t_tail(t, 3), rel=1e-3)
        assert verdict.outcome == "holds"
        assert verdict.effect == pytest.approx(100 * (np.std(x) / np.std(y) - 1))

    def test_scale_does_not_matter(self):
        values = [0.30, 0.33, 0.28, 0.31]
        measured = {"new": row("n", *values), "old": row("o", *(10 * value for value in values))}
        verdict = Steadier("", "new", "old", "depth.rel_err").judge(measured, 4)
        assert verdict.outcome == "undecided"
        assert verdict.effect == pytest.approx(0, abs=1e-9)

    def test_two_runs_say_nothing(self):
        measured = {"new": row("n", 0.3, 0.31), "old": row("o", 0.3, 0.5)}
        verdict = Steadier("", "new", "old", "depth.rel_err").judge(measured, 2)
        assert (verdict.p_value, verdict.effect, verdict.outcome) == (None, None, "undecided")

    def test_one_in_twenty_equal_rows_seems_steadier(self):
        random, decided = np.random.default_rng(0), 0
        for _ in range(400):
            first, second = (np.exp(0.05 * random.standard_normal(8)) for _ in range(2))
            measured = {"new": row("n", *first), "old": row("o", *second)}
            decided += Steadier("", "new", "old", "depth.rel_err").judge(measured, 8).outcome == "holds"
        assert 8 <= decided <= 34  # 20 expected; a binomial count is within this with 99.8 %


class TestAtMost:
    def judge(self, ours, theirs, wanted=3, factor=1.1):
        rows = {}
        for name, values in (("new", ours), ("old", theirs)):
            seeds = {number: {"coral": {"latency_ms": value}} for number, value in enumerate(values)}
            metrics = ModelMetrics(name, "standard", {}, by_seed=seeds)
            rows[name] = Measured(metrics, metrics)
        return AtMost("", "new", "old", "coral.latency_ms", factor=factor).judge(rows, wanted)

    def test_every_round_has_to_agree(self):
        assert self.judge([1.0, 1.1, 1.05], [1, 1, 1]).outcome == "holds"
        assert self.judge([1.0, 1.2, 1.05], [1, 1, 1]).outcome == "undecided"
        assert self.judge([1.2, 1.3, 1.25], [1, 1, 1]).outcome == "does not hold"

    def test_effects_are_of_the_mean_ratio(self):
        verdict = self.judge([2.0, 4.0, 3.0], [1, 1, 1])
        assert (verdict.effect, verdict.p_value, verdict.runs) == (pytest.approx(3), None, 3)

    def test_an_estimate_needs_no_rounds(self):
        claim = AtMost("", "new", "old", "coral.latency_ms", rounds=1)
        metrics = ModelMetrics("x", "standard", {}, by_seed={0: {"coral": {"latency_ms": 1.0}}})
        verdict = claim.judge(dict.fromkeys(("new", "old"), Measured(metrics, metrics)), 3)
        assert (verdict.outcome, verdict.runs, verdict.wanted) == ("holds", 1, 1)

    def test_too_few_rounds_decide_nothing(self):
        assert self.judge([1.0], [1.0]).outcome == "undecided"
        assert self.judge([], []).effect is None


def test_without_scipy_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ConfigError, match=r'SciPy: pip install "ednas\[reproduce\]"'):
        check_tests()
