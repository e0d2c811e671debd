"""What a training run tells those who watch it: the small protocol of progress bars and logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ednas.training.model import Model


@dataclass(frozen=True)
class StepReport:
    """State of a training run after a step.

    Attributes:
        step: Steps done, 1 to ``steps``.
        steps: Steps in all.
        losses: Loss by task, not weighted, mean over the steps since the last report.
        loss: Sum of ``losses``, by the recipe's weights: what is minimised where the weighting is ``fixed``.
        learning_rate: Of the last step.
        images_per_second: Over the steps since the last report.
        eta_seconds: Expected time to the last step.
        task_weights: What each loss counted in the last step; empty where the weighting is ``fixed``.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    loss: float
    learning_rate: float
    images_per_second: float
    eta_seconds: float
    task_weights: Mapping[str, float] = field(default_factory=dict)


class Callback(Protocol):
    """Called every ``log_every`` steps and after the last one; an exception that it raises ends the run."""

    def __call__(self, report: StepReport, /) -> None:
        """Take note of a report."""
        ...


@dataclass(frozen=True)
class ValidationReport:
    """What a validation during a training measured, every ``evaluate_every`` steps.

    Attributes:
        step: Steps done.
        model: As it was measured, in evaluation mode: with the average of the weights where there is one. It is trained
            further; a copy stays as it is.
        metrics: From :func:`ednas.training.evaluate`, on the part of the training split that is held out.
        accuracy: The metrics as one number (Eq. 6), by which the best checkpoint is chosen.
        is_best: Whether it is the highest so far.
    """

    step: int
    model: Model
    metrics: Mapping[str, Any]
    accuracy: float
    is_best: bool


class ValidationCallback(Protocol):
    """Called after each validation; an exception that it raises ends the run."""

    def __call__(self, report: ValidationReport, /) -> None:
        """Take note of a report."""
        ...
