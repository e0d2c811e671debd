"""What blocks, neck and heads are made of, free of operators that edge compilers reject."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

BN_EPS = 1e-3
"""EfficientNet's. On the small features of P6 and P7 variances are tiny, and torch's 1e-5 lets them explode."""

BN_MOMENTUM = 0.03
"""Slower than torch's 0.1, whose statistics follow the last few batches: at 64x128, P7 is one pixel a sample."""


class ConvBNAct(nn.Sequential):
    """Convolution, batch normalisation and, unless ``act`` is false, ReLU6.

    Padding is ``kernel_size // 2``, so a feature of size n becomes ``ceil(n / stride)``.

    Args:
        in_channels: Channels of the input ``(N, in_channels, H, W)``.
        out_channels: Channels of the output ``(N, out_channels, ceil(H / stride), ceil(W / stride))``.
        kernel_size: Odd kernel size.
        stride: Stride.
        groups: Groups of the convolution; ``in_channels`` makes it depthwise.
        act: Whether ReLU6 follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels, eps=BN_EPS, momentum=BN_MOMENTUM),
        ]
        if act:
            layers.append(nn.ReLU6(inplace=True))
        super().__init__(*layers)

    @property
    def conv(self) -> nn.Conv2d:
        """The convolution."""
        return cast("nn.Conv2d", self[0])

    @property
    def norm(self) -> nn.BatchNorm2d:
        """Its normalisation."""
        return cast("nn.BatchNorm2d", self[1])


class ResidualBlock(nn.Sequential):
    """Named parts in a row and, if ``shortcut``, the input added to what they give.

    Args:
        parts: The parts in order; their names are those of the state dict.
        shortcut: Whether input and output have one shape and are added.
    """

    def __init__(self, parts: Mapping[str, nn.Module], *, shortcut: bool) -> None:
        super().__init__(OrderedDict(parts))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, C_out, H', W')``."""
        y = x
        for part in self:
            y = part(y)
        return x + y if self.shortcut else y


class SeparableConv(nn.Sequential):
    """Depthwise 3x3, then 1x1 convolution and batch normalisation; ReLU6 unless ``act`` is false.

    Args:
        in_channels: Channels of the input ``(N, in_channels, H, W)``.
        out_channels: Channels of the output ``(N, out_channels, H, W)``.
        act: Whether ReLU6 follows.
    """

    def __init__(self, in_channels: int, out_channels: int, act: bool = True) -> None:
        depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        super().__init__(depthwise, *ConvBNAct(in_channels, out_channels, act=act))


def initialise(module: nn.Module) -> None:
    """Give a convolution its first weights; for ``module.apply``."""
    if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # one that is only described has no values
        # By what a unit reads. "fan_out" takes a depthwise convolution for a dense one, whose weights then start tens
        # of times too small, and learns far less in a short training (docs/training.md).
        nn.init.kaiming_normal_(module.weight, mode="fan_in")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
