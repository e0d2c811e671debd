"""A systolic array of multipliers, cycle for cycle as SCALE-Sim 3.0 computes it (Samajdar et al., ISPASS 2020).

A convolution is a matrix product of ``pixels x depth`` by ``depth x filters``: ``pixels`` of the output, ``depth =
Kh * Kw * Cin`` factors of each. One operand stays in the array, laid out over its rows and columns, and the other two
stream through it::

    dataflow                  rows      columns   stream
    ws (weight stationary)    depth     filters   pixels
    is (input stationary)     depth     pixels    filters
    os (output stationary)    pixels    filters   depth

What exceeds the array is cut into folds, each of which fills the array, streams and drains before the next::

    folds = ceil(rows needed / R) * ceil(columns needed / C)
    ws, is: cycles = folds * (2 R + C + stream - 2) - 1        (the operand is loaded row by row: another R)
    os:     cycles = folds * (R + C + stream - 2) - 1

Other operators, which SCALE-Sim does not know or leaves to the user:

* depthwise and grouped convolutions: a product for each channel or group, one after the other (as SCALE-Sim's ``DP``
  layers), so that a depthwise convolution leaves most of the array idle;
* transposed convolution: each input pixel by the whole window, ``pixels = H * W`` of the *input*, ``depth = Cin``,
  ``filters = Kh * Kw * Cout``; what overlaps is added up on the way out;
* fully connected: one product for all pixels; ``BATCH_MATMUL``: one for each row of the output's height;
* recurrent layers: a product for each time step; three-dimensional and general convolutions: one product. Their depth
  is what their multiply-accumulates say;
* dilation: the same factors at other places, no further cost;
* everything else: a vector unit beside the array with a lane for each column, each of which takes one element (of the
  window, for a pooling) a cycle. This is an assumption.
"""

from __future__ import annotations

from math import prod
from typing import Literal, NamedTuple

from ednas.hw.graph import ops
from ednas.hw.graph.layers import DTYPE_BITS, Layer
from ednas.hw.model.engines.base import Engine, Work
from ednas.hw.model.figure import Count, PositiveFigure

Dataflow = Literal["ws", "os", "is"]
"""Which operand stays in the array: the weights, the outputs or the inputs."""

_PARTIAL_SUM_BITS = 2 * 32
"""An int32 partial sum, written by a fold and read by the next."""

_BILINEAR_TAPS = 4


class Product(NamedTuple):
    """Matrix products of one size, ``pixels x depth`` by ``depth x filters``, that run one after the other."""

    times: int
    pixels: int
    depth: int
    filters: int


class ProductWork(NamedTuple):
    """What a product asks of the array, in SCALE-Sim's terms.

    Attributes:
        cycles: Cycles without waiting for memory.
        input_reads: Inputs that the array reads from on-chip memory.
        weight_reads: Weights that it reads.
        output_writes: Outputs that it writes, the partial sums of every fold among them.
    """

    cycles: int
    input_reads: int
    weight_reads: int
    output_writes: int


def product_work(pixels: int, depth: int, filters: int, rows: int, cols: int, dataflow: Dataflow) -> ProductWork:
    """Return what one product of ``pixels x depth`` by ``depth x filters`` asks of an array of ``rows x cols``."""
    if dataflow == "os":
        down, across = -(-pixels // rows), -(-filters // cols)
        cycles = down * across * (rows + cols + depth - 2) - 1
        return ProductWork(cycles, across * pixels * depth, down * depth * filters, pixels * filters)
    if dataflow == "ws":
        down, across = -(-depth // rows), -(-filters // cols)
        cycles = down * across * (2 * rows + cols + pixels - 2) - 1
        return ProductWork(cycles, across * pixels * depth, depth * filters, down * pixels * filters)
    down, across = -(-depth // rows), -(-pixels // cols)
    cycles = down * across * (2 * rows + cols + filters - 2) - 1
    return ProductWork(cycles, pixels * depth, across * depth * filters, down * pixels * filters)


def product(layer: Layer) -> Product:
    """Return the matrix products that a layer of :data:`ednas.hw.graph.ops.CONVOLUTIONS` consists of."""
    height, width, filters = layer.output
    channels, groups = layer.input[2], layer.groups
    window = layer.kernel[0] * layer.kernel[1]
    if layer.op == "CONV_2D":
        return Product(groups, height * width, window * channels // groups, filters // groups)
    if layer.op == "DEPTHWISE_CONV_2D":
        return Product(channels, height * width, window, -(-filters // channels))
    if layer.op == "TRANSPOSE_CONV":
        return Product(groups, layer.input[0] * layer.input[1], channels // groups, window * filters // groups)
    if layer.op == "BATCH_MATMUL":
        return Product(height, width, channels, filters)
    pixels = height * width
    if layer.op == "FULLY_CONNECTED":
        return Product(1, pixels, -(-prod(layer.input) // pixels), filters)
    depth = max(layer.macs // (pixels * filters), 1)
    return Product(pixels, 1, depth, filters) if layer.op in ops.RECURRENT else Product(1, pixels, depth, filters)


class SystolicArray(Engine):
    """A systolic array with a vector unit beside it.

    Attributes:
        kind: ``systolic``.
        rows: Multipliers of a column.
        cols: Multipliers of a row, and lanes of the vector unit.
        dataflow: What stays in the array: ``ws`` weights, ``os`` outputs, ``is`` inputs.
        clock_mhz: Clock, MHz.
    """

    kind: Literal["systolic"]
    rows: Count
    cols: Count
    dataflow: Dataflow
    clock_mhz: PositiveFigure

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a cycle in which every multiplier is busy."""
        return self.rows * self.cols

    def work(self, layer: Layer) -> Work:
        """Return a layer's cycles and the bytes between array and on-chip memory.

        The bytes are SCALE-Sim's accesses at the width of what is accessed: inputs and finished outputs at the
        layer's, weights at theirs, partial sums (which a fold writes and the next one reads) as int32. Biases are
        not counted.
        """
        if layer.op in ops.RESHAPES:
            return Work(0, 0)
        bits = DTYPE_BITS[layer.dtype]
        if layer.op not in ops.CONVOLUTIONS:
            moved = _elements_read(layer) + prod(layer.output)
            return Work(-(-_vector_steps(layer) // self.cols), moved * bits // 8 + layer.weight_bytes)
        times, pixels, depth, filters = product(layer)
        cycles, inputs, weights, outputs = product_work(pixels, depth, filters, self.rows, self.cols, self.dataflow)
        finished = pixels * filters
        moved_bits = (inputs + finished) * bits + weights * layer.weight_bits + (outputs - finished) * _PARTIAL_SUM_BITS
        return Work(times * cycles, times * moved_bits // 8)

    def parameter_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's parameters: they are kept without padding."""
        return layer.weight_bytes


def _elements_read(layer: Layer) -> int:
    """Return the elements that an operator without multiplications reads; an ``ADD`` reads its input's size twice."""
    return prod(layer.input) * (max(len(layer.inputs), 1) if layer.op in ops.ELEMENTWISE else 1)


def _vector_steps(layer: Layer) -> int:
    """Return the elements that pass a lane of the vector unit."""
    if layer.op in ops.POOLS:
        return prod(layer.output) * layer.kernel[0] * layer.kernel[1]
    if layer.op in ops.REDUCTIONS:
        return prod(layer.input)
    if layer.op == "RESIZE_BILINEAR":
        return prod(layer.output) * _BILINEAR_TAPS
    return prod(layer.output)
