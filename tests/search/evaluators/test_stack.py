"""Predictors of candidates: what they are fed, whom they have trained, what they say."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.small_searches import small_search
from helpers.small_training import small_architecture

from ednas.arch import Architecture, SearchSpace, SpaceConfig
from ednas.exceptions import StudyError
from ednas.search.agreement import kendall
from ednas.search.evaluators import CurvePoint, Evaluation
from ednas.search.evaluators.setting import Setting
from ednas.search.evaluators.stack import (
    PredictorEvaluator,
    PredictorOptions,
    features_of,
    fit_results,
    learn,
    make_predictor,
)
from ednas.search.features import tabulate
from ednas.search.objective import Objective, RewardConfig
from ednas.search.predictor import fit
from ednas.search.sampling import draw

SPACE = SearchSpace(
    small_architecture(), SpaceConfig(kinds=("ibn",), multipliers=(0.5, 1.0, 1.5), expand_ratios=(2, 4))
)
DIRECTIONS = {"miou": True, "rel_err": False}


def cost(architecture: Architecture) -> dict[str, float]:
    return {"latency_ms": 1.0 + sum(block.filters for block in architecture.blocks) / 100}


def truth(architecture: Architecture) -> Evaluation:
    """What a training comes to: more filters are better, a large first kernel is worse."""
    worth = sum(block.filters for block in architecture.blocks) / 128 - 0.1 * (architecture.blocks[0].kernel_size == 5)
    tasks = {"segmentation": {"miou": 30 * math.exp(worth)}, "depth": {"rel_err": 0.3 * math.exp(-worth)}}
    return Evaluation(tasks, DIRECTIONS)


class Scorer:
    """A cheap score."""

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        return Evaluation({"u": {"score": float(architecture.blocks[1].filters)}}, {"score": True})


class Trainings:
    """A search's trainings, which are counted; every ``fails``-th one fails."""

    def __init__(self, fails: int = 10**6) -> None:
        self.rounds: list[list[str]] = []
        self.scored: list[str] = []
        self.fails = fails

    def train(self, texts, what):
        self.rounds.append(list(texts))
        known = [text for own in self.rounds for text in own]
        return {
            text: truth(Architecture.from_text(text)) for text in texts if (known.index(text) + 1) % self.fails != 0
        }

    def judge(self, scorer, texts, what):
        self.scored += texts
        return {text: scorer.evaluate(Architecture.from_text(text), 0) for text in texts}

    def setting(self) -> Setting:
        base = SPACE.encode(SPACE.base)
        return Setting(
            training=small_search().training,
            space=SPACE,
            cost=cost,
            objective=Objective({"latency_ms": cost(SPACE.base)["latency_ms"]}, prune_factor=1.0),
            initial=[base, base],
            digest="",
            input_size=(32, 64),
            device="cpu",
            folder=Path("unused"),
            train=self.train,
            judge=self.judge,
        )


def test_anchors_begin_with_the_base_and_are_chosen_in_rounds():
    trainings = Trainings()
    found = learn(trainings.setting(), PredictorOptions(anchors=20, pool=30), {"scorer": Scorer()})
    assert list(map(len, trainings.rounds)) == [10, 4, 4, 2]
    assert trainings.rounds[0][0] == SPACE.base.to_text()
    rounds = trainings.rounds
    anchors = [text for own in rounds for text in own]
    assert len(set(anchors)) == 20
    limit = cost(SPACE.base)["latency_ms"]
    assert all(cost(Architecture.from_text(text))["latency_ms"] <= limit for text in anchors)
    assert len(trainings.scored) == len(set(trainings.scored))  # each is scored once
    # What is chosen is better than what is drawn, since every other choice is the best by prediction.
    worths = [[truth(Architecture.from_text(text)).tasks["segmentation"]["miou"] for text in own] for own in rounds]
    assert max(max(own) for own in worths[1:]) >= np.quantile(worths[0], 0.75)
    again = Trainings()
    learn(again.setting(), PredictorOptions(anchors=20, pool=30), {"scorer": Scorer()})
    assert again.rounds == trainings.rounds
    assert found.higher_is_better == DIRECTIONS


def test_new_candidates_are_ranked_with_their_uncertainty():
    trainings = Trainings()
    found = learn(trainings.setting(), PredictorOptions(anchors=32, pool=30), {"scorer": Scorer()})
    limit = cost(SPACE.base)["latency_ms"]
    new = draw(SPACE, cost, lambda own: own["latency_ms"] <= limit, 40, SPACE.encode(SPACE.base), seed=99)
    predicted = [found.evaluate(candidate.architecture, 0) for candidate in new]
    real = [truth(candidate.architecture) for candidate in new]
    for task, metric in (("segmentation", "miou"), ("depth", "rel_err")):
        ours, theirs = ([own.tasks[task][metric] for own in both] for both in (predicted, real))
        assert kendall(ours, theirs) > 0.5
    assert all(own.deviation > 0 for own in predicted)
    assert all(own.tasks["segmentation"]["miou"] <= 100 for own in predicted)


def test_a_prediction_is_that_of_each_metrics_logarithm():
    candidates = draw(SPACE, cost, lambda own: True, 16, SPACE.encode(SPACE.base), seed=1)
    rows = [features_of(c.architecture, c.cost, {}) for c in candidates]
    names = sorted(rows[0])
    genes = [c.genes for c in candidates]
    results = [truth(c.architecture) for c in candidates]
    evaluator = PredictorEvaluator(SPACE, cost, {}, names, fit_results(rows, genes, results, names), DIRECTIONS)
    alone = fit(tabulate(rows, names), np.array(genes), [math.log(r.tasks["depth"]["rel_err"]) for r in results])
    found = evaluator.evaluate(candidates[0].architecture, 0)
    expected = alone.predict(tabulate(rows[:1], names), np.array(genes[:1]))
    assert found.tasks["depth"]["rel_err"] == pytest.approx(math.exp(expected.means[0]))
    assert found == evaluator.predict(rows[:1], genes[:1])[0]
    assert found.late_losses() == {}


def test_training_losses_are_predicted_where_all_anchors_tell_them():
    candidates = draw(SPACE, cost, lambda own: True, 16, SPACE.encode(SPACE.base), seed=1)
    rows, genes = [features_of(c.architecture, c.cost, {}) for c in candidates], [c.genes for c in candidates]
    names = sorted(rows[0])
    losses = [2 * truth(c.architecture).tasks["depth"]["rel_err"] for c in candidates]
    results = [
        replace(truth(c.architecture), curve=(CurvePoint(9, {"depth": loss}),))
        for c, loss in zip(candidates, losses, strict=True)
    ]
    evaluator = PredictorEvaluator(SPACE, cost, {}, names, fit_results(rows, genes, results, names), DIRECTIONS)
    found = evaluator.predict(rows, genes)
    # The same numbers but for a factor, so that the predictions are, too.
    assert [own.late_losses()["depth"] for own in found] == pytest.approx(
        [math.log(2 * own.tasks["depth"]["rel_err"]) for own in found]
    )
    by_loss = Objective({}, RewardConfig(by="training_loss"))
    assert by_loss.accuracy(found[0]) == pytest.approx(1 / (2 * found[0].tasks["depth"]["rel_err"]))
    results[3] = truth(candidates[3].architecture)
    assert fit_results(rows, genes, results, names).losses == {}


def test_scores_are_features_by_their_logarithms():
    judged = Evaluation({"depth": {"rel_err": 0.5, "zero": 0.0}}, {}, "", (CurvePoint(1, {"depth": 2.0}),))
    found = features_of(small_architecture(), {"latency_ms": 2.0}, {"supernet": judged})
    assert found["supernet: depth rel_err"] == math.log(0.5)
    assert found["supernet: depth loss"] == math.log(2)
    assert math.isfinite(found["supernet: depth zero"])
    assert found["log latency_ms"] == math.log(2)


def test_anchors_that_fail_are_left_out_and_too_few_are_an_error():
    trainings = Trainings(fails=5)
    learn(trainings.setting(), PredictorOptions(anchors=20, pool=30), {})
    assert sum(map(len, trainings.rounds)) == 20
    with pytest.raises(StudyError, match="only 5 of 10 anchors could be trained, and a predictor needs 8"):
        learn(Trainings(fails=2).setting(), PredictorOptions(anchors=20, pool=30), {})


def test_a_pool_that_is_used_up_ends_the_choice():
    trainings = Trainings()
    make_predictor(trainings.setting(), PredictorOptions(anchors=40, pool=3, zero_cost=False))
    assert sum(map(len, trainings.rounds)) in (23, 24)  # 20 + 3 are drawn, the base perhaps among them
