"""One candidate of a search, as the store keeps it and the controllers are told it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ednas.arch.space import Genes
from ednas.metrics import TaskValues


class TrialState(StrEnum):
    """Where a trial stands.

    - ``running``: proposed and stored, being evaluated; after a crash, to be evaluated again.
    - ``done``: evaluated, with a finite accuracy and reward.
    - ``failed``: evaluated without a usable result; ``Trial.error`` says why.
    - ``pruned``: too far above a limit to be worth an evaluation, or left out by the filter; only its cost is known.
    """

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    PRUNED = "pruned"


REFUSED = "filter "
"""How it begins why a candidate that is cheap enough was not trained."""


@dataclass(frozen=True)
class Judgement:
    """What a candidate was found to be worth by one seed.

    Attributes:
        accuracy: Eq. 6.
        reward: Eq. 4.
    """

    accuracy: float
    reward: float


@dataclass(frozen=True)
class Trial:
    """One candidate of a search.

    Attributes:
        number: 0, 1, ... in the order of the proposals.
        genes: The candidate as a point of the search space.
        architecture: The same in :meth:`~ednas.arch.Architecture.to_text` form, which needs no space to be read.
        fingerprint: :meth:`~ednas.arch.Architecture.fingerprint`.
        state: Where the trial stands.
        asked_after: How many trials the controller had been told when it proposed this one.
        parent: Number of the trial that this one was mutated from; None if it was drawn at random.
        cost: What the candidate costs on the target device; by the names of
            :data:`~ednas.hw.quantities.QUANTITIES`; holds ``latency_ms``, and what else the target models. Empty if
            unknown.
        metrics: Metrics by task; empty unless it was evaluated.
        accuracy: Eq. 6; None unless done.
        reward: Eq. 4; None unless done.
        error: Why it failed or was pruned, or what is remarked though it is done, one line.
        done_order: Position among the finished trials, in which the controller was told; None while running.
        seconds: How long the evaluation took.
    """

    number: int
    genes: Genes
    architecture: str
    fingerprint: str
    state: TrialState
    asked_after: int
    parent: int | None = None
    cost: Mapping[str, float] = field(default_factory=dict)
    metrics: TaskValues = field(default_factory=dict)
    accuracy: float | None = None
    reward: float | None = None
    error: str = ""
    done_order: int | None = None
    seconds: float | None = None

    @property
    def latency_ms(self) -> float | None:
        """Latency on the target device in milliseconds, None if unknown."""
        return self.cost.get("latency_ms")

    @property
    def scored(self) -> bool:
        """Whether the trial is done with a reward that can be compared (finite)."""
        return self.state is TrialState.DONE and self.reward is not None and math.isfinite(self.reward)

    @property
    def refused(self) -> bool:
        """Whether the search's filter left it out."""
        return self.state is TrialState.PRUNED and self.error.startswith(REFUSED)

    def meets(self, limits: Mapping[str, float]) -> bool:
        """Whether its costs are within limits, by quantity."""
        return all(self.cost[name] <= limit for name, limit in limits.items())
