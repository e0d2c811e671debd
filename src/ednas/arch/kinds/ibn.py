"""Inverted bottleneck (MobileNetV2; Fig. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ednas.arch.block import EXPAND_RATIOS, FILTERS, KERNEL_SIZES, STRIDES, Block, number, register_kind

if TYPE_CHECKING:
    from torch import nn


@register_kind
@dataclass(frozen=True)
class InvertedBottleneck(Block):
    """1x1 expansion, depthwise k x k, linear 1x1 projection, identity shortcut where shapes agree.

    Attributes:
        kernel_size: Of the depthwise convolution.
        stride: Of the depthwise convolution.
        expand_ratio: Inner channels / input channels; at 1 there is no expansion convolution.
        filters: Output channels.
    """

    kind = "ibn"
    label = "IBN"
    short = "IBN"
    title = "Inverted bottleneck"
    colour = "#2a66a8"

    kernel_size: int = number("k", KERNEL_SIZES, 3, "kernel")
    stride: int = number("s", STRIDES, 1, "stride")
    expand_ratio: int = number("e", EXPAND_RATIOS, 6, "expansion")
    filters: int = number("c", FILTERS, 16, "filters")

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        from ednas.nn.blocks import ConvBNAct, ResidualBlock

        inner = in_channels * self.expand_ratio
        expand = {"expand": ConvBNAct(in_channels, inner)} if self.expand_ratio != 1 else {}
        return ResidualBlock(
            {
                **expand,
                "depthwise": ConvBNAct(inner, inner, self.kernel_size, self.stride, groups=inner),
                "project": ConvBNAct(inner, self.filters, act=False),
            },
            shortcut=self.stride == 1 and in_channels == self.filters,
        )

    def shared_as(self, tensor: str) -> str:
        """Share the 1x1 convolutions, whatever the kernel; normalisation and depthwise kernels belong to its size."""
        return "" if tensor in ("expand.0.weight", "project.0.weight") else super().shared_as(tensor)
