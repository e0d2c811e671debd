"""A plain convolution, as MobileNetV4 begins and ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ednas.arch.block import FILTERS, KERNEL_SIZES, STRIDES, Block, number, register_kind

if TYPE_CHECKING:
    from torch import nn


@register_kind
@dataclass(frozen=True)
class Convolution(Block):
    """Dense k x k convolution, batch normalisation, ReLU6; without a shortcut.

    Attributes:
        kernel_size: Of the convolution.
        stride: Of the convolution.
        filters: Output channels.
    """

    kind = "conv"
    label = "Conv2D"
    short = "Conv"
    title = "Convolution"
    colour = "#596673"

    kernel_size: int = number("k", KERNEL_SIZES, 3, "kernel")
    stride: int = number("s", STRIDES, 1, "stride")
    filters: int = number("c", FILTERS, 16, "filters")

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        from ednas.nn.blocks import ConvBNAct

        return ConvBNAct(in_channels, self.filters, self.kernel_size, self.stride)
