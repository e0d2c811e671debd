"""Random loss weighting (Lin et al., 2022): new weights in every step, as a null hypothesis."""

from __future__ import annotations

import torch
from torch import Tensor

from ednas.mtl.weighting.base import LossWeighting, register_weighting
from ednas.seeding import derive_seed


@register_weighting("rlw")
class RandomWeighting(LossWeighting):
    """Weighs by a softmax over standard normal numbers."""

    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Draw the weights of a step, which add up to 1."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "weighting", step))
        return torch.randn(self.tasks, generator=generator).softmax(0).to(losses)
