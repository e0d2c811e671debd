"""Uncertainty weighting in closed form, softened (Kirchdorfer et al., 2024; arXiv 2408.07985)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from ednas.config import StrictModel
from ednas.mtl.weighting.base import LossWeighting, register_weighting
from ednas.mtl.weighting.log_sum import SMALLEST


@register_weighting("uw_so")
class SoftOptimalUncertainty(LossWeighting):
    """Weighs by a softmax over the inverse losses.

    Args:
        tasks: Number of tasks.
        seed: Not used.
        **options: Those of :class:`Options`.
    """

    class Options(StrictModel):
        """Options of the weighting ``uw_so``.

        Attributes:
            temperature: The higher, the more alike are the weights.
        """

        temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0

    def __init__(self, tasks: int, seed: int = 0, *, temperature: float = 10.0) -> None:
        super().__init__(tasks, seed)
        self._temperature = temperature

    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Return the softmax; the weights add up to 1."""
        del step
        return (1 / (self._temperature * losses.clamp(min=SMALLEST))).softmax(0)
