"""Fused inverted bottleneck (EfficientNetV2; Fig. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ednas.arch.block import EXPAND_RATIOS, FILTERS, KERNEL_SIZES, STRIDES, Block, number, register_kind

if TYPE_CHECKING:
    from torch import nn


@register_kind
@dataclass(frozen=True)
class FusedInvertedBottleneck(Block):
    """Dense k x k expansion, linear 1x1 projection, identity shortcut where shapes agree.

    Attributes:
        kernel_size: Of the expansion.
        stride: Of the expansion.
        expand_ratio: Inner channels / input channels.
        filters: Output channels.
    """

    kind = "fused"
    label = "FusedIBN"
    short = "Fused"
    title = "Fused inverted bottleneck"
    colour = "#bd5316"

    kernel_size: int = number("k", KERNEL_SIZES, 3, "kernel")
    stride: int = number("s", STRIDES, 1, "stride")
    expand_ratio: int = number("e", EXPAND_RATIOS, 6, "expansion")
    filters: int = number("c", FILTERS, 16, "filters")

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        from ednas.nn.blocks import ConvBNAct, ResidualBlock

        inner = in_channels * self.expand_ratio
        return ResidualBlock(
            {
                "expand": ConvBNAct(in_channels, inner, self.kernel_size, self.stride),
                "project": ConvBNAct(inner, self.filters, act=False),
            },
            shortcut=self.stride == 1 and in_channels == self.filters,
        )

    def shared_as(self, tensor: str) -> str:
        """Share the projection, whatever the kernel; normalisation and the expansion belong to its size."""
        return "" if tensor == "project.0.weight" else super().shared_as(tensor)
