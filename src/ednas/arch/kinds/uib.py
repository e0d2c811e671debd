"""Universal inverted bottleneck (MobileNetV4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ednas.arch.block import EXPAND_RATIOS, FILTERS, KERNEL_SIZES, STRIDES, Block, number, register_kind
from ednas.exceptions import ArchitectureError

if TYPE_CHECKING:
    from torch import nn

_NONE_OR_KERNEL = (0, *KERNEL_SIZES)


@register_kind
@dataclass(frozen=True)
class UniversalInvertedBottleneck(Block):
    """Depthwise k x k, 1x1 expansion, depthwise k x k, linear 1x1 projection; either depthwise one may be left out.

    With both it is MobileNetV4's ExtraDW, with the middle one alone an inverted bottleneck, with the first one alone
    like a ConvNeXt block, with none a feed-forward network. The first is linear. An identity shortcut where shapes
    agree.

    Attributes:
        start_kernel_size: Of the depthwise convolution before the expansion; 0 = there is none.
        kernel_size: Of the depthwise convolution after the expansion; 0 = there is none.
        stride: Of the middle depthwise convolution, or else of the first.
        expand_ratio: Inner channels / input channels.
        filters: Output channels.
    """

    kind = "uib"
    label = "UIB"
    short = "UIB"
    title = "Universal inverted bottleneck"
    colour = "#6a4a9c"

    start_kernel_size: int = number("a", _NONE_OR_KERNEL, 0, "first kernel")
    kernel_size: int = number("k", _NONE_OR_KERNEL, 3, "kernel")
    stride: int = number("s", STRIDES, 1, "stride")
    expand_ratio: int = number("e", EXPAND_RATIOS, 4, "expansion")
    filters: int = number("c", FILTERS, 16, "filters")

    def check(self) -> None:
        """Check that there is a convolution that can have the stride."""
        if self.stride > 1 and not self.kernel_size and not self.start_kernel_size:
            raise ArchitectureError(
                "block: kernel_size and start_kernel_size are 0, one must be larger where stride is 2"
            )

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        from ednas.nn.blocks import ConvBNAct, ResidualBlock

        inner = in_channels * self.expand_ratio
        parts: dict[str, nn.Module] = {}
        if self.start_kernel_size:
            stride = 1 if self.kernel_size else self.stride
            parts["start"] = ConvBNAct(
                in_channels, in_channels, self.start_kernel_size, stride, groups=in_channels, act=False
            )
        parts["expand"] = ConvBNAct(in_channels, inner)
        if self.kernel_size:
            parts["depthwise"] = ConvBNAct(inner, inner, self.kernel_size, self.stride, groups=inner)
        parts["project"] = ConvBNAct(inner, self.filters, act=False)
        return ResidualBlock(parts, shortcut=self.stride == 1 and in_channels == self.filters)
