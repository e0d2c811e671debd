"""Smooth Tchebycheff scalarisation (Lin et al., 2024): the task that is worst off counts most."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from ednas.config import StrictModel
from ednas.mtl.weighting.base import LossWeighting, Taken, check_window, register_weighting
from ednas.mtl.weighting.log_sum import SMALLEST


@register_weighting("stch")
class SmoothTchebycheff(LossWeighting):
    """Minimises a smooth maximum of the logarithms of the losses, each measured by its mean at the end of a warm-up.

    That is ``T mu logsumexp(log(loss / mean) / mu)``; in the warm-up it is the sum of the logarithms.

    Args:
        tasks: Number of tasks.
        seed: Not used.
        **options: Those of :class:`Options`.

    Raises:
        ConfigError: The window is longer than the warm-up.
    """

    class Options(StrictModel):
        """Options of the weighting ``stch``.

        Attributes:
            mu: The lower, the more the worst task counts.
            warmup_steps: Steps before losses are compared with their means.
            window: Last steps of the warm-up over which these are taken.
        """

        mu: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
        warmup_steps: PositiveInt = 200
        window: PositiveInt = 100

    def __init__(
        self, tasks: int, seed: int = 0, *, mu: float = 1.0, warmup_steps: int = 200, window: int = 100
    ) -> None:
        super().__init__(tasks, seed)
        check_window(window, warmup_steps, "warmup_steps")
        self._mu = mu
        self._warmup_steps = warmup_steps
        self._window = window
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(tasks))

    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Return the derivative of what is minimised."""
        losses = losses.clamp(min=SMALLEST)
        if step < self._warmup_steps:
            return 1 / losses
        return self.tasks * ((losses / self.mean).log() / self._mu).softmax(0) / losses

    def update(self, taken: Taken) -> None:
        """Average the losses at the end of the warm-up."""
        if self._warmup_steps - self._window <= taken.step < self._warmup_steps:
            self.mean += taken.losses / self._window
