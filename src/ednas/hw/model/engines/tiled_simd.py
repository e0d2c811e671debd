"""The Edge TPU: an array of tiles, each with lanes that make output channels side by side.

The array works on ``tiles_high x tiles_wide`` output pixels at once, one a tile, and on ``lanes_per_tile`` output
channels in each tile. A **step** is one such patch of pixels by one group of channels. The vendor's compiler writes its
own estimate of an inference's cycles into the executables that it makes; per layer that estimate follows

    ceil(H / 4) * ceil(W / 4) * ceil(Cout / 64) * (work of one output element) * factor

with the work ``Cin * Kh * Kw`` for a convolution, ``Kh * Kw`` for a depthwise convolution or a pooling, 4 for a
bilinear resize and 1 for an elementwise operator or a copy. A layer with a single output pixel (a fully connected one,
a global pooling) spreads its channels over all tiles. Factors are in the target's file.

Where activations do not fit on the chip, a tensor that has to be kept (:mod:`ednas.hw.model.memory`) and takes half of
a tile's memory or more leaves the chip, and each of its readers reads it back several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

from ednas.hw.graph import ops
from ednas.hw.graph.layers import DTYPE_BITS, Layer
from ednas.hw.graph.lifetimes import Lifetimes
from ednas.hw.model import memory
from ednas.hw.model.engines.base import Engine, Work
from ednas.hw.model.figure import Count, Figure, PositiveFigure

_BILINEAR_TAPS = 4


class TiledSimd(Engine):
    """An array of tiles with SIMD lanes.

    Attributes:
        kind: ``tiled_simd``.
        tiles_high: Tiles over the height of a feature.
        tiles_wide: Tiles over its width.
        lanes_per_tile: Output channels that a tile makes at once.
        macs_per_lane: Multiply-accumulates of a lane and cycle.
        clock_mhz: Clock, MHz.
        pointwise_factor: Cycles per step and unit of work of a 1x1 convolution.
        dense_factor: Of a k x k convolution.
        depthwise_factor: Of a depthwise convolution, a pooling or a resize.
        elementwise_factor: Of an elementwise operator.
        move_factor: Of a copy, and of a requantisation.
        scale_bytes_per_filter: Bytes of a filter's scale, beside its weights and bias.
        reads_of_spilled: How often each reader reads a tensor that does not stay on the chip.
    """

    kind: Literal["tiled_simd"]
    tiles_high: Count
    tiles_wide: Count
    lanes_per_tile: Count
    macs_per_lane: Count
    clock_mhz: PositiveFigure
    pointwise_factor: PositiveFigure
    dense_factor: PositiveFigure
    depthwise_factor: PositiveFigure
    elementwise_factor: PositiveFigure
    move_factor: PositiveFigure
    scale_bytes_per_filter: Figure
    reads_of_spilled: PositiveFigure

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a cycle in which every multiplier is busy."""
        return self.tiles_high * self.tiles_wide * self.lanes_per_tile * self.macs_per_lane

    def work(self, layer: Layer) -> Work:
        """Return a layer's cycles, and the bytes of its input, output and parameters: each passes the tiles once."""
        window = layer.kernel[0] * layer.kernel[1]
        if layer.op in ops.RESHAPES:
            return Work(0, 0)
        if layer.op in ("CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"):
            factor = self.pointwise_factor if window == 1 else self.dense_factor
            groups = layer.groups
            height, width, channels = layer.output
            depth = layer.input[2] if layer.op == "CONV_2D" else prod(layer.input) // (height * width)
            units = groups * self._steps((height, width, channels // groups)) * max(depth // groups, 1) * window
        elif layer.op == "TRANSPOSE_CONV":  # each input pixel is multiplied with the whole window
            factor = self.dense_factor
            units = self._steps((*layer.input[:2], layer.output[2])) * layer.input[2] * window
        elif layer.op == "DEPTHWISE_CONV_2D" or layer.op in ops.POOLS:
            factor = self.depthwise_factor
            units = self._steps(layer.output) * window
        elif layer.op in ops.CONVOLUTIONS:  # recurrent cells and the like: as matrix products that fill the array
            factor = self.pointwise_factor
            units = -(-layer.macs // (self.tiles_high * self.tiles_wide * self.lanes_per_tile))
        elif layer.op in ops.REDUCTIONS:
            factor = self.depthwise_factor
            units = self._steps(layer.output) * max(prod(layer.input) // prod(layer.output), 1)
        elif layer.op == "RESIZE_BILINEAR":
            factor = self.depthwise_factor
            units = self._steps(layer.output) * _BILINEAR_TAPS
        else:
            is_move = layer.op in ops.MOVES or layer.op == "QUANTIZE"
            factor = self.move_factor if is_move else self.elementwise_factor
            units = self._steps(layer.output)
        return Work(round(units * factor.value), layer.activation_bytes + layer.weight_bytes)

    def parameter_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's parameters in the device's layout.

        Filters are laid out over whole groups of lanes, and each takes a few bytes for its scale beside weights and
        bias.
        """
        if not layer.weight_bytes:
            return 0
        channels = layer.output[2]
        filters = -(-channels // self.lanes_per_tile) * self.lanes_per_tile
        return round(filters * (layer.weight_bytes / channels + self.scale_bytes_per_filter.value))

    def needed_bytes(self, layers: Sequence[Layer], times: Lifetimes, end: int) -> int:
        """Return the bytes of on-chip memory with which no activation leaves the chip."""
        kept = [index for index in range(len(layers)) if not times.is_streamed[index] and times.last_use[index] < end]
        widest = max([self._tile_bytes(layers[index]) for index in kept], default=0)
        return max(memory.striped_bytes(layers, times, end), 2 * self.tiles_high * self.tiles_wide * widest + 1)

    def spilled_bytes(self, layers: Sequence[Layer], times: Lifetimes, capacity: int) -> list[int]:
        """Return the bytes that each layer moves to and from the host because activations do not fit."""
        half = capacity // (2 * self.tiles_high * self.tiles_wide)
        away = {
            index
            for index, layer in enumerate(layers)
            if not times.is_streamed[index] and times.last_use[index] < len(layers) and self._tile_bytes(layer) >= half
        }
        moved = memory.spilled_bytes(layers, times, capacity, away)
        for index, layer in enumerate(layers):
            if index in away:
                moved[index] += layer.output_bytes
            for producer in away.intersection(layer.inputs):
                moved[index] += round(self.reads_of_spilled.value * layers[producer].output_bytes)
        return moved

    def _tile_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's output in the tile that has most of it."""
        height, width, channels = layer.output
        pixels = -(-height // self.tiles_high) * -(-width // self.tiles_wide)
        return pixels * channels * DTYPE_BITS[layer.dtype] // 8

    def _steps(self, output: tuple[int, int, int]) -> int:
        """Return how often the array must start anew to make an output of ``(height, width, channels)``."""
        height, width, channels = output
        high, wide, lanes = self.tiles_high, self.tiles_wide, self.lanes_per_tile
        if height == width == 1:
            return -(-channels // (high * wide * lanes))
        return -(-height // high) * -(-width // wide) * -(-channels // lanes)
