"""What turns an architecture into metrics: the contract of every evaluator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ednas.arch import Architecture
from ednas.metrics import TaskValues

SMALLEST = 1e-6
"""In place of a metric or a loss of 0, whose logarithm is not finite."""


@dataclass(frozen=True)
class CurvePoint:
    """What was seen on the way to a result.

    Attributes:
        step: Training steps done.
        losses: Loss by task, not weighted, mean over the steps since the last point that has some.
        metrics: Values by task and metric at this step; empty where nothing was measured.
    """

    step: int
    losses: Mapping[str, float] = field(default_factory=dict)
    metrics: TaskValues = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """How good a candidate is.

    Attributes:
        tasks: Values by task and metric; percentages in percent, angles in degrees.
        higher_is_better: Directions of the metrics that are not built in.
        remark: What is wrong with it that no metric tells, one line; empty if nothing is.
        curve: What was seen on the way, by step; empty where there was no way.
        cpu_seconds: Processor time that it took, as far as the executor knows.
        note: What is to be known of it though nothing is wrong, one line.
        deviation: How far the logarithms of the metrics may be off, standard deviation; 0 for what was measured.
    """

    tasks: TaskValues
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    remark: str = ""
    curve: tuple[CurvePoint, ...] = ()
    cpu_seconds: float = field(default=0.0, compare=False)
    deviation: float = 0.0
    note: str = ""

    def late_losses(self) -> dict[str, float]:
        """Return the mean logarithm of each task's training loss over the last half of the steps.

        Empty where no losses were seen on the way. Before the learning rate has fallen, this ranks networks better than
        metrics do (Ru et al., 2021, call the sum of losses TSE).
        """
        seen = [point for point in self.curve if point.losses]
        late = [point.losses for point in seen if point.step > seen[-1].step / 2]
        return {
            task: math.fsum(math.log(max(losses[task], SMALLEST)) for losses in late) / len(late)
            for task in (late[0] if late else ())
        }


class Evaluator(Protocol):
    """Measures candidates.

    An evaluator is sent to worker processes: it must be picklable, and should hold settings and paths, not arrays.
    """

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        """Measure a candidate; the same arguments give the same result on the same machine.

        Any exception makes the trial a failed one, and the search goes on.
        """
        ...
