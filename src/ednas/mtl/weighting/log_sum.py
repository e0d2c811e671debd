"""The sum of the losses' logarithms: tasks count alike, in whatever unit their losses are."""

from __future__ import annotations

from torch import Tensor

from ednas.mtl.weighting.base import LossWeighting, register_weighting

SMALLEST = 1e-8
"""Losses count as at least that, so that one of 0 has a finite logarithm."""


@register_weighting("log_sum")
class LogSum(LossWeighting):
    """Minimises ``sum(log(losses))``, the logarithm of their geometric mean (Chennupati et al., 2019)."""

    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Return the derivative of the sum."""
        del step
        return 1 / losses.clamp(min=SMALLEST)
