"""How far evaluators can be trusted, from what they said of networks whose worth is known from longer trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ednas.search.agreement import (
    Interval,
    bootstrap,
    ceiling,
    kendall,
    probability,
    regret,
    spearman,
    top_hits,
    worst_found,
)

Vector = npt.NDArray[np.float64]

Verdict = Literal["trust", "filter only", "do not trust"]

TRUST_OVERALL, TRUST_BAND, TRUST_BETTER, FILTER = 0.3, 0.0, 0.9, 0.8
"""Bounds of the verdicts; see :func:`judge`."""


@dataclass(frozen=True)
class Reference:
    """What networks are worth, by longer trainings.

    Attributes:
        accuracy: Logarithm of the accuracy (Eq. 6), mean over the seeds, ``(N,)``.
        tasks: The same of each task alone.
        in_band: Which networks cost about the same, ``(N,)`` of booleans.
        noise: Standard deviation of one training's ``accuracy`` between seeds.
        reliability: Share of the variance of ``accuracy`` that is the networks' own, 0 to 1.
    """

    accuracy: Vector
    tasks: Mapping[str, Vector]
    in_band: npt.NDArray[np.bool_]
    noise: float
    reliability: float


@dataclass(frozen=True)
class Scores:
    """What an evaluator says of the same networks.

    Attributes:
        name: The evaluator, for people.
        values: Higher is better, ``(N,)``.
        tasks: Of single tasks; where one is missing ``values`` stands for it.
        seconds: Processor seconds that a judgement takes; NaN if unknown.
        once: Processor seconds before the first judgement.
        is_cost: Whether it is a cost or chance, which any evaluator should be better than.
        options: Of ``ednas search``, which make a search judge by it; empty if none do.
    """

    name: str
    values: Vector
    tasks: Mapping[str, Vector] = field(default_factory=dict)
    seconds: float = math.nan
    once: float = 0.0
    is_cost: bool = False
    options: str = ""


@dataclass(frozen=True)
class Row:
    """How far an evaluator can be trusted.

    Attributes:
        name: The evaluator.
        tau: Kendall's tau over all networks.
        tau_in_band: Over those that cost about the same.
        tau_of_ceiling: ``tau`` as a share of what a perfect evaluator would reach.
        tasks: Tau by task.
        spearman: Spearman's rank correlation.
        top_quarter: Share of the truly best quarter that is in its best quarter.
        worst_half: Share of its worst half that is truly below the median.
        regret: By how much its best network is worse than the truly best one, in standard deviations between seeds.
        better_than_costs: In which share of the resamples it agrees better than the best cost.
        seconds: Processor seconds that a judgement takes.
        once: Processor seconds before the first judgement.
        is_cost: Whether it is a cost or chance.
        verdict: What may be done with it.
        values: What it says of each network.
        options: Of ``ednas search``, which make a search judge by it; empty if none do.
    """

    name: str
    tau: Interval
    tau_in_band: Interval
    tau_of_ceiling: float
    tasks: Mapping[str, float]
    spearman: float
    top_quarter: float
    worst_half: float
    regret: float
    better_than_costs: float
    seconds: float
    once: float
    is_cost: bool
    verdict: Verdict
    values: Sequence[float]
    options: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is unknown is None."""
        values: dict[str, Any] = _plain(asdict(self))
        return values


def measure_reference(
    accuracies: Sequence[Sequence[float]], tasks: Mapping[str, Sequence[float]], in_band: Sequence[bool]
) -> Reference:
    """Return what networks are worth, and how sure that is.

    Args:
        accuracies: Of each network, of each of its trainings (one or more), logarithms.
        tasks: By task, the logarithm of each network's accuracy in it alone, mean over its trainings.
        in_band: Whether each network is in the band of costs.
    """
    means = np.array([np.mean(values) for values in accuracies])
    doubles = [values for values in accuracies if len(values) > 1]
    variance = float(np.mean([np.var(values, ddof=1) for values in doubles])) if doubles else math.nan
    # A mean of several trainings is less noisy than one training.
    noise = float(np.mean([variance / len(values) for values in accuracies]))
    total = float(means.var(ddof=1)) if len(means) > 1 else math.nan
    reliability = min(max(1 - noise / total, 0.0), 1.0) if total > 0 else math.nan
    return Reference(
        means,
        {task: np.array(values) for task, values in tasks.items()},
        np.array(in_band, dtype=bool),
        math.sqrt(variance),
        reliability,
    )


def judge(scores: Sequence[Scores], reference: Reference) -> list[Row]:
    """Compare evaluators with the reference, the best first, costs and chance at the end.

    An evaluator is to be trusted if its tau is above :data:`TRUST_OVERALL` and within the band above
    :data:`TRUST_BAND`, each with 97.5 % certainty, and if it is better than the best cost with a probability of
    :data:`TRUST_BETTER`. It may serve as a filter if :data:`FILTER` of its worst half are truly below the median.
    """
    costs = [own for own in scores if own.is_cost]
    best_cost = max(costs, key=lambda own: _known(kendall(own.values, reference.accuracy)), default=None)
    rows = [_row(own, best_cost, reference) for own in scores]
    return sorted(rows, key=lambda row: (row.is_cost, -_known(row.tau.value)))


def _row(own: Scores, best_cost: Scores | None, reference: Reference) -> Row:
    truth, band = reference.accuracy, np.flatnonzero(reference.in_band)
    count = len(truth)
    tau = bootstrap(count, lambda rows: kendall(own.values[rows], truth[rows]))
    inside = bootstrap(len(band), lambda rows: kendall(own.values[band][rows], truth[band][rows]))
    better = math.nan
    if best_cost is not None and own is not best_cost:
        cost = best_cost.values
        better = probability(
            count, lambda rows: kendall(own.values[rows], truth[rows]) - kendall(cost[rows], truth[rows])
        )
    most = ceiling(reference.reliability)
    found = worst_found(own.values, truth)
    trusted = tau.low > TRUST_OVERALL and inside.low > TRUST_BAND and not better <= TRUST_BETTER and not own.is_cost
    verdict: Verdict = "trust" if trusted else "filter only" if found >= FILTER else "do not trust"
    return Row(
        name=own.name,
        tau=tau,
        tau_in_band=inside,
        tau_of_ceiling=tau.value / most if most else math.nan,
        tasks={task: kendall(own.tasks.get(task, own.values), values) for task, values in reference.tasks.items()},
        spearman=spearman(own.values, truth),
        top_quarter=top_hits(own.values, truth),
        worst_half=found,
        regret=regret(own.values, truth) / reference.noise if reference.noise else math.nan,
        better_than_costs=better,
        seconds=own.seconds,
        once=own.once,
        is_cost=own.is_cost,
        verdict=verdict,
        values=own.values.tolist(),
        options=own.options,
    )


def _known(value: float) -> float:
    return value if math.isfinite(value) else -1.0


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
