from __future__ import annotations

import doctest
import json
import math
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ednas.scoring
from ednas.exceptions import CheckpointError, ConfigError, TrainingError
from ednas.metrics import METRICS, ModelMetrics, scored_metrics
from ednas.reproduce.paper import ROWS, PrintedRow
from ednas.scoring import (
    LARGEST_RATIO,
    accuracy,
    compare,
    limited_reward,
    metric_gain,
    paired_p_values,
    reward,
    violation,
)

GOOD = {"protocol": "standard", "tasks": {"depth": {"abs_err": 1, "rel_err": 0.25}}, "params": 3400000}
PER_METRIC, OVERALL = 0.6, 0.2  # the tables' metrics are rounded, their gains were computed before rounding


def metrics(name="model", protocol="standard", directions=None, **tasks):
    return ModelMetrics(name, protocol, tasks, directions or {})


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


class TestPublishedTables:
    def test_every_row_with_a_gain_is_here(self):
        counts = {table: sum(row.table == table for row in ROWS) for table in ("table2", "table3", "table4")}
        assert counts == {"table2": 10, "table3": 3, "table4": 8}
        assert sum(row.table == "table5" for row in ROWS) == 6
        assert sum(row.table == "table9" for row in ROWS) == 5

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.table}-{row.model}")
    def test_gains_follow_from_metrics(self, row: PrintedRow):
        baseline = metrics("baseline", "adashare", **row.tasks(row.baseline))
        gain = compare(baseline, [metrics(row.model, "adashare", **row.tasks(row.values))]).models[0]
        assert gain.name == row.model
        assert gain.delta == pytest.approx(row.overall, abs=OVERALL)
        if row.by_task:
            found = [task.delta for task in gain.tasks.values()]
            assert found == pytest.approx(list(row.by_task), abs=0.3)
        if row.by_metric:
            found = [value for task in gain.tasks.values() for value in task.metrics.values()]
            assert found == pytest.approx(list(row.by_metric), abs=PER_METRIC)

    def test_transfer_rows_of_table_5_do_not_fit_as_printed(self):
        seg, dep = (next(row for row in ROWS if row.model == name) for name in ("NAS-Seg to MT", "NAS-Dep to MT"))
        for row, printed in ((seg, dep.by_metric), (dep, seg.by_metric)):
            model = metrics("m", **row.tasks(row.values))
            gain = compare(metrics("b", **row.tasks(row.baseline)), [model]).models[0]
            found = [value for task in gain.tasks.values() for value in task.metrics.values()]
            assert max(abs(a - b) for a, b in zip(found, printed, strict=True)) > PER_METRIC


class TestRelativeGains:
    def test_sign_follows_the_direction(self):
        assert metric_gain(110, 100, higher_is_better=True) == pytest.approx(10)
        assert metric_gain(110, 100, higher_is_better=False) == pytest.approx(-10)

    def test_no_change_is_plain_zero(self):
        assert str(metric_gain(0.3, 0.3, higher_is_better=False)) == "0.0"

    def test_tasks_weigh_alike_whatever_their_number_of_metrics(self):
        base = metrics("b", a={"miou": 10.0}, b={"within_11": 10.0, "within_22": 10.0, "within_30": 10.0})
        model = metrics("m", a={"miou": 20.0}, b={"within_11": 10.0, "within_22": 10.0, "within_30": 10.0})
        assert compare(base, [model]).models[0].delta == pytest.approx(50)

    @given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6))
    def test_a_model_gains_nothing_over_itself(self, values):
        names = scored_metrics(METRICS)
        model = metrics("m", task=dict(zip(names, values, strict=False)))
        assert compare(model, [model]).models[0].delta == 0

    @given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.1, 10))
    def test_gain_does_not_depend_on_the_unit(self, value, baseline, unit):
        one = metric_gain(value, baseline, higher_is_better=False)
        assert metric_gain(value * unit, baseline * unit, higher_is_better=False) == pytest.approx(one, abs=1e-6)

    def test_json_has_exactly_the_promised_structure(self):
        base = metrics("b", depth={"abs_err": 0.5, "rel_err": 0.2})
        found = compare(base, [metrics("m", depth={"abs_err": 0.4, "rel_err": 0.2})]).to_json()
        assert found == {
            "models": [
                {
                    "name": "m",
                    "delta": pytest.approx(10),
                    "tasks": {
                        "depth": {"delta": pytest.approx(10), "metrics": {"abs_err": pytest.approx(20), "rel_err": 0}}
                    },
                }
            ]
        }
        json.dumps(found)

    def test_own_metric_with_a_direction(self):
        base = metrics("b", directions={"edge_f1": True}, edges={"edge_f1": 0.5})
        model = metrics("m", edges={"edge_f1": 0.6})
        assert compare(base, [model]).models[0].delta == pytest.approx(20)

    def test_metrics_beside_the_papers_do_not_enter(self):
        base = metrics("b", depth={"abs_err": 0.5, "rel_err": 0.2})  # measured before there were others
        model = metrics("m", depth={"rmse": math.nan, "abs_err": 0.4, "delta_1": 3.0, "rel_err": 0.2})
        gain = compare(base, [model]).models[0]
        assert (gain.delta, set(gain.tasks["depth"].metrics)) == (pytest.approx(10), {"abs_err", "rel_err"})

    def test_of_a_task_with_no_other_all_metrics_enter(self):
        base, model = metrics("b", heights={"rmse": 0.5}), metrics("m", heights={"rmse": 0.4})
        assert compare(base, [model]).models[0].delta == pytest.approx(20)

    def test_some_tasks_alone(self):
        base = metrics("b", depth={"rel_err": 0.2}, segmentation={"miou": 40.0})
        model = metrics("m", depth={"rel_err": 0.1})
        found = compare(base, [model], tasks=["depth"]).models[0]
        assert list(found.tasks) == ["depth"]
        assert found.delta == pytest.approx(50)

    @pytest.mark.parametrize(
        ("base", "model", "words"),
        [
            (metrics("b", depth={"rel_err": 0.2}), metrics("m", "adashare", depth={"rel_err": 0.2}), "protocol"),
            (
                metrics("b", depth={"rel_err": 0.2}, normals={"mean_angle": 9}),
                metrics("m", depth={"rel_err": 0.2}),
                "'m' lacks the task 'normals'",
            ),
            (
                metrics("b", depth={"rel_err": 0.2}),
                metrics("m", depth={"rel_err": 0.2}, normals={"mean_angle": 9}),
                "'b' lacks the task 'normals'",
            ),
            (
                metrics("b", depth={"rel_err": 0.2, "abs_err": 1}),
                metrics("m", depth={"rel_err": 0.2}),
                "'m' lacks the depth metric 'abs_err'",
            ),
            (
                metrics("b", depth={"rel_err": 0.2}),
                metrics("m", depth={"rel_err": 0.2, "abs_err": 1}),
                "'b' lacks the depth metric 'abs_err'",
            ),
            (
                metrics("b", depth={"rel_err": 0.0}),
                metrics("m", depth={"rel_err": 0.2}),
                "depth.rel_err: the baseline 0.0",
            ),
            (metrics("b", depth={"rel_err": -1.0}), metrics("m", depth={"rel_err": 0.2}), "baseline -1.0"),
            (metrics("b", depth={"rel_err": math.nan}), metrics("m", depth={"rel_err": 0.2}), "baseline nan"),
            (metrics("b", depth={"rel_err": 0.2}), metrics("m", depth={"rel_err": math.nan}), "value nan"),
            (metrics("b", edges={"f1": 0.2}), metrics("m", edges={"f1": 0.2}), "higher_is_better"),
            (
                metrics("b", directions={"f1": True}, edges={"f1": 0.2}),
                metrics("m", directions={"f1": False}, edges={"f1": 0.2}),
                "other way round",
            ),
            (
                metrics("b", directions={"miou": False}, s={"miou": 0.2}),
                metrics("m", s={"miou": 0.2}),
                "other way round",
            ),
            (metrics("b"), metrics("m"), "no task"),
        ],
    )
    def test_what_cannot_be_compared_is_said_in_one_line(self, base, model, words):
        with pytest.raises(CheckpointError) as caught:
            compare(base, [model])
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


class TestPairedTest:
    @staticmethod
    def runs(values, first=0):
        by_seed = {first + seed: {"depth": {"rel_err": value}} for seed, value in enumerate(values)}
        return ModelMetrics("m", "standard", {"depth": {"rel_err": 1.0}}, by_seed=by_seed)

    def p(self, first, second):
        return paired_p_values(self.runs(first), self.runs(second))["depth"]["rel_err"]

    def test_by_hand(self):
        assert self.p([1, 2, 3], [2, 3, 4]) == 2 / 8  # one way in all three: +++ and ---
        assert self.p([1, 2, 3], [2, 3, 2]) == 1  # +1, +1, -1: all but these two sums are as large, and they are too
        assert self.p([1, 1, 1, 1], [2, 3, 4, 4]) == 2 / 16
        assert self.p([5, 5], [5, 5]) == 1

    @given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=7))
    def test_it_is_symmetric_and_a_probability(self, pairs):
        first, second = zip(*pairs, strict=True)
        assert 2 / 2 ** len(pairs) <= self.p(first, second) <= 1
        assert self.p(first, second) == self.p(second, first)

    def test_under_the_null_hypothesis_it_is_small_no_oftener_than_it_says(self):
        chance = random.Random(0)
        found = [
            self.p([chance.gauss(0, 1) for _ in range(6)], [chance.gauss(0, 1) for _ in range(6)]) for _ in range(400)
        ]
        assert sum(value <= 0.1 for value in found) / 400 == pytest.approx(6 / 64, abs=0.045)

    def test_it_agrees_with_scipy(self):
        stats = pytest.importorskip("scipy.stats")
        first, second = [0.3, 0.1, 0.7, 0.4, 0.9], [0.5, 0.2, 0.6, 0.8, 1.4]
        expected = stats.permutation_test(
            (first, second), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", vectorized=True
        )
        assert self.p(first, second) == pytest.approx(expected.pvalue)

    def test_only_seeds_that_both_have_count(self):
        assert paired_p_values(self.runs([1, 2, 3]), self.runs([9, 9, 9], first=2)) == {}
        assert paired_p_values(self.runs([1, 2, 3]), self.runs([9, 9], first=1))["depth"]["rel_err"] == 0.5


class TestAccuracy:
    def test_by_hand(self):
        tasks = {"segmentation": {"miou": 40.0, "pixel_acc": 90.0}, "depth": {"abs_err": 0.02, "rel_err": 0.4}}
        reference = {"depth": {"abs_err": 0.01, "rel_err": 0.2}}
        expected = math.sqrt(math.sqrt(0.4 * 0.9) * math.sqrt(0.5 * 0.5))
        assert accuracy(tasks, reference=reference) == pytest.approx(expected)

    def test_weights_by_hand(self):
        tasks = {"segmentation": {"miou": 40.0, "pixel_acc": 90.0}}
        weights = {"segmentation": {"miou": 3.0}}
        assert accuracy(tasks, weights=weights) == pytest.approx((0.4**3 * 0.9) ** 0.25)
        assert accuracy(tasks, weights={"segmentation": {"pixel_acc": 0.0}}) == pytest.approx(0.4)

    def test_metrics_beside_the_papers_do_not_change_it(self):
        papers = {"s": {"miou": 40.0, "pixel_acc": 90.0}, "d": {"abs_err": 0.02, "rel_err": 0.4}}
        more = {
            "s": {"mean_acc": 30.0, **papers["s"]},
            "d": {"rmse": math.inf, "log_rmse": math.nan, "abs_err": 0.02, "delta_1": 0.0, "rel_err": 0.4},
        }
        assert accuracy(more) == accuracy(papers)

    def test_a_weight_lets_another_metric_enter(self):
        tasks = {"d": {"rel_err": 0.25, "delta_1": 50.0, "delta_2": 70.0}}
        assert accuracy(tasks, weights={"d": {"delta_1": 1.0}}) == pytest.approx(math.sqrt(4 * 0.5))
        assert accuracy(tasks, weights={"d": {"delta_1": 1.0, "rel_err": 0.0}}) == pytest.approx(0.5)

    def test_of_a_task_with_no_other_all_metrics_enter(self):
        assert accuracy({"heights": {"rmse": 4.0}}) == pytest.approx(0.25)

    def test_better_errors_score_higher(self):
        mt = {"segmentation": {"miou": 38.64, "pixel_acc": 88.49}, "depth": {"abs_err": 0.0171, "rel_err": 0.354}}
        ednas = {"segmentation": {"miou": 46.52, "pixel_acc": 90.61}, "depth": {"abs_err": 0.0143, "rel_err": 0.316}}
        assert accuracy(ednas) > accuracy(mt)
        raw = [math.prod([*m["segmentation"].values(), *m["depth"].values()]) for m in (mt, ednas)]
        assert raw[0] > raw[1], "the raw product of Eq. 6 would rank them the wrong way round"

    @given(
        st.lists(st.tuples(st.floats(1, 99), st.floats(0.01, 9)), min_size=2, max_size=5),
        st.floats(0.01, 9),
    )
    def test_reference_never_changes_the_ranking(self, candidates, reference):
        models = [{"s": {"miou": miou}, "d": {"rel_err": error}} for miou, error in candidates]
        plain = [accuracy(model) for model in models]
        scaled = [accuracy(model, reference={"d": {"rel_err": reference}}) for model in models]
        factor = math.sqrt(reference)
        assert scaled == pytest.approx([value * factor for value in plain])

    @given(st.floats(0.1, 99), st.floats(0.001, 9), st.floats(1.01, 3))
    def test_every_improvement_raises_it(self, miou, error, factor):
        one = accuracy({"s": {"miou": miou}, "d": {"rel_err": error}})
        assert accuracy({"s": {"miou": miou * factor}, "d": {"rel_err": error}}) > one
        assert accuracy({"s": {"miou": miou}, "d": {"rel_err": error / factor}}) > one

    def test_zeros_stay_finite_and_ordered(self):
        assert accuracy({"s": {"miou": 0.0}, "d": {"rel_err": 0.1}}) == 0
        assert accuracy({"d": {"rel_err": 0.0}}) == pytest.approx(LARGEST_RATIO)
        assert accuracy({"s": {"miou": 0.0, "pixel_acc": 50.0}}, weights={"s": {"miou": 0.0}}) == pytest.approx(0.5)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1])
    @pytest.mark.parametrize("metric", ["miou", "rel_err"])
    def test_a_broken_metric_is_no_candidate(self, metric, value):
        with pytest.raises(TrainingError, match=f"task.{metric}"):
            accuracy({"task": {metric: value}})

    def test_own_metric_enters_unscaled(self):
        assert accuracy({"e": {"f1": 0.25}}, higher_is_better={"f1": True}) == pytest.approx(0.25)
        assert accuracy({"e": {"miss": 4.0}}, higher_is_better={"miss": False}) == pytest.approx(0.25)
        with pytest.raises(ConfigError, match=r"e\.f1"):
            accuracy({"e": {"f1": 0.25}})

    @pytest.mark.parametrize(
        "arguments",
        [
            {"tasks": {}},
            {"tasks": {"s": {}}},
            {"tasks": {"s": {"miou": 1.0}}, "weights": {"s": {"miou": 0.0}}},
            {"tasks": {"s": {"miou": 1.0}}, "weights": {"s": {"miou": -1.0}}},
            {"tasks": {"s": {"miou": 1.0}}, "weights": {"s": {"mIoU": 1.0}}},
            {"tasks": {"s": {"miou": 1.0}}, "weights": {"t": {"miou": 1.0}}},
            {"tasks": {"d": {"rel_err": 1.0}}, "reference": {"d": {"rel_err": 0.0}}},
            {"tasks": {"d": {"rel_err": 1.0}}, "reference": {"d": {"rel_err": math.nan}}},
        ],
    )
    def test_arguments_that_make_no_sense(self, arguments):
        tasks = arguments.pop("tasks")
        with pytest.raises(ConfigError):
            accuracy(tasks, **arguments)


class TestReward:
    def test_as_printed_it_is_a_soft_penalty_above_the_target_alone(self):
        assert reward(0.5, 5, 10) == 0.5
        assert reward(0.5, 10, 10) == 0.5
        assert reward(0.5, 20, 10) == pytest.approx(0.5 * 2**-0.07)

    def test_mnasnet_soft_constraint(self):
        assert reward(0.5, 5, 10, p=-0.07) == pytest.approx(0.5 * 0.5**-0.07)

    def test_hard(self):
        assert reward(0.5, 10, 10, mode="hard") == 0.5
        assert reward(0.5, 10.001, 10, mode="hard") == 0

    def test_absolute(self):
        assert reward(0.5, 20, 10, mode="absolute", beta=-0.1) == pytest.approx(0.4)
        assert reward(0.5, 5, 10, mode="absolute", beta=-0.1) == pytest.approx(0.45)

    @given(st.floats(0, 1), st.floats(0.01, 1e4), st.floats(1.0001, 100), st.sampled_from(["mnasnet", "hard"]))
    def test_never_rewards_slowness(self, value, latency, factor, mode):
        assert reward(value, latency * factor, 10, mode=mode) <= reward(value, latency, 10, mode=mode)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -0.1])
    def test_accuracy_must_be_a_number(self, value):
        with pytest.raises(TrainingError):
            reward(value, 5, 10)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"latency_ms": 0},
            {"latency_ms": math.nan},
            {"latency_ms": math.inf},
            {"target_ms": -1},
            {"p": 0.1},
            {"q": 0.1},
            {"beta": math.nan},
            {"mode": "soft"},
        ],
    )
    def test_arguments_that_make_no_sense(self, arguments):
        with pytest.raises(ConfigError):
            reward(0.5, **{"latency_ms": 5, "target_ms": 10} | arguments)


MODES = ["mnasnet", "hard", "absolute"]
POSITIVE = st.floats(1e-3, 1e3)


class TestLimitedReward:
    @given(st.floats(0, 1), POSITIVE, POSITIVE, st.sampled_from(MODES), st.floats(-2, 0), st.floats(-2, 0))
    def test_with_latency_alone_it_is_eq_5_as_printed(self, value, latency, target, mode, p, q):
        ratio = latency / target
        expected = {
            "mnasnet": value * ratio ** (p if latency <= target else q),
            "hard": value * ratio**p if latency <= target else 0.0,
            "absolute": value + q * abs(ratio - 1),
        }[mode]
        ours = limited_reward(value, {"latency_ms": latency}, {"latency_ms": target}, mode=mode, p=p, q=q, beta=q)
        assert ours == pytest.approx(expected, rel=1e-12)
        assert ours == reward(value, latency, target, mode=mode, p=p, q=q, beta=q)

    @given(st.lists(st.tuples(POSITIVE, POSITIVE), max_size=5), st.floats(0.1, 1))
    def test_the_penalties_multiply(self, pairs, value):
        costs = {str(index): cost for index, (cost, _) in enumerate(pairs)}
        limits = {str(index): limit for index, (_, limit) in enumerate(pairs)}
        one_by_one = value
        for name, limit in limits.items():
            one_by_one = limited_reward(one_by_one, costs, {name: limit}, p=-0.1, q=-0.3)
        assert limited_reward(value, costs, limits, p=-0.1, q=-0.3) == pytest.approx(one_by_one)
        met = all(costs[name] <= limits[name] for name in limits)
        assert (limited_reward(value, costs, limits, mode="hard") == 0) == (not met)
        assert (violation(costs, limits) == 0) == met

    @given(st.dictionaries(st.sampled_from("abc"), POSITIVE, min_size=1), POSITIVE, st.floats(1, 9), st.data())
    def test_never_rewards_cost(self, costs, limit, factor, data):
        limits = dict.fromkeys(costs, limit)
        more = {**costs, (name := data.draw(st.sampled_from(sorted(costs)))): costs[name] * factor}
        for mode in ("mnasnet", "hard"):
            assert limited_reward(0.5, more, limits, mode=mode, p=-0.1) <= limited_reward(
                0.5, costs, limits, mode=mode, p=-0.1
            )
        assert violation(more, limits) >= violation(costs, limits)

    @pytest.mark.parametrize("mode", MODES)
    def test_zeros_stay_finite(self, mode):
        nothing, something = {"streamed_bytes": 0.0}, {"streamed_bytes": 1.0}
        assert limited_reward(0.5, nothing, nothing, mode=mode) == 0.5
        assert math.isfinite(limited_reward(0.5, something, nothing, mode=mode))
        assert limited_reward(0.5, something, nothing, mode=mode) < 0.5
        assert math.isfinite(limited_reward(0.5, nothing, something, mode=mode, p=-0.5))
        assert violation(nothing, nothing) == violation(nothing, something) == 0
        assert 0 < violation(something, nothing) < math.inf

    def test_without_limits_it_is_the_accuracy(self):
        assert all(limited_reward(0.5, {"latency_ms": 3.0}, {}, mode=mode) == 0.5 for mode in MODES)

    @pytest.mark.parametrize("cost", [{}, {"params": -1.0}, {"params": math.nan}, {"params": math.inf}])
    def test_a_cost_that_is_no_number(self, cost):
        for function in (violation, lambda costs, limits: limited_reward(0.5, costs, limits)):
            with pytest.raises(ConfigError, match="the cost params"):
                function(cost, {"params": 1.0})
            with pytest.raises(ConfigError, match="the limit params"):
                function({"params": 1.0}, {"params": -1.0})


def test_needs_no_torch():
    code = "import ednas.scoring, ednas.tasks, sys; ednas.tasks.task_names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_examples_in_docstrings():
    result = doctest.testmod(ednas.scoring)
    assert result.attempted > 5
    assert result.failed == 0
