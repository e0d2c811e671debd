"""The mean of labels over samples, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def mean_label(batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor | None:
    """Return the mean of each pixel's valid labels; the mean of all where a pixel has none.

    Args:
        batches: Labels ``(N, C, H, W)`` and which of them are valid, bool ``(N, 1, H, W)``.

    Returns:
        float32 ``(1, C, H, W)``; None if there is no valid label.
    """
    total, count = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64)
    for labels, valid in batches:
        total = total + torch.where(valid, labels, 0.0).sum(0, dtype=torch.float64)
        count = count + valid.sum(0)
    if not count.any():
        return None
    total, count = (torch.where(count > 0, sums, sums.sum((-2, -1), keepdim=True)) for sums in (total, count))
    return (total / count).float()[None]
