r"""A kind of block of one's own: MobileNetV1's separable convolution.

Nothing in the package changes for it: this file is loaded as a plugin, and architectures and spaces name the kind.

    ednas arch show --plugin examples/own_block.py \
        "stem_c16 sep_k3_s2_c32 | sep_k3_s2_c64 | sep_k3_s2_c96 | sep_k3_s2_c128 bifpn_w32_d1 heads_l4"

A search chooses among kinds with ``space: {kinds: [ibn, sep]}`` and ``plugins: [own_block.py]`` in its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ednas.arch import Block, number, register_kind
from ednas.nn.blocks import ConvBNAct


@register_kind
@dataclass(frozen=True)
class SeparableConvolution(Block):
    """Depthwise k x k, then 1x1 convolution, each with batch normalisation and ReLU6."""

    kind = "sep"
    label = "Separable"
    short = "Sep"
    title = "Separable convolution"
    colour = "#2f7d57"

    kernel_size: int = number("k", (3, 5, 7), 3, "kernel")
    stride: int = number("s", (1, 2), 1, "stride")
    filters: int = number("c", range(1, 4097), 16, "filters")

    def build(self, in_channels: int) -> nn.Module:
        """Return the module."""
        return nn.Sequential(
            ConvBNAct(in_channels, in_channels, self.kernel_size, self.stride, groups=in_channels),
            ConvBNAct(in_channels, self.filters),
        )
