"""How many cycles a layer takes on an array of tiles.

The array works on 4 x 4 output pixels at once, one a tile, and on 64 output channels in each tile's lanes. A **step**
is one such patch of pixels by one group of channels. The vendor's compiler writes its own estimate of an inference's
cycles into the executables that it makes; per layer that estimate follows

    ceil(H / 4) * ceil(W / 4) * ceil(Cout / 64) * (work of one output element) * factor

with the work ``Cin * Kh * Kw`` for a convolution, ``Kh * Kw`` for a depthwise convolution or a pooling, 4 for a
bilinear resize and 1 for an elementwise operator or a copy. A layer with a single output pixel (a fully connected one,
a global pooling) spreads its channels over all tiles. Factors are in the target's file.
"""

from __future__ import annotations

from math import prod

from ednas.hw import ops
from ednas.hw.graph import Layer
from ednas.hw.target import ArrayConfig

_BILINEAR_TAPS = 4


def cycles(layer: Layer, array: ArrayConfig) -> int:
    """Return the cycles of a layer.

    Args:
        layer: The layer.
        array: The array of tiles and its factors.
    """
    window = prod(layer.kernel)
    if layer.op in ops.RESHAPES:
        return 0
    if layer.op in ("CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"):
        factor = array.pointwise_factor if window == 1 else array.dense_factor
        groups = layer.groups
        height, width, channels = layer.output
        depth = layer.input[2] if layer.op == "CONV_2D" else prod(layer.input) // (height * width)
        work = groups * steps((height, width, channels // groups), array) * max(depth // groups, 1) * window
    elif layer.op == "TRANSPOSE_CONV":  # each input pixel is multiplied with the whole window
        factor = array.dense_factor
        work = steps((*layer.input[:2], layer.output[2]), array) * layer.input[2] * window
    elif layer.op == "DEPTHWISE_CONV_2D" or layer.op in ops.POOLS:
        factor = array.depthwise_factor
        work = steps(layer.output, array) * window
    elif layer.op in ops.REDUCTIONS:
        factor = array.depthwise_factor
        work = steps(layer.output, array) * max(prod(layer.input) // prod(layer.output), 1)
    elif layer.op == "RESIZE_BILINEAR":
        factor = array.depthwise_factor
        work = steps(layer.output, array) * _BILINEAR_TAPS
    elif layer.op in ops.MOVES:
        factor = array.move_factor
        work = steps(layer.output, array)
    else:
        factor = array.elementwise_factor
        work = steps(layer.output, array)
    return round(work * factor.value)


def steps(output: tuple[int, int, int], array: ArrayConfig) -> int:
    """Return how often the array must start anew to make an output of ``(height, width, channels)``."""
    height, width, channels = output
    high, wide, lanes = array.tiles_high, array.tiles_wide, array.lanes_per_tile
    if height == width == 1:
        return _ceil_div(channels, high * wide * lanes)
    return _ceil_div(height, high) * _ceil_div(width, wide) * _ceil_div(channels, lanes)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
