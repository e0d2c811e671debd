"""The loss for surface normals, and which of their labels are valid."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ednas.tasks.losses import full_precision, weighted_mean

# Added to the squared length of a predicted normal. It bounds the gradient where the network outputs almost nothing,
# and moves the cosine of a vector of length 1 by 5e-9.
_LENGTH_EPSILON = 1e-8


class InverseCosineLoss(nn.Module):
    """One minus the mean cosine between predicted and true normals, over the pixels with a valid label.

    Predictions of any length other than 0 count alike: they are L2-normalised. Labels of length 0 are invalid, as are
    labels that are not finite.
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar in [0, 2].

        Args:
            prediction: Vectors ``(N, 3, H, W)``.
            target: Unit vectors ``(N, 3, H, W)``; zero vectors are invalid.
        """
        prediction = full_precision(prediction)
        valid = valid_normals(target)
        label = F.normalize(torch.where(valid, target, 0.0).to(prediction.dtype), dim=1)
        # An invalid pixel's prediction is replaced before the division, so that its gradient is exactly 0.
        vector = torch.where(valid, prediction, 1.0)
        cosine = (vector * label).sum(1, keepdim=True) * (
            vector.square().sum(1, keepdim=True) + _LENGTH_EPSILON
        ).rsqrt()
        return weighted_mean(torch.where(valid, 1.0 - cosine, 0.0), valid)


NORMALS_LOSSES: Mapping[str, type[nn.Module]] = MappingProxyType({"inverse_cosine": InverseCosineLoss})
"""The losses for surface normals by name."""


def valid_normals(target: Tensor) -> Tensor:
    """Mask ``(N, 1, H, W)`` of the pixels of ``(N, 3, H, W)`` that hold a direction, not the zero vector or NaN."""
    length = target.square().sum(1, keepdim=True)
    return torch.isfinite(length) & (length > 0.25)
