"""The reward of a candidate, what costs too much, and what a space can reach."""

from __future__ import annotations

import itertools
from operator import itemgetter

import pytest
from helpers.searches import fake_cost, space

from ednas.arch import Architecture, SearchSpace, SpaceConfig, load_architecture
from ednas.arch.space import StageConfig
from ednas.config import parse
from ednas.exceptions import ConfigError, TargetError, TrainingError
from ednas.scoring import accuracy, reward
from ednas.search.evaluators.base import CurvePoint, Evaluation
from ednas.search.objective import Objective, RewardConfig, check_feasible, lowest

TARGET = {"latency_ms": 10.0}
METRICS = {"segmentation": {"miou": 40.0, "pixel_acc": 90.0}, "depth": {"abs_err": 0.02, "rel_err": 0.3}}


def test_every_setting_reaches_the_score() -> None:
    config = RewardConfig(
        mode="absolute",
        beta=-0.5,
        weights={"segmentation": {"pixel_acc": 0.0}},
        reference={"depth": {"abs_err": 0.01, "rel_err": 0.2}},
    )
    expected = accuracy(METRICS, reference=config.reference, weights=config.weights)
    found = Objective(TARGET, config).score(Evaluation(METRICS), {"latency_ms": 12.0})
    assert found == (expected, reward(expected, 12.0, 10.0, mode="absolute", beta=-0.5))


def test_metrics_of_ones_own_bring_their_direction() -> None:
    evaluation = Evaluation({"edges": {"f_score": 0.5}}, {"f_score": True})
    assert Objective(TARGET, RewardConfig()).score(evaluation, {"latency_ms": 5.0}) == (0.5, 0.5)
    with pytest.raises(ConfigError, match="f_score"):
        Objective(TARGET, RewardConfig()).score(Evaluation(evaluation.tasks), {"latency_ms": 5.0})


def test_losses_stand_for_metrics() -> None:
    """By hand: of 4 steps the last two count; (0.5 * 2 * 0.1 * 0.4) ** (1/4) is the geometric mean."""
    curve = [
        CurvePoint(1, {"segmentation": 9.0, "depth": 9.0}),
        CurvePoint(2, {"segmentation": 8.0, "depth": 8.0}),
        CurvePoint(3, {"segmentation": 0.5, "depth": 0.1}),
        CurvePoint(3, metrics=METRICS),
        CurvePoint(4, {"segmentation": 2.0, "depth": 0.4}),
        CurvePoint(4, metrics=METRICS),
    ]
    by_loss = Objective(TARGET, RewardConfig(by="training_loss"))
    evaluation = Evaluation(METRICS, curve=tuple(curve))
    assert by_loss.score(evaluation, {"latency_ms": 5.0})[0] == pytest.approx(0.04**-0.25)
    assert by_loss.by_metrics().accuracy(evaluation) == Objective(TARGET).accuracy(evaluation)
    with pytest.raises(TrainingError, match=r"no training losses to judge by; choose reward\.by: metrics"):
        by_loss.accuracy(Evaluation(METRICS, curve=(CurvePoint(3, metrics=METRICS),)))


def test_nan_has_no_score() -> None:
    with pytest.raises(TrainingError, match="nan"):
        Objective(TARGET, RewardConfig()).score(Evaluation({"depth": {"rel_err": float("nan")}}), {"latency_ms": 5.0})


@pytest.mark.parametrize(("factor", "latency", "slow"), [(1.5, 15.0, False), (1.5, 15.1, True), (None, 1e9, False)])
def test_too_slow(factor: float | None, latency: float, slow: bool) -> None:
    assert bool(Objective(TARGET, RewardConfig(), factor).hopeless({"latency_ms": latency})) is slow


def test_each_limit_that_is_missed_by_more_than_the_factor_is_named() -> None:
    limits = {"latency_ms": 5.0, "energy_mj": 1.0, "params": 1e6, "streamed_bytes": 0.0}
    cost = {"latency_ms": 9.9, "energy_mj": 2.5, "params": 3_000_000, "streamed_bytes": 0}
    assert Objective(limits, prune_factor=2.0).hopeless(cost) == (
        "energy 2.500 mJ is above 2 times the limit of energy 1.000 mJ; "
        "parameters 3,000,000 is above 2 times the limit of parameters 1,000,000"
    )
    assert "streamed parameters 1 B" in Objective(limits, prune_factor=2.0).hopeless({**cost, "streamed_bytes": 1})


def test_what_has_to_be_known_are_limits_and_objectives() -> None:
    objective = Objective({"params": 1.0}, objectives=("latency_ms", "accuracy", "energy_mj", "params"))
    assert objective.quantities == ("params", "latency_ms", "energy_mj")
    with pytest.raises(TargetError, match="energy_mj is not known for this network"):
        objective.hopeless({"params": 1.0, "latency_ms": 1.0})


@pytest.mark.parametrize(
    ("values", "message"),
    [({"q": 0.07}, "'q'"), ({"mode": "soft"}, "'mode'"), ({"weigths": {}}, "did you mean 'weights'")],
)
def test_wrong_settings(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(RewardConfig, values, "reward")


LATENCY = itemgetter("latency_ms")


class TestLowest:
    @pytest.mark.parametrize("name", ["latency_ms", "peak_memory_kb"])
    def test_it_is_the_lowest_of_a_space_that_can_be_enumerated(self, name: str) -> None:
        """The peak is a maximum over blocks of which some are alike: one block alone does not lower it."""
        stages = {stage: StageConfig(expand_ratios=(6,), multipliers=(1.0,)) for stage in range(1, 7)}
        choices = SpaceConfig(
            kinds=("fused",), kernel_sizes=(5,), multipliers=(0.5, 1.0), bifpn_depths=(4, 2), stages=stages
        )
        tail = SearchSpace(load_architecture("base"), choices)
        ranges = [range(len(decision.candidates)) for decision in tail.decisions]
        lowest_of_all = min(fake_cost(tail.decode(genes))[name] for genes in itertools.product(*ranges))
        genes, found = lowest(tail, fake_cost, itemgetter(name))
        assert found[name] == lowest_of_all
        assert found == fake_cost(tail.decode(genes))

    def test_ties_of_a_maximum_are_reduced_one_after_the_other(self) -> None:
        whole = space()
        _, found = lowest(whole, fake_cost, itemgetter("peak_memory_kb"), whole.encode(whole.base))
        smallest = [0.5 * block.filters * 3 for block in whole.base.blocks]
        assert found["peak_memory_kb"] == max(smallest)

    def test_it_stops_when_that_is_enough(self) -> None:
        whole, calls = space(), 0

        def cost(architecture: Architecture) -> dict[str, float]:
            nonlocal calls
            calls += 1
            return dict(fake_cost(architecture))

        start, enough = whole.encode(whole.base), fake_cost(whole.base)["latency_ms"]
        assert lowest(whole, cost, LATENCY, start, enough=enough) == (start, fake_cost(whole.base))
        assert calls == 1
        genes, found = lowest(whole, cost, LATENCY, start, enough=enough - 1)
        assert found["latency_ms"] <= enough - 1
        assert fake_cost(whole.decode(genes)) == found

    def test_networks_that_the_device_refuses_are_passed_over(self) -> None:
        small = space(small=True)

        def cost(architecture: Architecture) -> dict[str, float]:
            if architecture.bifpn_depth == 1:
                raise TargetError("no")
            return dict(fake_cost(architecture))

        genes, _ = lowest(small, cost, LATENCY)
        assert small.decode(genes).bifpn_depth == 2


class TestFeasible:
    BASE = fake_cost(space().base)

    def check(self, **shares: float) -> None:
        limits = {name: share * self.BASE[name] for name, share in shares.items()}
        check_feasible(space(), fake_cost, limits, space().encode(space().base), "my_device")

    def test_limits_that_can_be_met(self) -> None:
        self.check()
        self.check(latency_ms=1.0)
        self.check(latency_ms=0.5, peak_memory_kb=0.5, macs=0.6)

    @pytest.mark.parametrize("name", ["latency_ms", "macs", "peak_memory_kb"])
    def test_one_that_cannot_says_what_can(self, name: str) -> None:
        with pytest.raises(ConfigError, match=r"the limit is .*, but the lowest found in .* is .* on my_device"):
            self.check(**{"latency_ms": 2.0, name: 0.05})

    def test_limits_that_contradict_each_other(self) -> None:
        """Each can be met, but speed is bought with memory here."""
        small = space(small=True)

        def cost(architecture: Architecture) -> dict[str, float]:
            return {"latency_ms": 10.0 / architecture.bifpn_depth, "peak_memory_kb": 100.0 * architecture.bifpn_depth}

        check_feasible(small, cost, {"latency_ms": 5.0, "peak_memory_kb": 200.0}, None, "my_device")
        with pytest.raises(ConfigError, match="meets all limits at once on my_device; the nearest") as error:
            check_feasible(small, cost, {"latency_ms": 4.0, "peak_memory_kb": 200.0}, None, "my_device")
        assert "latency 5.00 ms (limit 4)" in str(error.value)
        assert "\n" not in str(error.value)
