"""What the search maximises: accuracy and latency in one number (Eq. 4-7), and which candidates are hopeless."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from ednas.arch import Architecture, SearchSpace
from ednas.arch.space import Genes
from ednas.config import StrictModel
from ednas.scoring import RewardMode, accuracy, reward
from ednas.search.evaluators.base import Evaluation

CostModel = Callable[[Architecture], Mapping[str, float]]
"""Totals of a candidate on the target device; ``latency_ms`` must be among them. Cheap: no training."""


class RewardConfig(StrictModel):
    """How accuracy and latency make the reward; see :func:`ednas.scoring.reward`.

    Attributes:
        mode: ``mnasnet`` (Eq. 5 as printed: a soft penalty above the target), ``hard`` or ``absolute``.
        p: Exponent at or below the target.
        q: Exponent above the target.
        beta: Slope of ``absolute``.
        weights: The w_ij of Eq. 7 by task and metric; 1 where absent.
        reference: Metrics by task that the errors are divided into (the single-task baselines); 1 where absent. They
            scale the rewards and never change which of two candidates has the higher accuracy.
    """

    mode: RewardMode = "mnasnet"
    p: float = Field(default=0.0, le=0, allow_inf_nan=False)
    q: float = Field(default=-0.07, le=0, allow_inf_nan=False)
    beta: float = Field(default=-0.07, le=0, allow_inf_nan=False)
    weights: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    reference: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """The reward of one search.

    Attributes:
        target_ms: The target latency l_h, milliseconds.
        config: How accuracy and latency are combined.
        max_latency_factor: Candidates above this multiple of the target are not evaluated at all; None = all are.
    """

    target_ms: float
    config: RewardConfig
    max_latency_factor: float | None = None

    def too_slow(self, latency_ms: float) -> str:
        """Say why a candidate is too slow to be evaluated; empty if it is not."""
        if self.max_latency_factor is None or latency_ms <= self.max_latency_factor * self.target_ms:
            return ""
        return f"{latency_ms:.2f} ms is above {self.max_latency_factor:g} times the target of {self.target_ms:.2f} ms"

    def score(self, evaluation: Evaluation, latency_ms: float) -> tuple[float, float]:
        """Return accuracy (Eq. 6) and reward (Eq. 4).

        Raises:
            TrainingError: A metric is NaN, infinite or negative.
            ConfigError: A weight belongs to no metric, or a metric has no direction.
        """
        value = accuracy(
            evaluation.tasks,
            reference=self.config.reference,
            weights=self.config.weights,
            higher_is_better=evaluation.higher_is_better,
        )
        config = self.config
        return value, reward(
            value, latency_ms, self.target_ms, mode=config.mode, p=config.p, q=config.q, beta=config.beta
        )


def fastest(
    space: SearchSpace, cost: CostModel, start: Genes | None = None, *, enough_ms: float = 0.0
) -> tuple[Genes, float]:
    """Find the fastest network of a space, or one very near it, without enumeration.

    Coordinate descent: one decision at a time takes its fastest candidate, until no single change helps. Latencies of
    layers add up, so that there is hardly a local minimum to be caught in.

    Args:
        space: The space.
        cost: The cost model.
        start: Where to begin; the middle of the space by default.
        enough_ms: Stop as soon as a network is as fast as this.

    Returns:
        The genes and their latency in milliseconds.
    """
    sizes = [len(decision.candidates) for decision in space.decisions]
    genes = list(start or [size // 2 for size in sizes])

    def latency() -> float:
        return cost(space.decode(genes))["latency_ms"]

    best = latency()
    since_improved = 0
    for index in itertools.cycle(range(len(sizes))):
        if best <= enough_ms or since_improved == len(sizes):
            break
        kept = genes[index]
        since_improved += 1
        for gene in set(range(sizes[index])) - {kept}:
            genes[index] = gene
            value = latency()
            if value < best:
                best, kept, since_improved = value, gene, 0
        genes[index] = kept
    return tuple(genes), best
