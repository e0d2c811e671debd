"""The small per-task heads: all that tasks do not share."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ednas.nn.blocks import SeparableConv


def resize_bilinear(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(N, C, H, W)`` to ``size`` = (height, width), bilinear, half-pixel centres."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=[size[0], size[1]], mode="bilinear", align_corners=False)


class DenseHead(nn.Module):
    """Two separable convolutions at stride 8, bilinear x2, one more and a 1x1 prediction at stride 4.

    Where there are features of stride 4 they are added after the resizing: P3 alone does not know where edges are.

    Args:
        width: Channels of the neck's P3.
        channels: Output channels, for example the number of classes.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.coarse = nn.Sequential(SeparableConv(width, width), SeparableConv(width, width))
        self.act = nn.ReLU6()
        self.fine = SeparableConv(width, width)
        self.predict = nn.Conv2d(width, channels, 1)

    def forward(self, p3: Tensor, size: Sequence[int], detail: Tensor | None = None) -> Tensor:
        """Predict at stride 4.

        Args:
            p3: ``(N, width, H / 8, W / 8)``.
            size: Height and width of the features at stride 4.
            detail: Features ``(N, width, *size)`` to add, or None.

        Returns:
            ``(N, channels, *size)``.
        """
        x = resize_bilinear(self.coarse(p3), size)
        if detail is not None:
            x = self.act(x + detail)
        y: Tensor = self.predict(self.fine(x))
        return y
