"""Arm Ethos-U, as Arm's compiler Vela estimates it: multipliers that are fed block by block.

The engine makes a **micro-block** of the output at a time, for example 2 x 2 pixels of 8 channels, from 8 channels of
the input a cycle. Micro-blocks form **blocks**: as much of the output as fits with its accumulators, and with the input
that it needs, into the engine's own memory. The slowest of these counts:

* the multipliers: they take the channels of the input in groups, one element of the window after the other (*depth
  first*), or 8 channels and 4 elements of the window together (*part kernel*), whichever is less. The weights of each
  such step have to be decoded first, which is what takes time where the output is a few pixels;
* the output unit, which scales and clamps a few elements a cycle;
* the scales, 10 bytes a channel, which every block reads from off-chip memory;
* an image: a tensor of few channels is read in very short bursts;
* a bilinear resize without a unit for it: its phases write every other pixel, which is stored pixel by pixel, not in
  bricks; where such tensors lie off the chip, the bursts that write and read them are mostly lost;
* a table: activations that are looked up (a sigmoid) are part of the layer before, whose output they slow down;
* traffic to on-chip memory: every block reads its input, with the rows and columns where windows overlap, once for each
  slice of the output's channels, and its weights. The compiler chooses the shape of blocks that moves least.

Parameters are encoded by the compiler, so their bytes depend on the weights; nothing keeps them on the chip.

A mean is a depthwise convolution by equal weights. Other activations that stand alone, and copies, are poolings of
1 x 1. An ``ARG_MAX`` walks through channels pixel by pixel, and beyond 65,536 pixels the compiler cuts it into pieces
of a few. Steps of a recurrent layer follow one another, and each reads its parameters anew.

Not modelled: the exact shape of blocks and the part that is lost at edges; that a layer waits for its first weights;
additions that are chained to the convolution before them (U85); softmax and other operators of several passes, which
count as one; compression that depends on trained weights.
"""

from __future__ import annotations

from math import inf, prod, sqrt
from typing import Literal, NamedTuple

from ednas.config import StrictModel
from ednas.hw.graph import ops
from ednas.hw.graph.layers import BIAS_BYTES, Layer
from ednas.hw.model.engines.base import Work
from ednas.hw.model.figure import Count, PositiveFigure

_KIB = 1 << 10

_DOT_CHANNELS = 8
"""Channels of the input that a multiplier tree adds up in a cycle."""

_BRICK_CHANNELS = 16
"""Channels are stored in bricks of 16."""

_PART_WINDOW = 4
"""Elements of the window that go together, and the cycles that they take."""

_POOL_CYCLES = 4
"""Cycles of a pooling for each micro-block and element of the window."""

_ACCUMULATOR_BYTES = 4
_SCALE_BYTES = 10
"""Bytes of a channel's bias, multiplier and shift."""

_SLICES = (16, 32, 64, 128)
"""Channels of a block of the output that are tried."""

_HELD_CHANNELS = 32
"""Channels of the input of which a block holds its part at once."""

_IMAGE_CHANNELS = 8
"""A tensor of fewer channels is stored pixel by pixel."""

_PHASES = 4
"""A bilinear resize without a unit for it is a 2 x 2 depthwise convolution for each of its phases, over all pixels."""

_ROW_MAJOR_FACTOR = 3
"""What such a convolution moves for each element of its output, in and out: its tensors are not in bricks."""


_LOOKUPS = frozenset({"ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "RSQRT", "TANH"})
"""Activations that are looked up in a table."""

_POOLED = frozenset({"QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"})
"""Operators that are poolings of 1 x 1."""

_LONGEST_SIDE = 1 << 16
"""Elements of a tensor's side. An ``ARG_MAX`` has all pixels side by side; more of them go in pieces."""

_GATES = 4
"""Of a recurrent cell; each multiplies the input and the state, each time with scales of its own."""


class _Blocks(NamedTuple):
    """The blocks of a layer.

    Attributes:
        number: Blocks over height and width.
        input_bytes: Bytes of the input that they read.
        weight_bytes: Bytes of encoded weights that they read.
    """

    number: float
    input_bytes: float
    weight_bytes: float


class EthosU(StrictModel):
    """An Ethos-U.

    Attributes:
        kind: ``ethos_u``.
        clock_mhz: Clock, MHz.
        cores: Engines that work on one layer together.
        micro_block: Height, width and channels of the output that an engine makes at once.
        depth_group: Channels of the input in a step of depth-first order.
        decode_cycles: Cycles to decode the weights of a step, for each channel of a micro-block.
        has_resize: Whether a unit of its own resizes; else poolings and convolutions do.
        block_kib: Memory for a block's accumulators and input (half of it: the other half is for the next block), KiB.
        output_elements_per_cycle: Rate of the output unit.
        add_elements_per_cycle: Rate of additions and subtractions of tensors.
        multiply_elements_per_cycle: Rate of multiplications of tensors.
        lookup_elements_per_cycle: Rate of a layer whose output is looked up in a table.
        mean_decode_cycles: As ``decode_cycles``, for the equal weights of a mean.
        recurrent_step_cycles: Cycles of a step of a recurrent layer, whose twenty small operators wait for one another.
        unaligned_factor: How many times as long as a copy a padding to channels takes that do not fill bricks.
        arg_max_cycles: Cycles of an ``ARG_MAX`` for each element that it reads.
        arg_max_cut_cycles: What each pixel takes more where there are so many that the compiler cuts the operator into
            tens of thousands of pieces; None = that costs nothing.
        image_bytes_per_cycle: Rate at which an image is read.
        resized_bytes_per_cycle: Rate at which what is resized is written and read off the chip; None = it stays on it.
        scale_bytes_per_cycle: Rate at which scales are read.
        weight_compression: Bytes of a weight in the compiler's code; depends on the weights.
        overhead: Cycles that multipliers and output unit take for each cycle of full blocks.
    """

    kind: Literal["ethos_u"]
    clock_mhz: PositiveFigure
    cores: Count
    micro_block: tuple[Count, Count, Count]
    depth_group: Count
    decode_cycles: Count
    has_resize: bool
    block_kib: PositiveFigure
    output_elements_per_cycle: PositiveFigure
    add_elements_per_cycle: PositiveFigure
    multiply_elements_per_cycle: PositiveFigure
    lookup_elements_per_cycle: PositiveFigure
    mean_decode_cycles: Count
    recurrent_step_cycles: PositiveFigure
    unaligned_factor: PositiveFigure
    arg_max_cycles: PositiveFigure
    arg_max_cut_cycles: PositiveFigure | None = None
    image_bytes_per_cycle: PositiveFigure
    resized_bytes_per_cycle: PositiveFigure | None = None
    scale_bytes_per_cycle: PositiveFigure
    weight_compression: PositiveFigure
    overhead: PositiveFigure

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a cycle in which every multiplier is busy."""
        return self.cores * prod(self.micro_block) * _DOT_CHANNELS

    def work(self, layer: Layer) -> Work:
        """Return a layer's cycles, and the bytes that it moves between on-chip memory and engine."""
        op = layer.op
        pads_pixels = op in ("PAD", "PADV2") and layer.input[2] == layer.output[2]
        if op in ops.RESHAPES or pads_pixels:  # what reads a padded tensor pads it
            return Work(0, 0)
        if op == "DEPTHWISE_CONV_2D":
            steps = -(-prod(layer.kernel) // _PART_WINDOW)
            return self._per_channel(layer, self._multiplier_cycles(layer.output, steps, _PART_WINDOW))
        if op in ops.RECURRENT:
            steps = layer.input[0] * layer.input[1]
            work = self._convolution(layer)
            return work._replace(cycles=work.cycles + round(steps * self.recurrent_step_cycles.value))
        if op in ops.CONVOLUTIONS:
            return self._convolution(layer)
        if op in ops.POOLS:
            return self._pooling(layer, prod(layer.kernel))
        if op == "ARG_MAX":
            return self._arg_max(layer)
        if op == "MEAN":
            steps = -(-(prod(layer.input) // prod(layer.output)) // _PART_WINDOW)
            cycles = self._multiplier_cycles(layer.output, steps, _PART_WINDOW, self.mean_decode_cycles)
            return self._per_channel(layer, cycles)
        if op in ops.REDUCTIONS:
            return self._pooling(layer, prod(layer.input) // prod(layer.output))
        if op in ops.RESIZES and self.has_resize:
            return self._elementwise(layer)
        if op == "RESIZE_BILINEAR":
            return self._phases(layer)
        if op in _LOOKUPS:
            lost = 1 / self.lookup_elements_per_cycle.value - 1 / self.output_elements_per_cycle.value
            return Work(round(max(lost, 0.0) * prod(layer.output)), 0)
        if op in ("PAD", "PADV2") and layer.output[2] % _BRICK_CHANNELS:
            copy = self._pooling(layer, 1)
            factor = self.unaligned_factor.value
            return Work(round(factor * copy.cycles), round(factor * copy.on_chip_bytes))
        if op in ops.MOVES | _POOLED:
            return self._pooling(layer, 1)
        return self._elementwise(layer)

    def parameter_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's parameters as the compiler encodes them."""
        if not layer.weight_bytes:
            return 0
        if layer.op in ops.RECURRENT:
            scales = 2 * _GATES * _SCALE_BYTES * layer.output[2]
            return layer.input[0] * layer.input[1] * (round(self._weight_bytes(layer)) + scales)
        return round(self._weight_bytes(layer)) + _SCALE_BYTES * layer.output[2]

    def _convolution(self, layer: Layer) -> Work:
        height, width, channels = layer.output
        if layer.op in ("CONV_2D", "TRANSPOSE_CONV"):
            depth = layer.input[2] // layer.groups
        else:
            depth = max(prod(layer.input) // (height * width), 1)
        size = height, width, channels // layer.groups
        window = prod(layer.kernel)
        groups, octets = -(-depth // self.depth_group), -(-depth // _DOT_CHANNELS)
        cycles = layer.groups * min(
            self._multiplier_cycles(size, window * groups, self.depth_group // _DOT_CHANNELS),
            self._multiplier_cycles(size, -(-window // _PART_WINDOW) * octets, _PART_WINDOW),
        )
        blocks = self._blocks(layer, depth, size[2])
        image_cycles = 0.0
        if depth < _IMAGE_CHANNELS:
            image_cycles = blocks.input_bytes * depth / _BRICK_CHANNELS / self.image_bytes_per_cycle.value
        return self._work(layer, cycles, blocks, image_cycles)

    def _pooling(self, layer: Layer, window: int) -> Work:
        micro_blocks = prod([-(-side // micro) for side, micro in zip(layer.output, self.micro_block, strict=True)])
        return self._per_channel(layer, micro_blocks * max(window, _PART_WINDOW) * _POOL_CYCLES / self.cores)

    def _per_channel(self, layer: Layer, cycles: float) -> Work:
        """Return the work of a layer of which each channel reads one channel of the input."""
        return self._work(layer, cycles, self._blocks(layer, 0, layer.output[2]))

    def _elementwise(self, layer: Layer) -> Work:
        height, width, channels = layer.output
        elements = height * width * _bricks(channels)
        rate = self.output_elements_per_cycle
        if layer.op in ("ADD", "SUB"):
            rate = self.add_elements_per_cycle
        elif layer.op == "MUL":
            rate = self.multiply_elements_per_cycle
        return Work(round(elements / rate.value), elements + len(layer.inputs) * elements)

    def _arg_max(self, layer: Layer) -> Work:
        height, width, channels = layer.input
        cycles = height * width * channels * self.arg_max_cycles.value / self.cores
        if self.arg_max_cut_cycles and height * width > _LONGEST_SIDE:
            cycles += height * width * self.arg_max_cut_cycles.value
        return Work(round(cycles), 2 * prod(layer.input))

    def _phases(self, layer: Layer) -> Work:
        """Return the work of a bilinear resize without a unit for it; where its result is read is charged here, too."""
        height, width, channels = layer.output
        cycles = _PHASES * self._multiplier_cycles(layer.output, 1, _PART_WINDOW)
        if self.resized_bytes_per_cycle:
            written = _PHASES * max(height - 1, 1) * max(width - 1, 1) * channels
            cycles = max(cycles, written / self.resized_bytes_per_cycle.value)
            cycles += prod(layer.output) / self.resized_bytes_per_cycle.value
        return Work(round(cycles), _PHASES * _ROW_MAJOR_FACTOR * 2 * prod(layer.output))

    def _multiplier_cycles(
        self, size: tuple[int, int, int], steps: int, step_cycles: int, decode_cycles: int | None = None
    ) -> float:
        """Return the cycles of an output of ``size``: each micro-block takes ``steps`` steps of ``step_cycles``."""
        high, wide, deep = self.micro_block
        height, width, channels = size
        decode = self.decode_cycles if decode_cycles is None else decode_cycles
        pixels = -(-height // high) * -(-width // wide)
        return -(-channels // deep) * steps * max(pixels * step_cycles, deep * decode) / self.cores

    def _blocks(self, layer: Layer, depth: int, filters: int) -> _Blocks:
        """Return the blocks that move least.

        Args:
            layer: The layer.
            depth: Channels of the input that an output channel reads; 0 = only its own.
            filters: Channels of the output that read the same input.
        """
        height, width, _ = layer.output
        stride = layer.stride
        above, beside = [layer.dilation * (side - 1) + 1 - stride for side in layer.kernel]
        room = self.block_kib.value * _KIB
        code_bytes = self._weight_bytes(layer)
        stored = _bricks(depth) * layer.groups if depth else _bricks(filters)
        read_channels = depth * layer.groups if depth else stored
        weight_elements = prod(layer.kernel) * filters * (read_channels if depth else 1)
        best, least = None, inf
        for channels in _SLICES if depth else _SLICES[:1]:
            held = min(depth, _HELD_CHANNELS) or channels
            pixels = room / (_ACCUMULATOR_BYTES * channels + held * stride * stride)
            rows = min(sqrt(pixels), height)
            columns = min(pixels / rows, width)
            rows = min(pixels / columns, height)
            count = height * width / (rows * columns)
            read = count * (rows * stride + above) * (columns * stride + beside) * stored
            if depth:
                read *= -(-filters // channels)
            weights = code_bytes * count if count > 1 else 0.0  # those of a single block do not pass the memory
            # The compiler counts what is used of the input, and weights as they are; an image is what takes the time.
            moved = read if 0 < depth < _IMAGE_CHANNELS else read * read_channels / stored + weight_elements * count
            if moved < least:
                least, best = moved, _Blocks(count, read, weights)
            if channels >= filters:
                break
        assert best is not None
        return best

    def _work(self, layer: Layer, cycles: float, blocks: _Blocks, image_cycles: float = 0.0) -> Work:
        height, width, channels = layer.output
        output_cycles = height * width * channels / self.output_elements_per_cycle.value
        scale_bytes = blocks.number * channels * _SCALE_BYTES if layer.weight_bytes else 0.0
        scale_cycles = scale_bytes / self.scale_bytes_per_cycle.value
        slowest = max(max(cycles, output_cycles) * self.overhead.value, scale_cycles, image_cycles)
        moved = blocks.input_bytes + height * width * _bricks(channels) + blocks.weight_bytes
        return Work(round(slowest), round(moved))

    def _weight_bytes(self, layer: Layer) -> float:
        return max(layer.weight_bytes - BIAS_BYTES * layer.output[2], 0) * self.weight_compression.value


def _bricks(channels: int) -> int:
    """Return the channels that a tensor is stored with."""
    return -(-channels // _BRICK_CHANNELS) * _BRICK_CHANNELS
