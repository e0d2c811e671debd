"""The shared neck: BiFPN with plain sums instead of weighted fusion, and ReLU6 (Section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ednas.nn.blocks import ConvBNAct, SeparableConv

NUM_LEVELS = 5
"""Levels P3 to P7."""


def upsample_nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(N, C, H, W)`` to ``size`` = (height, width) by nearest neighbour."""
    return F.interpolate(x, size=[size[0], size[1]], mode="nearest")


def halve(x: Tensor) -> Tensor:
    """Max-pool ``(N, C, H, W)`` to ``(N, C, ceil(H / 2), ceil(W / 2))``.

    Even sides need no padding (a plain SAME pooling on the device); a side of 1 stays.
    """
    sides = [x.shape[2], x.shape[3]]
    return F.max_pool2d(
        x,
        kernel_size=[1 if side == 1 else 3 for side in sides],
        stride=[1 if side == 1 else 2 for side in sides],
        padding=[1 if side % 2 and side > 1 else 0 for side in sides],
        ceil_mode=True,
    )


class Fusion(nn.Module):
    """One node of a BiFPN: sum, ReLU6, separable convolution.

    Args:
        width: Channels of all inputs and of the output, ``(N, width, H, W)``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act = nn.ReLU6()
        self.conv = SeparableConv(width, width, act=False)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Fuse inputs of one shape ``(N, width, H, W)``."""
        total = inputs[0]
        for other in inputs[1:]:
            total = total + other
        y: Tensor = self.conv(self.act(total))
        return y


class TopDown(nn.Module):
    """The first half of a BiFPN layer: P7 down to P3, each level fused with the one above.

    Args:
        width: Channels of every level.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fusions = nn.ModuleList(Fusion(width) for _ in range(NUM_LEVELS - 1))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Map the five levels ``(N, width, H_i, W_i)`` to five levels of the same shapes; P7 stays as it is."""
        fused = list(levels)
        for i in reversed(range(NUM_LEVELS - 1)):
            fused[i] = self.fusions[i](levels[i], upsample_nearest(fused[i + 1], levels[i].shape[2:]))
        return fused


class BiFPNLayer(nn.Module):
    """One bidirectional pass over P3-P7: top-down, then bottom-up (EfficientDet, Fig. 2d).

    Args:
        width: Channels of every level.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.top_down = TopDown(width)
        self.fusions = nn.ModuleList(Fusion(width) for _ in range(NUM_LEVELS - 1))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Map the five levels ``(N, width, H_i, W_i)`` to five levels of the same shapes."""
        middle = self.top_down(levels)
        out = [middle[0]]
        for i in range(1, NUM_LEVELS):
            below = halve(out[-1])
            inputs = (levels[i], middle[i], below) if i < NUM_LEVELS - 1 else (levels[i], below)
            out.append(self.fusions[i - 1](*inputs))
        return out


class BiFPN(nn.Module):
    """Builds P3-P7 from the backbone and fuses them in both directions, several times.

    P3-P5 are 1x1 projections of the backbone's last features at strides 8, 16 and 32; P6 is a 3x3 stride-2 convolution
    of the last one and P7 one of P6, as in RetinaNet.

    Args:
        in_channels: Channels of the backbone's features at strides 8, 16 and 32.
        width: Channels of every level.
        depth: Number of layers (4 in the paper).
    """

    def __init__(self, in_channels: Sequence[int], width: int, depth: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvBNAct(channels, width, act=False) for channels in in_channels)
        self.p6 = ConvBNAct(in_channels[-1], width, 3, stride=2, act=False)
        self.p7 = ConvBNAct(width, width, 3, stride=2, act=False)
        self.layers = nn.ModuleList([*(BiFPNLayer(width) for _ in range(depth - 1)), TopDown(width)])

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map features at strides 8, 16 and 32 to P3-P7, each ``(N, width, H / 2^level, W / 2^level)``."""
        levels = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]
        levels.append(self.p6(features[-1]))
        levels.append(self.p7(levels[-1]))
        for layer in self.layers:
            levels = layer(levels)
        return levels
