"""Evaluators that learn from few real trainings what all others would come to: ``predictor`` and ``stack``.

Both have some networks trained, the anchors, and fit a predictor of every metric and of every task's training loss
(:mod:`ednas.search.predictor`) on what is known of a network without training: its costs, its structure, its genes,
and what cheaper evaluators say of it. ``stack`` asks a supernet, too, which it trains first. Half of the anchors are
drawn uniformly from what may be proposed; the others are chosen one round after the other, those that are predicted
best and those that are least certain in turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ednas.arch import Architecture, SearchSpace
from ednas.config import StrictModel
from ednas.exceptions import StudyError
from ednas.metrics import METRICS
from ednas.search.evaluators.base import SMALLEST, CurvePoint, Evaluation, Evaluator
from ednas.search.evaluators.setting import Setting, register_evaluator
from ednas.search.evaluators.supernet import SupernetOptions, make_supernet
from ednas.search.evaluators.zero_cost import ZeroCostEvaluator
from ednas.search.features import describe, tabulate
from ednas.search.objective import CostModel
from ednas.search.predictor import MIN_ANCHORS, Predictor, fit
from ednas.search.sampling import Candidate, draw
from ednas.seeding import derive_seed

ROUND = 4
"""Anchors that are trained before the next ones are chosen."""


class PredictorOptions(StrictModel):
    """How a predictor is learned.

    Attributes:
        anchors: Networks that are trained for it.
        pool: Networks that those anchors are chosen from that are not drawn.
        zero_cost: Whether a candidate is scored without training, too.
    """

    anchors: int = Field(default=24, ge=MIN_ANCHORS)
    pool: int = Field(default=96, ge=1)
    zero_cost: bool = True


class StackOptions(PredictorOptions):
    """How a supernet and a predictor are learned.

    Attributes:
        supernet: How the supernet is trained and read.
    """

    supernet: SupernetOptions = SupernetOptions()


@register_evaluator("predictor", PredictorOptions, tells_losses=True)
def make_predictor(setting: Setting, options: PredictorOptions) -> PredictorEvaluator:
    """Train anchors and learn from them."""
    scorers = {"zero-cost": ZeroCostEvaluator(setting.training, setting.device)} if options.zero_cost else {}
    return learn(setting, options, scorers)


@register_evaluator("stack", StackOptions, tells_losses=True)
def make_stack(setting: Setting, options: StackOptions) -> PredictorEvaluator:
    """Train a supernet and anchors, and learn from both."""
    scorers: dict[str, Evaluator] = {"supernet": make_supernet(setting, options.supernet)}
    if options.zero_cost:
        scorers["zero-cost"] = ZeroCostEvaluator(setting.training, setting.device)
    return learn(setting, options, scorers)


@dataclass(frozen=True)
class Learned:
    """What was learned from anchors.

    Attributes:
        metrics: By task and metric, what predicts the metric's logarithm.
        losses: By task, what predicts the logarithm of its late training loss; empty where that is not known.
    """

    metrics: Mapping[str, Mapping[str, Predictor]]
    losses: Mapping[str, Predictor]


@dataclass(frozen=True)
class PredictorEvaluator:
    """Predicts a candidate's metrics, and its training losses.

    Attributes:
        space: Where candidates come from.
        cost: What one costs.
        scorers: Evaluators whose judgements are features, by name.
        names: Of the features that the predictors know, in their order.
        learned: The predictors.
        higher_is_better: Directions of the metrics.
    """

    space: SearchSpace
    cost: CostModel
    scorers: Mapping[str, Evaluator]
    names: Sequence[str]
    learned: Learned
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        """Predict a candidate.

        Raises:
            EdnasError: One of the scorers cannot judge it, or the device cannot run it.
        """
        scores = {name: scorer.evaluate(architecture, seed) for name, scorer in self.scorers.items()}
        row = features_of(architecture, self.cost(architecture), scores)
        return self.predict([row], [self.space.encode(architecture)])[0]

    def predict(self, rows: Sequence[Mapping[str, float]], genes: Sequence[Sequence[int]]) -> list[Evaluation]:
        """Predict candidates from their features and genes."""
        table, points = tabulate(rows, self.names), np.array(genes, dtype=np.int64)
        tasks: list[dict[str, dict[str, float]]] = [{} for _ in rows]
        deviations = np.zeros(len(rows))
        for task, own in self.learned.metrics.items():
            for metric, predictor in own.items():
                found = predictor.predict(table, points)
                most = 100.0 if metric in METRICS and METRICS[metric].unit == "%" else math.inf
                for index, mean in enumerate(np.exp(found.means)):
                    tasks[index].setdefault(task, {})[metric] = min(float(mean), most)
                deviations += found.deviations / len(own) / len(self.learned.metrics)
        losses = {task: np.exp(own.predict(table, points).means) for task, own in self.learned.losses.items()}
        return [
            Evaluation(
                metrics,
                self.higher_is_better,
                curve=(CurvePoint(1, {task: float(own[row]) for task, own in losses.items()}),) if losses else (),
                deviation=float(deviations[row]),
            )
            for row, metrics in enumerate(tasks)
        ]


def features_of(
    architecture: Architecture, cost: Mapping[str, float], scores: Mapping[str, Evaluation]
) -> dict[str, float]:
    """Return all that is known of a candidate that is not trained, by name; scores are logarithms."""
    found = describe(architecture, cost)
    for scorer, evaluation in scores.items():
        for task, metrics in evaluation.tasks.items():
            for metric, value in metrics.items():
                found[f"{scorer}: {task} {metric}"] = math.log(max(value, SMALLEST))
        for task, loss in (evaluation.curve[-1].losses if evaluation.curve else {}).items():
            found[f"{scorer}: {task} loss"] = math.log(max(loss, SMALLEST))
    return found


def fit_results(
    rows: Sequence[Mapping[str, float]],
    genes: Sequence[Sequence[int]],
    results: Sequence[Evaluation],
    names: Sequence[str],
) -> Learned:
    """Learn predictors from networks that were trained.

    Args:
        rows: Their features.
        genes: Their genes.
        results: What came of their trainings.
        names: The features to use.
    """
    table, points = tabulate(rows, names), np.array(genes, dtype=np.int64)
    late = [result.late_losses() for result in results]
    known = late[0] if all(late) else {}
    return Learned(
        {
            task: {metric: fit(table, points, _logarithms(results, task, metric)) for metric in metrics}
            for task, metrics in results[0].tasks.items()
        },
        {task: fit(table, points, [losses[task] for losses in late]) for task in known},
    )


def learn(setting: Setting, options: PredictorOptions, scorers: Mapping[str, Evaluator]) -> PredictorEvaluator:
    """Choose and train anchors, and learn from them.

    Raises:
        StudyError: Too few of them could be trained.
        EdnasError: Data or disk fail.
    """
    known = _Known(setting, scorers)
    initial = [_candidate(setting, genes) for genes in setting.initial]
    first = max(MIN_ANCHORS, options.anchors // 2)
    drawn = draw(setting.space, setting.cost, setting.accepts, first + options.pool, setting.initial[0], _seed(setting))
    begin = list({c.genes: c for c in [*initial, *drawn] if setting.accepts(c.cost)}.values())
    known.train(begin[:first])
    pool = begin[first:]
    while known.count < options.anchors and pool:
        chosen = list(_choose(known.learn(), known, pool, setting, min(ROUND, options.anchors - known.count)))
        pool = [candidate for candidate in pool if candidate not in chosen]
        known.train(chosen)
    return known.learn()


class _Known:
    """The anchors so far, and what the scorers say of candidates."""

    def __init__(self, setting: Setting, scorers: Mapping[str, Evaluator]) -> None:
        self._setting = setting
        self._scorers = scorers
        self._scores: dict[str, dict[str, Evaluation]] = {name: {} for name in scorers}
        self._anchors: list[Candidate] = []
        self._results: list[Evaluation] = []
        self._tried = 0

    @property
    def count(self) -> int:
        """How many anchors were trained, those that failed among them."""
        return self._tried

    def train(self, candidates: Sequence[Candidate]) -> None:
        """Have candidates trained, and keep those that came to something."""
        texts = [candidate.architecture.to_text() for candidate in candidates]
        results = self._setting.train(texts, f"training anchors {self._tried + 1} to {self._tried + len(texts)}")
        self._tried += len(texts)
        for candidate, text in zip(candidates, texts, strict=True):
            if text in results:
                self._anchors.append(candidate)
                self._results.append(results[text])

    def rows(self, candidates: Sequence[Candidate]) -> list[dict[str, float]]:
        """Return the features of candidates; of those that a scorer fails on, without its scores."""
        for name, scorer in self._scorers.items():
            scores = self._scores[name]
            missing = [t for c in candidates if (t := c.architecture.to_text()) not in scores]
            if missing:
                scores |= self._setting.judge(scorer, missing, f"scoring {len(missing)} networks by {name}")
        return [
            features_of(
                candidate.architecture,
                candidate.cost,
                {n: own[text] for n, own in self._scores.items() if (text := candidate.architecture.to_text()) in own},
            )
            for candidate in candidates
        ]

    def learn(self) -> PredictorEvaluator:
        """Learn from the anchors.

        Raises:
            StudyError: There are too few.
        """
        if len(self._anchors) < MIN_ANCHORS:
            raise StudyError(
                f"only {len(self._anchors)} of {self._tried} anchors could be trained, and a predictor needs "
                f"{MIN_ANCHORS}; look at the warnings above"
            )
        rows = self.rows(self._anchors)
        names = sorted({name for row in rows for name in row})
        return PredictorEvaluator(
            self._setting.space,
            self._setting.cost,
            self._scorers,
            names,
            fit_results(rows, [anchor.genes for anchor in self._anchors], self._results, names),
            self._results[0].higher_is_better,
        )


def _choose(
    predictor: PredictorEvaluator, known: _Known, pool: Sequence[Candidate], setting: Setting, count: int
) -> Iterator[Candidate]:
    """Choose what to train next: the best by prediction and the least certain in turns."""
    found = predictor.predict(known.rows(pool), [candidate.genes for candidate in pool])
    rewards = [
        setting.objective.score(evaluation, candidate.cost)[1]
        for evaluation, candidate in zip(found, pool, strict=True)
    ]
    orders = [
        sorted(range(len(pool)), key=lambda index: -rewards[index]),
        sorted(range(len(pool)), key=lambda index: -found[index].deviation),
    ]
    taken: set[int] = set()
    for turn in range(min(count, len(pool))):
        index = next(index for index in orders[turn % 2] if index not in taken)
        taken.add(index)
        yield pool[index]


def _candidate(setting: Setting, genes: Sequence[int]) -> Candidate:
    architecture = setting.space.decode(genes)
    return Candidate(tuple(genes), architecture, setting.cost(architecture))


def _logarithms(results: Sequence[Evaluation], task: str, metric: str) -> npt.NDArray[np.float64]:
    return np.array([math.log(max(result.tasks[task][metric], SMALLEST)) for result in results])


def _seed(setting: Setting) -> int:
    return derive_seed(setting.training.seed, "anchors")
