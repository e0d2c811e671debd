"""Scores of multi-task models: the search's accuracy and reward (Eq. 4-7) and the published relative gains (Eq. 9-12).

Pure functions over plain numbers: ``{task: {metric: value}}`` in, floats out; nothing here knows of networks.

Only the paper's metrics make rewards and gains (:func:`ednas.metrics.scored_metrics`): measuring more changes neither.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ednas.exceptions import CheckpointError, ConfigError, TrainingError
from ednas.metrics import (
    METRICS,
    ModelMetrics,
    TaskValues,
    check_same_protocol,
    direction,
    merge_directions,
    scored_metrics,
)

_MOST_PAIRS = 16
"""Of the permutation test, which looks at all 2^n signs."""

RewardMode = Literal["mnasnet", "hard", "absolute"]
"""How costs enter :func:`limited_reward`."""

REWARD_MODES: tuple[str, ...] = get_args(RewardMode)

LARGEST_RATIO = 1e6
"""Where ratios are cut off: an error of exactly 0 counts as this in :func:`accuracy`, and so does a cost above a limit
of 0 in :func:`limited_reward`; a cost of 0 counts as the reciprocal."""


def accuracy(
    tasks: TaskValues,
    *,
    reference: TaskValues | None = None,
    weights: TaskValues | None = None,
    higher_is_better: Mapping[str, bool] | None = None,
) -> float:
    """Accuracy of a multi-task model: the nested weighted product of Eq. 6 and 7.

    Each task contributes the weighted geometric mean of its metrics (:func:`~ednas.metrics.scored_metrics`, and others
    with a weight of their own), and the result is the plain geometric mean of the tasks, so that no task outweighs
    another by having more metrics.

    The paper does not say how an error enters the product. Here a higher-is-better metric enters as it is (percent
    as a fraction, 46.52 as 0.4652) and a lower-is-better metric as ``reference / value``; the reference only scales
    the result, it never changes a ranking. A higher-is-better metric of 0 makes the accuracy 0, as the product
    says; an error of 0 counts as :data:`LARGEST_RATIO`, so that the result stays finite. A metric of the user's own
    enters unscaled.

    Example:
        >>> tasks = {"segmentation": {"miou": 64.0, "pixel_acc": 81.0}, "depth": {"rel_err": 0.2}}
        >>> round(accuracy(tasks, reference={"depth": {"rel_err": 0.1}}), 6)  # sqrt(sqrt(0.64 * 0.81) * 0.1 / 0.2)
        0.6

    Args:
        tasks: The model's metrics.
        reference: Metrics of a reference model (the single-task baselines); a metric it lacks has reference 1.
        weights: The w_ij of Eq. 7, at least 0; where absent 1, and 0 for metrics that are not scored.
        higher_is_better: Directions of metrics of the user's own.

    Returns:
        A finite number, at least 0; larger is better.

    Raises:
        TrainingError: A value is NaN, infinite or negative: the model is no candidate.
        ConfigError: No task, a task without metrics, a weight or reference that makes no sense or belongs to no
            metric, or a metric without a direction.
    """
    if not tasks:
        raise ConfigError("no task to score; give the metrics of one task at least")
    weights = weights or {}
    _check_weights(weights, tasks)
    log_sum = 0.0
    for task, metrics in tasks.items():
        task_weights = dict.fromkeys(scored_metrics(metrics), 1.0) | dict(weights.get(task, {}))
        total = sum(task_weights.values())
        if total <= 0:
            raise ConfigError(f"task '{task}' has no metric with a weight above 0; give one or leave the task out")
        for metric, weight in task_weights.items():
            scale = (reference or {}).get(task, {}).get(metric, 1.0)
            ratio = _ratio(task, metric, metrics[metric], scale, higher_is_better)
            if weight == 0:
                continue
            if ratio == 0:
                return 0.0
            log_sum += weight / total * math.log(ratio)
    return math.exp(log_sum / len(tasks))


def reward(
    accuracy: float,
    latency_ms: float,
    target_ms: float,
    *,
    mode: RewardMode = "mnasnet",
    p: float = 0.0,
    q: float = -0.07,
    beta: float = -0.07,
) -> float:
    """Reward of a candidate: accuracy and latency in one number (Eq. 4 and 5).

    It is :func:`limited_reward` with latency as the only limited cost; the modes are described there.

    Example:
        >>> round(reward(0.5, latency_ms=20.0, target_ms=10.0), 4)
        0.4763
        >>> reward(0.5, latency_ms=20.0, target_ms=10.0, mode="hard")
        0.0

    Args:
        accuracy: From :func:`accuracy`.
        latency_ms: Latency of the candidate, milliseconds.
        target_ms: The target l_h on the same device, milliseconds.
        mode: One of :data:`REWARD_MODES`.
        p: Exponent at or below the target (``mnasnet``, ``hard``); at most 0.
        q: Exponent above the target (``mnasnet``); at most 0.
        beta: Slope of ``absolute``; at most 0.

    Returns:
        A finite number; larger is better.

    Raises:
        TrainingError: ``accuracy`` is not finite or negative.
        ConfigError: A latency is not a positive finite number, an exponent is positive, or the mode is unknown.
    """
    for name, value in (("latency_ms", latency_ms), ("target_ms", target_ms)):
        if not math.isfinite(value) or value <= 0:
            raise ConfigError(f"{name} {value} is not a positive finite number of milliseconds")
    return limited_reward(
        accuracy, {"latency_ms": latency_ms}, {"latency_ms": target_ms}, mode=mode, p=p, q=q, beta=beta
    )


def limited_reward(
    accuracy: float,
    costs: Mapping[str, float],
    limits: Mapping[str, float],
    *,
    mode: RewardMode = "mnasnet",
    p: float = 0.0,
    q: float = -0.07,
    beta: float = -0.07,
) -> float:
    """Reward of a candidate of which several costs are limited: accuracy and costs in one number.

    Eq. 4 is a weighted product of accuracy and latency. Here it has one factor, Eq. 5, for each limited cost; that is
    our generalisation, the paper limits latency alone. With ``r = cost / limit``, the modes are:

    - ``mnasnet``: Eq. 4 and 5 as printed, ``accuracy * product of r ** (p if r <= 1 else q)``. With p = 0, q = -0.07
      this is a soft penalty above a limit and nothing below it, although the paper calls it a hard constraint.
    - ``hard``: what that name says: the same if all limits are met, 0 otherwise.
    - ``absolute``: ``accuracy + beta * sum of abs(r - 1)``: draws the search to the limits from both sides. It is the
      one mode in which the scale of ``accuracy`` (percent or fraction) matters.

    A limit of 0 is allowed (nothing streamed, nothing on the host): 0 meets it, and all above it counts alike, as
    :data:`LARGEST_RATIO`.

    Example:
        >>> limits = {"latency_ms": 10.0, "energy_mj": 2.0}
        >>> round(limited_reward(0.5, {"latency_ms": 20.0, "energy_mj": 4.0}, limits), 4)  # 0.5 * (2 * 2) ** -0.07
        0.4538
        >>> limited_reward(0.5, {"latency_ms": 9.0, "energy_mj": 1.5}, limits)
        0.5

    Args:
        accuracy: From :func:`accuracy`.
        costs: What the candidate costs, by name; the limited ones are used.
        limits: What it should cost at most, by name, at least 0; without any, the reward is the accuracy.
        mode: One of :data:`REWARD_MODES`.
        p: Exponent at or below a limit (``mnasnet``, ``hard``); at most 0.
        q: Exponent above a limit (``mnasnet``); at most 0.
        beta: Slope of ``absolute``; at most 0.

    Returns:
        A finite number; larger is better.

    Raises:
        TrainingError: ``accuracy`` is not finite or negative.
        ConfigError: A limited cost is missing, a cost or limit is not a finite number of at least 0, an exponent is
            positive, or the mode is unknown.
    """
    if not math.isfinite(accuracy) or accuracy < 0:
        raise TrainingError(f"accuracy {accuracy} is no finite number of at least 0; the candidate cannot be ranked")
    for name, value in (("p", p), ("q", q), ("beta", beta)):
        if not math.isfinite(value) or value > 0:
            raise ConfigError(f"{name} = {value} would reward slowness; give a finite number of at most 0")
    ratios = _cost_ratios(costs, limits)
    if mode == "mnasnet":
        return accuracy * math.prod(math.pow(ratio, p if ratio <= 1 else q) for ratio in ratios)
    if mode == "hard":
        met = all(ratio <= 1 for ratio in ratios)
        return accuracy * math.prod(math.pow(ratio, p) for ratio in ratios) if met else 0.0
    if mode == "absolute":
        return accuracy + beta * sum(abs(ratio - 1) for ratio in ratios)
    raise ConfigError(f"unknown reward mode '{mode}'; known modes: {', '.join(REWARD_MODES)}")


def violation(costs: Mapping[str, float], limits: Mapping[str, float]) -> float:
    """How far costs are above their limits in all: the sum of ``cost / limit - 1`` over the limits that are not met.

    This is the constraint violation by which infeasible candidates are ordered in constrained multi-objective search
    (Deb et al., NSGA-II, 2002), normalised by the limits.

    Example:
        >>> violation({"latency_ms": 15.0, "energy_mj": 1.0}, {"latency_ms": 10.0, "energy_mj": 2.0})
        0.5

    Returns:
        0 if, and only if, all limits are met.

    Raises:
        ConfigError: A limited cost is missing, or a cost or limit is not a finite number of at least 0.
    """
    return sum(max(ratio - 1, 0.0) for ratio in _cost_ratios(costs, limits))


@dataclass(frozen=True)
class TaskGain:
    """Relative gain on one task.

    Attributes:
        delta: Mean gain over the task's metrics, percent (Eq. 11).
        metrics: Gain by scored metric, percent (Eq. 9 and 10); positive is better whatever the metric's direction.
    """

    delta: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class ModelGain:
    """Relative gain of one model over the baseline.

    Attributes:
        name: The model.
        delta: Mean gain over the tasks, percent (Eq. 12).
        tasks: Gain by task.
    """

    name: str
    delta: float
    tasks: Mapping[str, TaskGain]


@dataclass(frozen=True)
class Comparison:
    """Relative gains of several models over one baseline."""

    models: tuple[ModelGain, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what ``ednas compare --format json`` prints."""
        return {
            "models": [
                {
                    "name": model.name,
                    "delta": model.delta,
                    "tasks": {
                        task: {"delta": gain.delta, "metrics": dict(gain.metrics)} for task, gain in model.tasks.items()
                    },
                }
                for model in self.models
            ]
        }


def metric_gain(value: float, baseline: float, *, higher_is_better: bool) -> float:
    """Relative gain of a metric over its baseline in percent; positive is better (Eq. 9 and 10).

    Example:
        >>> round(metric_gain(46.52, 40.04, higher_is_better=True), 1)
        16.2
        >>> round(metric_gain(0.0143, 0.0157, higher_is_better=False), 1)
        8.9

    Raises:
        ConfigError: A value is not finite, or the baseline is not above 0, so that the ratio means nothing.
    """
    if not math.isfinite(value):
        raise ConfigError(f"the value {value} is not finite, so it has no relative gain")
    if not math.isfinite(baseline) or baseline <= 0:
        raise ConfigError(f"the baseline {baseline} is not a finite number above 0, so nothing is relative to it")
    difference = value - baseline if higher_is_better else baseline - value
    return difference / baseline * 100


def paired_p_values(baseline: ModelMetrics, model: ModelMetrics) -> dict[str, dict[str, float]]:
    """How probable differences as large as these are if the two models are equally good, by task and scored metric.

    The exact paired permutation test, two-sided: under that hypothesis the difference of each pair of trainings from
    one seed could as well have the other sign. With n seeds no value is below 2 / 2^n: three show 0.25 at best.

    Returns:
        Empty where the models have fewer than two seeds in common.
    """
    seeds = sorted(baseline.by_seed.keys() & model.by_seed.keys())[:_MOST_PAIRS]
    if len(seeds) < 2:
        return {}
    return {
        task: {
            metric: _paired_p(
                [model.by_seed[seed][task][metric] - baseline.by_seed[seed][task][metric] for seed in seeds]
            )
            for metric in scored_metrics(metrics)
            if metric in model.tasks[task]
        }
        for task, metrics in baseline.tasks.items()
        if task in model.tasks
    }


def compare(
    baseline: ModelMetrics, models: Iterable[ModelMetrics], *, tasks: Sequence[str] | None = None
) -> Comparison:
    """Relative gains of models over a baseline (Eq. 9-12), for any number of tasks and scored metrics.

    Example:
        >>> single = ModelMetrics("single", "standard", {"depth": {"abs_err": 0.5, "rel_err": 0.2}})
        >>> multi = ModelMetrics("multi", "standard", {"depth": {"abs_err": 0.4, "rel_err": 0.19}})
        >>> round(compare(single, [multi]).models[0].delta, 1)
        12.5

    Args:
        baseline: The baseline; single-task baselines are put together by :func:`~ednas.metrics.merge_metrics`.
        models: The models, each measured on the same tasks and metrics under the same protocol.
        tasks: Compare these tasks alone; every task by default.

    Raises:
        CheckpointError: Protocols differ; a task or scored metric is missing on one side; a baseline is 0; a value is
            not finite; a metric has no or two directions.
    """
    return Comparison(tuple(_model_gain(baseline, model, tasks) for model in models))


def _paired_p(differences: Sequence[float]) -> float:
    observed = abs(math.fsum(differences))
    signs = list(itertools.product((1, -1), repeat=len(differences)))
    sums = [abs(math.fsum(sign * value for sign, value in zip(row, differences, strict=True))) for row in signs]
    return sum(total >= observed * (1 - 1e-12) for total in sums) / len(signs)


def _check_weights(weights: TaskValues, tasks: TaskValues) -> None:
    for task, metrics in weights.items():
        for metric, weight in metrics.items():
            if metric not in tasks.get(task, {}):
                raise ConfigError(f"weight for '{task}.{metric}', but no such metric was measured")
            if not math.isfinite(weight) or weight < 0:
                raise ConfigError(f"weight {weight} of '{task}.{metric}' is not a finite number of at least 0")


def _cost_ratios(costs: Mapping[str, float], limits: Mapping[str, float]) -> list[float]:
    """Return cost / limit of every limited cost, above 0 and finite."""
    ratios = []
    for name, limit in limits.items():
        cost = costs.get(name, math.nan)
        for kind, value in (("cost", cost), ("limit", limit)):
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"the {kind} {name} = {value} is not a finite number of at least 0")
        ratio = cost / limit if limit else LARGEST_RATIO if cost else 1.0
        ratios.append(min(max(ratio, 1 / LARGEST_RATIO), LARGEST_RATIO))
    return ratios


def _ratio(task: str, metric: str, value: float, reference: float, own: Mapping[str, bool] | None) -> float:
    """The m_ij of Eq. 7: larger is better, at least 0, finite."""
    if not math.isfinite(value) or value < 0:
        raise TrainingError(f"metric '{task}.{metric}' is {value}; only finite numbers of at least 0 can be scored")
    higher = direction(metric, own or {})
    if higher is None:
        raise ConfigError(f"metric '{task}.{metric}' is not built in: say whether higher is better")
    if higher:
        return value / 100 if metric in METRICS and METRICS[metric].unit == "%" else value
    if not math.isfinite(reference) or reference <= 0:
        raise ConfigError(f"reference {reference} of '{task}.{metric}' is not a finite number above 0")
    return min(reference / value, LARGEST_RATIO) if value > 0 else LARGEST_RATIO


def _model_gain(baseline: ModelMetrics, model: ModelMetrics, tasks: Sequence[str] | None) -> ModelGain:
    check_same_protocol(baseline, model)
    directions = merge_directions({}, baseline.higher_is_better, baseline.name)
    directions = merge_directions(directions, model.higher_is_better, model.name)
    names = dict.fromkeys([*baseline.tasks, *model.tasks] if tasks is None else tasks)
    if not names:
        raise CheckpointError(f"no task to compare '{model.name}' with '{baseline.name}' on")
    for side in (baseline, model):
        _check_complete(names, side.tasks, f"'{side.name}' lacks the task")
    gains = {task: _task_gain(task, baseline, model, directions) for task in names}
    return ModelGain(model.name, _mean([gain.delta for gain in gains.values()]), gains)


def _task_gain(task: str, baseline: ModelMetrics, model: ModelMetrics, directions: Mapping[str, bool]) -> TaskGain:
    old, new = baseline.tasks[task], model.tasks[task]
    compared = scored_metrics([*old, *new])
    for side in (baseline, model):
        _check_complete(compared, side.tasks[task], f"'{side.name}' lacks the {task} metric")
    gains = {}
    for metric in compared:
        higher = direction(metric, directions)
        if higher is None:
            raise CheckpointError(
                f'metric \'{task}.{metric}\' is not built in: add "higher_is_better": {{"{metric}": true}} or false '
                f"to the metrics file of '{model.name}'"
            )
        try:
            gains[metric] = metric_gain(new[metric], old[metric], higher_is_better=higher)
        except ConfigError as error:
            raise CheckpointError(f"'{model.name}' against '{baseline.name}', {task}.{metric}: {error}") from None
    return TaskGain(_mean(list(gains.values())), gains)


def _check_complete(needed: Iterable[str], have: Collection[str], problem: str) -> None:
    missing = next((name for name in needed if name not in have), None)
    if missing is not None:
        raise CheckpointError(
            f"{problem} '{missing}' (it has {', '.join(have) or 'none'}); compare models of the same tasks and metrics"
        )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
