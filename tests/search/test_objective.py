"""The reward of a candidate, what is too slow, and the fastest network of a space."""

from __future__ import annotations

import itertools

import pytest
from search_fakes import fake_cost, space

from ednas.arch import Architecture, SearchSpace, SpaceConfig, load_architecture
from ednas.config import parse
from ednas.exceptions import ConfigError, TrainingError
from ednas.scoring import accuracy, reward
from ednas.search.evaluators.base import Evaluation
from ednas.search.objective import Objective, RewardConfig, fastest

METRICS = {"segmentation": {"miou": 40.0, "pixel_acc": 90.0}, "depth": {"abs_err": 0.02, "rel_err": 0.3}}


def test_every_setting_reaches_the_score() -> None:
    config = RewardConfig(
        mode="absolute",
        beta=-0.5,
        weights={"segmentation": {"pixel_acc": 0.0}},
        reference={"depth": {"abs_err": 0.01, "rel_err": 0.2}},
    )
    expected = accuracy(METRICS, reference=config.reference, weights=config.weights)
    found = Objective(10.0, config).score(Evaluation(METRICS), 12.0)
    assert found == (expected, reward(expected, 12.0, 10.0, mode="absolute", beta=-0.5))


def test_metrics_of_ones_own_bring_their_direction() -> None:
    evaluation = Evaluation({"edges": {"f_score": 0.5}}, {"f_score": True})
    assert Objective(10.0, RewardConfig()).score(evaluation, 5.0) == (0.5, 0.5)
    with pytest.raises(ConfigError, match="f_score"):
        Objective(10.0, RewardConfig()).score(Evaluation(evaluation.tasks), 5.0)


def test_nan_has_no_score() -> None:
    with pytest.raises(TrainingError, match="nan"):
        Objective(10.0, RewardConfig()).score(Evaluation({"depth": {"rel_err": float("nan")}}), 5.0)


@pytest.mark.parametrize(("factor", "latency", "slow"), [(1.5, 15.0, False), (1.5, 15.1, True), (None, 1e9, False)])
def test_too_slow(factor: float | None, latency: float, slow: bool) -> None:
    assert bool(Objective(10.0, RewardConfig(), factor).too_slow(latency)) is slow


@pytest.mark.parametrize(
    ("values", "message"),
    [({"q": 0.07}, "'q'"), ({"mode": "soft"}, "'mode'"), ({"weigths": {}}, "did you mean 'weights'")],
)
def test_wrong_settings(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(RewardConfig, values, "reward")


class TestFastest:
    def test_it_is_the_fastest_of_a_space_that_can_be_enumerated(self) -> None:
        choices = SpaceConfig(
            kinds=("fused",), kernel_sizes=(5,), multipliers=(1.0,), expand_ratios=(3, 6), bifpn_depths=(4, 2, 3)
        )
        small = SearchSpace(load_architecture("base"), choices)
        cache: dict[str, float] = {}

        def cost(architecture: Architecture) -> dict[str, float]:
            latency = cache.setdefault(architecture.fingerprint(), fake_cost(architecture)["latency_ms"])
            return {"latency_ms": latency}

        genes, latency = fastest(small, cost)
        ranges = [range(len(decision.candidates)) for decision in small.decisions[-3:]]
        for tail in itertools.product(*ranges):
            assert cost(small.decode([*genes[:-3], *tail]))["latency_ms"] >= latency
        assert genes == tuple(decision.candidates.index(min(decision.candidates)) for decision in small.decisions)
        assert cost(small.decode(genes))["latency_ms"] == latency

    def test_it_stops_when_that_is_enough(self) -> None:
        whole, calls = space(), 0

        def cost(architecture: Architecture) -> dict[str, float]:
            nonlocal calls
            calls += 1
            return dict(fake_cost(architecture))

        start, enough_ms = whole.encode(whole.base), fake_cost(whole.base)["latency_ms"]
        assert fastest(whole, cost, start, enough_ms=enough_ms) == (start, enough_ms)
        assert calls == 1
        genes, latency = fastest(whole, cost, start, enough_ms=enough_ms - 1)
        assert latency <= enough_ms - 1
        assert fake_cost(whole.decode(genes))["latency_ms"] == latency
