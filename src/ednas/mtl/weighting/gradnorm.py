"""GradNorm (Chen et al., 2018): tasks learn at one rate, by gradients of like size."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from ednas.config import StrictModel
from ednas.mtl.weighting.base import GradientWeighting, Learned, Taken, register_weighting


@register_weighting("gradnorm")
class GradNorm(GradientWeighting):
    """Learns weights by which the norms of the tasks' gradients come near their mean, more for what lags behind.

    Args:
        tasks: Number of tasks.
        seed: Not used.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``gradnorm``.

        Attributes:
            alpha: How much more what lags behind counts.
            learning_rate: Adam's, of the weights' logits.
            window: First steps, of equal weights, whose mean losses say where each task began.
        """

        alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.5
        learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.025
        window: PositiveInt = 100

    def __init__(
        self, tasks: int, seed: int = 0, *, alpha: float = 1.5, learning_rate: float = 0.025, window: int = 100
    ) -> None:
        super().__init__(tasks, seed)
        self._alpha = alpha
        self._window = window
        self.logits = Learned(torch.zeros(tasks), learning_rate)
        self.start: Tensor
        self.register_buffer("start", torch.zeros(tasks))

    def weigh(self, gramian: Tensor, losses: Tensor, step: int) -> Tensor:
        """Return the weights, which add up to the number of tasks; ones in the first steps."""
        if step < self._window:
            return torch.ones_like(losses)
        share = self.logits.values.detach().softmax(0)
        norms = gramian.diagonal().sqrt().to(losses)
        scaled = self.tasks * share * norms
        rates = losses / self.start
        aim = scaled.mean() * (rates / rates.mean()) ** self._alpha
        slope = self.tasks * norms * (scaled - aim).sign()
        self.logits.learn(share * (slope - (share * slope).sum()))
        return self.tasks * share

    def update(self, taken: Taken) -> None:
        """Average the first losses."""
        if taken.step < self._window:
            self.start += taken.losses / self._window
