"""How far two rankings of the same networks agree, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

RESAMPLES = 2000
"""Resamples of a bootstrap."""


@dataclass(frozen=True)
class Interval:
    """An estimate and where its true value lies with 95 % confidence.

    Attributes:
        value: The estimate.
        low: Lower bound.
        high: Upper bound.
    """

    value: float
    low: float
    high: float


def kendall(first: Sequence[float] | Vector, second: Sequence[float] | Vector) -> float:
    """Return Kendall's tau-b, from -1 to 1: of two networks, how much oftener both rankings agree than not.

    NaN where one ranking has all networks alike, or there are fewer than 2.

    Example:
        >>> round(kendall([1, 2, 3, 4], [1, 2, 4, 3]), 3)
        0.667
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    upper = np.triu_indices(len(one), 1)
    a, b = (np.sign(values[:, None] - values[None, :])[upper] for values in (one, other))
    norm = math.sqrt(float((a != 0).sum()) * float((b != 0).sum()))
    return float((a * b).sum()) / norm if norm else math.nan


def spearman(first: Sequence[float] | Vector, second: Sequence[float] | Vector) -> float:
    """Return Spearman's rank correlation, from -1 to 1; NaN where one ranking has all networks alike."""
    a, b = (_ranks(np.asarray(values, dtype=np.float64)) for values in (first, second))
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Vector) -> Vector:
    """Return ranks from 0; equal values share the mean of theirs."""
    ranks: Vector = ((values[:, None] > values).sum(1) + (values[:, None] >= values).sum(1) - 1) / 2
    return ranks


def bootstrap(count: int, statistic: Callable[[npt.NDArray[np.int64]], float], seed: int = 0) -> Interval:
    """Return a statistic of networks with its percentile interval over resampled networks.

    Args:
        count: How many networks there are.
        statistic: Maps the numbers of some networks, perhaps repeated, to a value; NaN where it has none.
        seed: Of the resampling.
    """
    rng = np.random.default_rng(seed)
    values = np.array([statistic(rng.integers(0, count, count)) for _ in range(RESAMPLES)])
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(statistic(np.arange(count)), math.nan, math.nan)
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(statistic(np.arange(count)), float(low), float(high))


def probability(count: int, better: Callable[[npt.NDArray[np.int64]], float], seed: int = 0) -> float:
    """Return in which share of the resamples of networks a difference is above 0: a paired bootstrap.

    Args:
        count: How many networks there are.
        better: Maps the numbers of some networks to the difference; NaN counts as none.
        seed: Of the resampling.
    """
    rng = np.random.default_rng(seed)
    values = np.array([better(rng.integers(0, count, count)) for _ in range(RESAMPLES)])
    return float((values > 0).mean())


def ceiling(reliability: float) -> float:
    """Return the tau that a perfect evaluator would reach, on average, against a reference that is itself noisy.

    Of two rankings whose scores correlate by r, tau is 2 / pi asin r; and what is perfect correlates with a reference
    by the root of its reliability.

    Example:
        >>> round(ceiling(0.9), 2)
        0.8

    Args:
        reliability: Share of the reference's variance that is the networks' own, 0 to 1.
    """
    return 2 / math.pi * math.asin(math.sqrt(min(max(reliability, 0.0), 1.0)))


def top_hits(scores: Vector, reference: Vector, share: float = 0.25) -> float:
    """Return how many of the truly best networks are among those that are scored best, as a share of them."""
    count = max(1, round(share * len(scores)))
    best, chosen = (set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (reference, scores))
    return len(best & chosen) / count


def worst_found(scores: Vector, reference: Vector, share: float = 0.5) -> float:
    """Return how many of the networks that are scored worst are truly below the median, as a share of them."""
    count = max(1, round(share * len(scores)))
    chosen = np.argsort(scores, kind="stable")[:count]
    return float((reference[chosen] < np.median(reference)).mean())


def regret(scores: Vector, reference: Vector) -> float:
    """Return by how much the network that is scored best is worse than the truly best one."""
    return float(reference.max() - reference[int(np.argmax(scores))])
