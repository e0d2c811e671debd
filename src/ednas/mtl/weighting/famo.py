"""Fast adaptive multi-task optimisation (Liu et al., 2023): all losses fall at about the same rate."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ednas.config import StrictModel
from ednas.mtl.weighting.base import Learned, LossWeighting, Taken, register_weighting
from ednas.mtl.weighting.log_sum import SMALLEST


@register_weighting("famo")
class FAMO(LossWeighting):
    """Minimises a weighted sum of the losses' logarithms, whose weights follow what each step did to every loss.

    That is seen by another forward pass after the step.

    Args:
        tasks: Number of tasks.
        seed: Not used.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``famo``.

        Attributes:
            learning_rate: Adam's, of the weights' logits.
            weight_decay: Adam's: how much they are drawn back to equal weights.
        """

        learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.025
        weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3

    def __init__(self, tasks: int, seed: int = 0, *, learning_rate: float = 0.025, weight_decay: float = 1e-3) -> None:
        super().__init__(tasks, seed)
        self.logits = Learned(torch.zeros(tasks), learning_rate, weight_decay)

    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Return the weights of the losses, whose products with them add up to 1 before they are normalised."""
        del step
        ratio = self.logits.values.detach().softmax(0) / (losses + SMALLEST)
        return ratio / ratio.sum()

    def update(self, taken: Taken) -> None:
        """Learn the logits from how much each logarithm fell."""
        fell = (taken.losses + SMALLEST).log() - (taken.look() + SMALLEST).log()
        share = self.logits.values.detach().softmax(0)
        self.logits.learn(share * (fell - (share * fell).sum()))
