"""What the search maximises: accuracy and costs in one number (Eq. 4-7), and which candidates are hopeless."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from operator import itemgetter
from typing import Literal

from pydantic import Field

from ednas.arch import Architecture, SearchSpace
from ednas.arch.space import Genes
from ednas.config import StrictModel
from ednas.exceptions import ConfigError, EdnasError, TrainingError
from ednas.hw.quantities import QUANTITIES, show
from ednas.scoring import RewardMode, accuracy, limited_reward, violation
from ednas.search.evaluators.base import Evaluation
from ednas.search.quantities import ACCURACY, pick

METRICS: Literal["metrics"] = "metrics"

CostModel = Callable[[Architecture], Mapping[str, float]]
"""What a candidate costs on the target device: quantities by their names in
:data:`~ednas.hw.quantities.QUANTITIES`. What is not known is absent, but ``latency_ms`` never is."""


class RememberedCost:
    """A cost model that keeps what it said, since a search asks for many networks more than once.

    Args:
        cost: The cost model; picklable, as this one then is, without what it keeps.
        kept: How many costs are kept.
    """

    def __init__(self, cost: CostModel, kept: int) -> None:
        self._given = cost, kept
        self._remembered = lru_cache(kept)(cost)

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the costs of a network."""
        return self._remembered(architecture)

    def __reduce__(self) -> tuple[type[RememberedCost], tuple[CostModel, int]]:
        """Travel without what is kept."""
        return RememberedCost, self._given


class RewardConfig(StrictModel):
    """How accuracy and the limited costs make the reward; see :func:`ednas.scoring.limited_reward`.

    Attributes:
        by: What the accuracy of a candidate is computed from: ``metrics`` (Eq. 6) or ``training_loss``, the reciprocal
            of the geometric mean of the tasks' losses over the last half of a training.
        mode: ``mnasnet`` (Eq. 5 as printed: a soft penalty above a limit), ``hard`` or ``absolute``.
        p: Exponent at or below a limit.
        q: Exponent above a limit.
        beta: Slope of ``absolute``.
        weights: The w_ij of Eq. 7 by task and metric; where absent 1, and 0 for built-in metrics that are not the
            paper's.
        reference: Metrics by task that the errors are divided into (the single-task baselines); 1 where absent. They
            scale the rewards and never change which of two candidates has the higher accuracy.
    """

    by: Literal["metrics", "training_loss"] = METRICS
    mode: RewardMode = "mnasnet"
    p: float = Field(default=0.0, le=0, allow_inf_nan=False)
    q: float = Field(default=-0.07, le=0, allow_inf_nan=False)
    beta: float = Field(default=-0.07, le=0, allow_inf_nan=False)
    weights: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    reference: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """What one search looks for.

    Attributes:
        limits: What a candidate must not exceed, by quantity; ``latency_ms`` is the target latency l_h.
        config: How accuracy and costs are combined.
        prune_factor: Candidates above this multiple of a limit are not evaluated at all; None = all are.
        objectives: What the Pareto set is drawn over: ``accuracy`` and quantities.
    """

    limits: Mapping[str, float]
    config: RewardConfig = field(default_factory=RewardConfig)
    prune_factor: float | None = None
    objectives: tuple[str, ...] = (ACCURACY, "latency_ms")

    @property
    def quantities(self) -> tuple[str, ...]:
        """What has to be known of every candidate: what is limited or an objective."""
        return tuple(dict.fromkeys([*self.limits, *(name for name in self.objectives if name != ACCURACY)]))

    def hopeless(self, cost: Mapping[str, float]) -> str:
        """Say why a candidate costs too much to be evaluated; empty if it does not.

        Raises:
            TargetError: One of :attr:`quantities` is missing or no number.
        """
        known = pick(cost, self.quantities)
        factor = self.prune_factor
        if factor is None:
            return ""
        return "; ".join(
            f"{show(name, known[name])} is above {factor:g} times the limit of {show(name, limit)}"
            for name, limit in self.limits.items()
            if known[name] > factor * limit
        )

    def by_metrics(self) -> Objective:
        """Return the same with accuracies that are computed from metrics, as the final networks' are."""
        return replace(self, config=self.config.model_copy(update={"by": METRICS}))

    def accuracy(self, evaluation: Evaluation) -> float:
        """Return the accuracy (Eq. 6), or what the losses of a training say in its place.

        Raises:
            TrainingError: A metric is NaN, infinite or negative; or there are no losses to compute it from.
            ConfigError: A weight belongs to no metric, or a metric has no direction.
        """
        if self.config.by != METRICS:
            losses = evaluation.late_losses()
            if not losses:
                raise TrainingError("the evaluator tells no training losses to judge by; choose reward.by: metrics")
            return math.exp(-math.fsum(losses.values()) / len(losses))
        return accuracy(
            evaluation.tasks,
            reference=self.config.reference,
            weights=self.config.weights,
            higher_is_better=evaluation.higher_is_better,
        )

    def score(self, evaluation: Evaluation, cost: Mapping[str, float]) -> tuple[float, float]:
        """Return accuracy (Eq. 6) and reward (Eq. 4).

        Raises:
            TrainingError: A metric is NaN, infinite or negative.
            ConfigError: A weight belongs to no metric, or a metric has no direction.
        """
        value, config = self.accuracy(evaluation), self.config
        return value, limited_reward(
            value, cost, self.limits, mode=config.mode, p=config.p, q=config.q, beta=config.beta
        )


def lowest(
    space: SearchSpace,
    cost: CostModel,
    value: Callable[[Mapping[str, float]], float],
    start: Genes | None = None,
    *,
    enough: float = 0.0,
) -> tuple[Genes, Mapping[str, float]]:
    """Find the network of a space that costs least, or one very near it, without enumeration.

    Coordinate descent: one decision at a time takes its best candidate, until no single change helps. Costs of layers
    add up, so that there is hardly a local minimum to be caught in; where a cost is the largest of the layers' (peak
    memory) and several are equal, the latency decides, so that they are reduced one after the other.

    Args:
        space: The space.
        cost: The cost model; networks that it refuses are passed over.
        value: What to minimise, from a network's costs; for example ``itemgetter("latency_ms")``.
        start: Where to begin; the middle of the space by default.
        enough: Stop as soon as a network is as low as this.

    Returns:
        The genes and their costs.

    Raises:
        EdnasError: The cost model refuses the network to begin with.
    """
    sizes = [len(decision.candidates) for decision in space.decisions]
    genes = list(start or [size // 2 for size in sizes])
    found = cost(space.decode(genes))
    since_improved = 0
    for index in itertools.cycle(range(len(sizes))):
        if value(found) <= enough or since_improved == len(sizes):
            break
        kept = genes[index]
        since_improved += 1
        for gene in set(range(sizes[index])) - {kept}:
            genes[index] = gene
            try:
                candidate = cost(space.decode(genes))
            except EdnasError:
                continue
            if (value(candidate), candidate["latency_ms"]) < (value(found), found["latency_ms"]):
                found, kept, since_improved = candidate, gene, 0
        genes[index] = kept
    return tuple(genes), found


def check_feasible(
    space: SearchSpace, cost: CostModel, limits: Mapping[str, float], start: Genes | None, device: str
) -> None:
    """Make sure that a network of the space meets each limit, and one meets all, as far as :func:`lowest` can tell.

    Args:
        space: The space.
        cost: The cost model.
        limits: The limits by quantity.
        start: A network to begin with, for example the base.
        device: What to call the device in an error.

    Raises:
        ConfigError: None was found; the message says what is possible.
        EdnasError: The cost model refuses the network to begin with.
    """
    starts = [start]
    for name, limit in limits.items():
        genes, found = lowest(space, cost, itemgetter(name), start, enough=limit)
        if found[name] > limit and QUANTITIES[name].is_fixed:
            raise ConfigError(
                f"the limit is {show(name, limit)}, but {device} has {show(name, found[name])} whatever network it "
                "runs; raise the limit or choose another target"
            )
        if found[name] > limit:
            raise ConfigError(
                f"the limit is {show(name, limit)}, but the lowest found in this space is {show(name, found[name])} "
                f"on {device}; raise the limit or widen the space"
            )
        starts.append(genes)
    if not limits:
        return
    excess = partial(violation, limits=limits)
    reached: list[Mapping[str, float]] = []
    for begin in reversed(starts):  # the last one meets the last limit; with one limit, that is all
        reached.append(lowest(space, cost, excess, begin)[1])
        if excess(reached[-1]) == 0:
            return
    nearest = min(reached, key=excess)
    costs = ", ".join(f"{show(name, nearest[name])} (limit {limit:g})" for name, limit in limits.items())
    raise ConfigError(
        f"no network found in this space meets all limits at once on {device}; the nearest has {costs}; "
        "raise a limit or widen the space"
    )
