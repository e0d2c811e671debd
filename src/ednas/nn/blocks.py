"""The convolution blocks that a backbone is made of (Fig. 4), free of operators that edge compilers reject."""

from __future__ import annotations

from torch import Tensor, nn

from ednas.arch import Block

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


class InvertedBottleneck(nn.Module):
    """IBN (MobileNetV2): 1x1 expansion, depthwise k x k, linear 1x1 projection, identity shortcut where shapes agree.

    Args:
        in_channels: Channels of the input ``(N, in_channels, H, W)``.
        block: The architecture's block; at ``expand_ratio`` 1 there is no expansion convolution.
    """

    def __init__(self, in_channels: int, block: Block) -> None:
        super().__init__()
        inner = in_channels * block.expand_ratio
        self.expand = ConvBNAct(in_channels, inner) if block.expand_ratio != 1 else nn.Identity()
        self.depthwise = ConvBNAct(inner, inner, block.kernel_size, block.stride, groups=inner)
        self.project = ConvBNAct(inner, block.filters, act=False)
        self.shortcut = block.stride == 1 and in_channels == block.filters

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, filters, ceil(H / stride), ceil(W / stride))``."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class FusedInvertedBottleneck(nn.Module):
    """Fused-IBN (EfficientNetV2): dense k x k expansion, linear 1x1 projection, identity shortcut where shapes agree.

    Args:
        in_channels: Channels of the input ``(N, in_channels, H, W)``.
        block: The architecture's block.
    """

    def __init__(self, in_channels: int, block: Block) -> None:
        super().__init__()
        inner = in_channels * block.expand_ratio
        self.expand = ConvBNAct(in_channels, inner, block.kernel_size, block.stride)
        self.project = ConvBNAct(inner, block.filters, act=False)
        self.shortcut = block.stride == 1 and in_channels == block.filters

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, filters, ceil(H / stride), ceil(W / stride))``."""
        y: Tensor = self.project(self.expand(x))
        return x + y if self.shortcut else y


_BLOCKS: dict[str, type[InvertedBottleneck] | type[FusedInvertedBottleneck]] = {
    "ibn": InvertedBottleneck,
    "fused": FusedInvertedBottleneck,
}


def build_block(in_channels: int, block: Block) -> nn.Module:
    """Return the module of an architecture's block."""
    return _BLOCKS[block.kind](in_channels, block)


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
