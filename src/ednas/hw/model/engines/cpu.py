"""One core of a processor, as TFLite's kernels (XNNPACK) use it.

A convolution is a matrix product without a copy of its input: each output pixel is a row, and the kernel makes
``gemm_columns`` output channels of it at once. For each such **tile** it runs through the window and the input
channels, whose number it pads to ``gemm_depth``, and at the end rescales, clamps and stores the sums:

    rows * groups * ceil(Cout / groups / columns)
         * (tile_cycles + gemm_factor * Kh * Kw * padded(Cin / groups) * columns / macs_per_cycle)

so that a layer of 17 channels costs as much as one of 32, and one with few input channels mostly its tiles. A depthwise
convolution costs cycles for each tap of a vector of channels, and for each vector that it stores; the other operators
cost cycles for each element or tap, far more where int8 has only a plain loop and no vector kernel. Every operator
costs a fixed time on top. Parameters are read anew at each inference from beyond the core's own caches, and the core
waits for part of that, so that each of their bytes costs cycles beside the computation. The padding before a
convolution is free: XNNPACK makes it part of the convolution, which reads zeros for what lies outside.
"""

from __future__ import annotations

from math import prod
from typing import Literal

from ednas.hw.graph import ops
from ednas.hw.graph.layers import DTYPE_BITS, Layer
from ednas.hw.model.engines.base import Engine, Work
from ednas.hw.model.figure import Count, Figure, PositiveFigure

# fmt: off
_PLAIN_INT8 = frozenset({
    "ABS", "DIV", "HARD_SWISH", "L2_NORMALIZATION", "LOG_SOFTMAX", "MIRROR_PAD", "POW", "PRELU", "RELU", "RELU6",
    "RELU_0_TO_1", "RELU_N1_TO_1", "RSQRT", "SOFTMAX", "SQRT", "SQUARED_DIFFERENCE",
})
# fmt: on
"""Operators that run a plain loop over int8 elements, found by timing each alone in LiteRT 2.3."""


class Cpu(Engine):
    """One core of a processor with vector instructions.

    Attributes:
        kind: ``cpu``.
        clock_mhz: Clock under load, MHz.
        int8_macs_per_cycle: Multiply-accumulates of int8 elements in a cycle.
        float_macs_per_cycle: Multiply-accumulates of float32 elements in a cycle.
        gemm_columns: Output channels that a matrix kernel makes at once.
        gemm_depth: Number that input channels are padded to a multiple of, int8.
        gemm_factor: Cycles of the matrix kernel's inner loop, over the ideal.
        tile_cycles: Cycles to rescale and store one row of a tile.
        transposed_factor: Cycles of a transposed convolution, over those of an ordinary one with as much work.
        vector_channels: Channels of a depthwise convolution's vector.
        depthwise_tap_cycles: Cycles of a tap of such a vector.
        depthwise_store_cycles: Cycles to rescale and store such a vector.
        vector_cycles: Cycles of an element of an operator with a vector kernel.
        plain_cycles: Cycles of an element of an operator that has none.
        maximum_tap_cycles: Cycles of an output element and tap of a maximum pooling.
        average_tap_cycles: Cycles of an output element and tap of another pooling.
        bilinear_cycles: Cycles of an output element of a bilinear resize.
        copy_cycles: Cycles of a byte of an operator that copies or reduces.
        parameter_cycles: Cycles that the core waits for a byte of parameters.
        layer_cycles: Cycles of an operator beside its work.
    """

    kind: Literal["cpu"]
    clock_mhz: PositiveFigure
    int8_macs_per_cycle: Count
    float_macs_per_cycle: Count
    gemm_columns: Count
    gemm_depth: Count
    gemm_factor: PositiveFigure
    tile_cycles: Figure
    transposed_factor: PositiveFigure
    vector_channels: Count
    depthwise_tap_cycles: PositiveFigure
    depthwise_store_cycles: Figure
    vector_cycles: PositiveFigure
    plain_cycles: PositiveFigure
    maximum_tap_cycles: PositiveFigure
    average_tap_cycles: PositiveFigure
    bilinear_cycles: PositiveFigure
    copy_cycles: PositiveFigure
    parameter_cycles: Figure
    layer_cycles: Figure

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a cycle in which every multiplier is busy, int8."""
        return self.int8_macs_per_cycle

    def work(self, layer: Layer) -> Work:
        """Return a layer's cycles, and the bytes of its input and output."""
        if layer.op in ops.RESHAPES or layer.op == "PAD":
            return Work(0, 0)
        waiting = self.layer_cycles.value + self.parameter_cycles.value * layer.weight_bytes
        return Work(round(waiting + self._cycles(layer)), layer.activation_bytes)

    def parameter_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's parameters, packed for the matrix kernel: whole tiles of output channels."""
        if layer.op not in ops.CONVOLUTIONS:
            return layer.weight_bytes
        channels = layer.output[2]
        return layer.weight_bytes * -(-channels // self.gemm_columns) * self.gemm_columns // channels

    def _cycles(self, layer: Layer) -> float:
        op = layer.op
        window = layer.kernel[0] * layer.kernel[1]
        elements = prod(layer.output)
        if op == "CONV_2D":
            rows = layer.output[0] * layer.output[1]
            groups = layer.groups
            padded = self._padded(layer.input[2] // groups, layer)
            return groups * self._product(layer, rows, window * padded, layer.output[2] // groups)
        if op == "DEPTHWISE_CONV_2D":
            height, width, channels = layer.output
            vectors = height * width * -(-channels // self.vector_channels)
            return vectors * (self.depthwise_store_cycles.value + window * self.depthwise_tap_cycles.value)
        if op == "TRANSPOSE_CONV":
            # An output pixel meets only each stride-th tap on either side.
            rows = layer.output[0] * layer.output[1]
            taps = window / layer.stride**2
            depth = taps * self._padded(layer.input[2], layer)
            return self.transposed_factor.value * self._product(layer, rows, depth, layer.output[2])
        if op in ops.CONVOLUTIONS:
            rows = layer.output[0] * layer.output[1]
            return self._product(layer, rows, layer.macs / elements, layer.output[2])
        if op in _PLAIN_INT8 and not layer.is_float:
            return elements * self.plain_cycles.value
        if op in ops.POOLS:
            tap_cycles = self.maximum_tap_cycles if op == "MAX_POOL_2D" else self.average_tap_cycles
            return elements * window * tap_cycles.value
        if op == "RESIZE_BILINEAR":
            return elements * self.bilinear_cycles.value
        if op in ops.MOVES or op in ops.REDUCTIONS:
            return max(prod(layer.input), elements) * DTYPE_BITS[layer.dtype] / 8 * self.copy_cycles.value
        return elements * self.vector_cycles.value

    def _product(self, layer: Layer, rows: int, depth: float, columns: int) -> float:
        """Return the cycles of a matrix product of ``rows`` x ``depth`` by ``depth`` x ``columns``."""
        macs_per_cycle = self.float_macs_per_cycle if layer.is_float else self.int8_macs_per_cycle
        tiles = rows * -(-columns // self.gemm_columns)
        inner = depth * self.gemm_columns / macs_per_cycle
        return tiles * (self.tile_cycles.value + self.gemm_factor.value * inner)

    def _padded(self, channels: int, layer: Layer) -> int:
        return channels if layer.is_float else -(-channels // self.gemm_depth) * self.gemm_depth
