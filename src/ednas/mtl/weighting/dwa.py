"""Dynamic weight average (Liu et al., 2019): what falls more slowly counts more."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from ednas.config import StrictModel
from ednas.mtl.weighting.base import LossWeighting, Taken, register_weighting


@register_weighting("dwa")
class DynamicWeightAverage(LossWeighting):
    """Weighs by how much each loss fell between the last two windows of steps, the paper's epochs.

    Args:
        tasks: Number of tasks.
        seed: Not used.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``dwa``.

        Attributes:
            temperature: The higher, the more alike are the weights.
            window: Steps over which losses are averaged before they are compared.
        """

        temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
        window: PositiveInt = 100

    def __init__(self, tasks: int, seed: int = 0, *, temperature: float = 2.0, window: int = 100) -> None:
        super().__init__(tasks, seed)
        self._temperature = temperature
        self._window = window
        self.total: Tensor
        self.means: Tensor
        self.register_buffer("total", torch.zeros(tasks))
        self.register_buffer("means", torch.ones(2, tasks))

    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Return the weights, which add up to the number of tasks; ones in the first two windows."""
        if step < 2 * self._window:
            return torch.ones_like(losses)
        older, newer = self.means
        weights: Tensor = self.tasks * (newer / (older * self._temperature)).softmax(0)
        return weights

    def update(self, taken: Taken) -> None:
        """Average the losses."""
        self.total += taken.losses
        if (taken.step + 1) % self._window == 0:
            self.means.copy_(torch.stack([self.means[1], self.total / self._window]))
            self.total.zero_()
