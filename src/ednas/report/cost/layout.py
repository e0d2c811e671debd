"""What the parts of the picture share: its measures, colours and words."""

from __future__ import annotations

from ednas.hw.graph import ops

COLOURS = {
    "convolution": "#2a66a8",
    "depthwise": "#2c8a86",
    "elementwise": "#a8761a",
    "pooling, resize": "#7a5fa8",
    "other operator": "#8c6d5c",
    "traffic on the chip": "#9db7d3",
    "parameters": "#bd5316",
    "activations": "#a83a68",
    "call": "#3f4a55",
    "transfer": "#75838f",
    "the rest": "#b9c3cc",
}
"""Colours by what is drawn; spans are labelled in white, but for those in the two lightest."""

WIDTH = 1140.0
MARGIN = 28.0
GUTTER = 132.0
"""Width of the lanes' names."""


def op_kind(op: str) -> str:
    """Return the kind of an operator: a key of :data:`COLOURS`."""
    if op == "DEPTHWISE_CONV_2D":
        return "depthwise"
    if op in ops.CONVOLUTIONS:
        return "convolution"
    if op in ops.ELEMENTWISE:
        return "elementwise"
    return "pooling, resize" if op in ops.POOLS | ops.REDUCTIONS | ops.RESIZES else "other operator"


def count_layers(count: int) -> str:
    """Return how many layers there are, in words."""
    return "1 layer" if count == 1 else f"{count} layers"
