"""Weights by learned uncertainties (Kendall et al., 2018)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ednas.config import StrictModel
from ednas.mtl.weighting.base import Learned, LossWeighting, Taken, register_weighting


@register_weighting("uncertainty")
class Uncertainty(LossWeighting):
    """Minimises ``sum(loss / (2 exp(s)) + s / 2)`` over the network and over the tasks' log-variances ``s``.

    Args:
        tasks: Number of tasks.
        seed: Not used.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``uncertainty``.

        Attributes:
            learning_rate: Adam's, of the log-variances.
        """

        learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-2

    def __init__(self, tasks: int, seed: int = 0, *, learning_rate: float = 1e-2) -> None:
        super().__init__(tasks, seed)
        self.log_variances = Learned(torch.full((tasks,), -0.5), learning_rate)

    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Return what the log-variances say."""
        del losses, step
        return 0.5 * torch.exp(-self.log_variances.values.detach())

    def update(self, taken: Taken) -> None:
        """Learn the log-variances."""
        self.log_variances.learn(0.5 - taken.losses * self.weigh(taken.losses, taken.step))
