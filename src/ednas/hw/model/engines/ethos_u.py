"""Arm Ethos-U, as Arm's compiler Vela estimates it: multipliers that are fed block by block.

The engine makes a **micro-block** of the output at a time, for example 2 x 2 pixels of 8 channels, from 8 channels of
the input a cycle. Micro-blocks form **blocks**: as much of the output as fits with its accumulators, and with the input
that it needs, into the engine's own memory. The slowest of these counts:

* the multipliers: they take the channels of the input in groups, one element of the window after the other (*depth
  first*), or 8 channels and 4 elements of the window together (*part kernel*), whichever is less. The weights of each
  such step have to be decoded first, which is what takes time where the output is a few pixels;
* the output unit, which scales and clamps a few elements a cycle, those of the last block after all multiplications;
* the scales, 10 bytes a channel, which every block reads from off-chip memory;
* an image: a tensor of few channels is read in very short bursts;
* a bilinear resize without a unit for it: its phases write every other pixel, which is stored pixel by pixel, not in
  bricks; where such tensors lie off the chip, the bursts that write and read them are mostly lost;
* a table: activations that are looked up (a sigmoid) are part of the layer before, and slow down its output unit;
* traffic to on-chip memory: every block reads its input, with the rows and columns where windows overlap, once for each
  slice of the output's channels, and its weights. The compiler chooses the shape of blocks that moves least.

Parameters are encoded by the compiler, so their bytes depend on the weights; nothing keeps them on the chip.

A mean is a depthwise convolution by equal weights. Other activations that stand alone, and copies, are poolings of
1 x 1. An ``ARG_MAX`` walks through channels pixel by pixel, and beyond 65,536 pixels the compiler cuts it into pieces
of a few. Steps of a recurrent layer follow one another, and each reads its parameters anew.

What does not fit on the chip is computed in cascades (:mod:`ednas.hw.model.cascades`). Of an image, which is read in
short bursts, the blocks are whole ones (:mod:`ednas.hw.model.engines.image_blocks`).

Not modelled: the exact shape of other blocks and the part that is lost at edges; that a layer waits for its first
weights; additions that are chained to the convolution before them (U85); softmax and other operators of several passes,
which count as one; compression that depends on trained weights; groups of channels that fill no bricks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod, sqrt
from typing import ClassVar, Literal, NamedTuple

from ednas.hw.graph import ops
from ednas.hw.graph.layers import BIAS_BYTES, DTYPE_BITS, GRAPH_INPUT, Layer
from ednas.hw.graph.lifetimes import Lifetimes
from ednas.hw.model.cascades import Operator, off_chip_bytes
from ednas.hw.model.engines.base import Engine, Work
from ednas.hw.model.engines.image_blocks import EngineMemory, ImageLayer, elements_read
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

_USUAL_SLICE = 64
"""Channels of a block of a convolution's output, where only their order of size matters."""

_HELD_CHANNELS = 32
"""Channels of the input of which a block holds its part at once."""

_IMAGE_CHANNELS = 8
"""A tensor of fewer channels is stored pixel by pixel."""

_LOST_OF_BURSTS = 16
"""An image passes off-chip memory in bursts of 128 bytes, of which 8 are used."""

_PHASES = 4
"""A bilinear resize without a unit for it is a 2 x 2 depthwise convolution for each of its phases, over all pixels."""

_ROW_MAJOR_FACTOR = 3
"""What such a convolution moves for each element of its output, in and out: its tensors are not in bricks."""


_LOOKUPS = frozenset({"ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "RSQRT", "TANH"})
"""Activations that are looked up in a table."""

_POOLED = frozenset({"QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"})
"""Operators that are poolings of 1 x 1."""

_WINDOWED = ops.CONVOLUTIONS | ops.POOLS
"""Operators whose blocks read parts of the input more than once."""

_DIVISIBLE = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"}) | ops.POOLS | _POOLED
"""Operators that are computed in stripes where their tensors do not fit on the chip."""

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


class EthosU(Engine):
    """An Ethos-U.

    Attributes:
        kind: ``ethos_u``.
        clock_mhz: Clock, MHz.
        cores: Engines that work on one layer together.
        micro_block: Height, width and channels of the output that an engine makes at once.
        depth_group: Channels of the input in a step of depth-first order.
        part_kernel_group: The same in part-kernel order.
        decode_cycles: Cycles to decode the weights of a step, for each channel of a micro-block.
        has_resize: Whether a unit of its own resizes; else poolings and convolutions do.
        block_kib: Memory for a block's accumulators and input (half of it: the other half is for the next block), KiB.
        granules_kib: KiB in multiples of which accumulators and input are allotted; None = as they need. With it, the
            blocks of images are whole ones, chosen as the compiler chooses them.
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

    fused: ClassVar[frozenset[str]] = _LOOKUPS

    kind: Literal["ethos_u"]
    clock_mhz: PositiveFigure
    cores: Count
    micro_block: tuple[Count, Count, Count]
    depth_group: Count
    part_kernel_group: Count
    decode_cycles: Count
    has_resize: bool
    block_kib: PositiveFigure
    granules_kib: tuple[Count, Count] | None = None
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
        if _is_free(layer):
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
            return Work(round(prod(layer.output) / self.lookup_elements_per_cycle.value), 0)
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

    def needed_bytes(self, layers: Sequence[Layer], times: Lifetimes, end: int) -> int:  # noqa: ARG002 - whole tensors
        """Return the bytes of all tensors that exist at once: stripes are for what does not fit."""
        return max(times.live_bytes)

    def spilled_bytes(self, layers: Sequence[Layer], times: Lifetimes, capacity: int) -> list[int]:
        """Return the bytes that each layer moves off the chip, by the compiler's cascades."""
        numbers, operators = self._operators(layers, times)
        found = [0] * len(layers)
        for number, moved in zip(numbers, off_chip_bytes(operators, capacity), strict=True):
            found[number] = round(moved)
        return found

    def _operators(self, layers: Sequence[Layer], times: Lifetimes) -> tuple[list[int], list[Operator]]:
        """Return what the compiler schedules: layers with what is fused into them, and the first layers' numbers."""
        numbers: list[int] = []
        operators: list[Operator] = []
        places: list[int] = []  # of the layers' operators; negative: an input of the network
        for number, layer in enumerate(layers):
            producer = layer.inputs[0] if layer.inputs else GRAPH_INPUT
            is_output = times.last_use[number] >= len(layers)
            if _is_free(layer) or (layer.op in self.fused and producer >= 0 and times.is_streamed[producer]):
                place = places[producer] if producer >= 0 else GRAPH_INPUT
                places.append(place)
                if is_output and place >= 0:
                    operators[place] = operators[place]._replace(is_output=True)
                continue
            places.append(len(operators))
            numbers.append(number)
            inputs = tuple(places[producer] if producer >= 0 else producer for producer in layer.inputs)
            operators.append(self._operator(layer, inputs, operators, is_output=is_output))
        return numbers, operators

    def _operator(
        self, layer: Layer, inputs: tuple[int, ...], before: Sequence[Operator], *, is_output: bool
    ) -> Operator:
        height, width, channels = layer.output
        blocks = self._blocks(layer) if layer.op in _WINDOWED else None
        read = tuple(
            blocks.input_bytes if blocks else before[place].output_bytes if place >= 0 else prod(layer.input)
            for place in inputs
        )
        if layer.input[2] < _IMAGE_CHANNELS:  # how long an image takes to read is part of its layer's cycles
            read = tuple(0.0 if place < 0 else size for place, size in zip(inputs, read, strict=True))
        is_global = layer.op in ops.POOLS and prod(layer.kernel) >= prod(layer.input[:2])
        is_split = layer.op == "CONV_2D" and layer.groups > 1
        return Operator(
            inputs=inputs,
            read_bytes=read,
            height=height,
            row_bytes=width * _bricks(channels) * DTYPE_BITS[layer.dtype] // 8,
            stride=layer.stride,
            window=(layer.kernel[0] - 1) * layer.dilation + 1,
            parameter_bytes=self.parameter_bytes(layer),
            reread_bytes=blocks.weight_bytes if blocks else 0.0,
            image_bytes=self._striped_image(layer),
            is_divisible=layer.op in _DIVISIBLE and not is_global and not is_split,
            is_output=is_output,
        )

    def _convolution(self, layer: Layer) -> Work:
        height, width, channels = layer.output
        depth = _depth(layer)
        size = height, width, channels // layer.groups
        window = prod(layer.kernel)
        groups = -(-depth // self.depth_group)
        together = min(self.part_kernel_group, -(-depth // _DOT_CHANNELS) * _DOT_CHANNELS)
        octets = -(-depth // together) * together // _DOT_CHANNELS
        cycles = layer.groups * min(
            self._multiplier_cycles(size, window * groups, self.depth_group // _DOT_CHANNELS),
            self._multiplier_cycles(size, -(-window // _PART_WINDOW) * octets, _PART_WINDOW),
        )
        blocks = self._blocks(layer)
        image_cycles = 0.0
        if depth < _IMAGE_CHANNELS:
            read = self._image_elements(layer) or blocks.input_bytes * depth / _BRICK_CHANNELS
            image_cycles = read / self.image_bytes_per_cycle.value
        return self._work(layer, cycles, blocks, image_cycles)

    def _image_elements(self, layer: Layer) -> int | None:
        """Return the elements of an image that a layer's blocks read, if these are known as whole ones.

        Some filters more may give other blocks, that read less. So that a search does not look for these, the most
        that fewer filters read counts.
        """
        found = self._image(layer)
        if found is None:
            return None
        image, memory = found
        fewer = range(self.micro_block[2], image.filters, self.micro_block[2])
        return max(
            elements_read(image._replace(filters=filters), memory, image.height) for filters in (*fewer, image.filters)
        )

    def _striped_image(self, layer: Layer) -> Callable[[int], float] | None:
        """Return the bytes that reading an image takes if it takes more in stripes of some rows; None without one."""
        found = self._image(layer)
        if found is None:
            return None
        image, memory = found

        def more(rows: int) -> float:
            read = elements_read(image, memory, rows)
            return _LOST_OF_BURSTS * read if read > elements_read(image, memory, image.height) else 0.0

        return more

    def _image(self, layer: Layer) -> tuple[ImageLayer, EngineMemory] | None:
        """Return what decides the blocks of an image; None where they are not known as whole ones."""
        is_image = layer.op == "CONV_2D" and layer.groups == 1 and layer.input[2] < _IMAGE_CHANNELS
        if not self.granules_kib or not is_image:
            return None
        kernel, (height, width, filters) = (layer.kernel[0], layer.kernel[1]), layer.output
        image = ImageLayer(height, width, filters, kernel, layer.stride, layer.input[1], layer.input[2])
        return image, EngineMemory(round(2 * self.block_kib.value), *self.granules_kib, self.micro_block)

    def _pooling(self, layer: Layer, window: int) -> Work:
        micro_blocks = prod([-(-side // micro) for side, micro in zip(layer.output, self.micro_block, strict=True)])
        return self._per_channel(layer, micro_blocks * max(window, _PART_WINDOW) * _POOL_CYCLES / self.cores)

    def _per_channel(self, layer: Layer, cycles: float) -> Work:
        """Return the work of a layer of which each channel reads one channel of the input."""
        return self._work(layer, cycles, self._blocks(layer))

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

    def _blocks(self, layer: Layer) -> _Blocks:
        """Return the blocks that move least."""
        height, width, channels = layer.output
        depth = _depth(layer)
        filters = channels // layer.groups if depth else channels  # that read the same input
        stride = layer.stride
        above, beside = [layer.dilation * (side - 1) + 1 - stride for side in layer.kernel]
        room = self.block_kib.value * _KIB
        code_bytes = self._weight_bytes(layer)
        stored = _bricks(depth) * layer.groups if depth else _bricks(filters)
        read_channels = depth * layer.groups if depth else stored
        weight_elements = prod(layer.kernel) * filters * (read_channels if depth else 1)
        best, least = None, inf
        for slice_channels in _SLICES if depth else _SLICES[:1]:
            held = min(depth, _HELD_CHANNELS) or slice_channels
            pixels = room / (_ACCUMULATOR_BYTES * slice_channels + held * stride * stride)
            rows = min(sqrt(pixels), height)
            columns = min(pixels / rows, width)
            rows = min(pixels / columns, height)
            count = height * width / (rows * columns)
            read = count * (rows * stride + above) * (columns * stride + beside) * stored
            if depth:
                read *= -(-filters // slice_channels)
            weights = code_bytes * count if count > 1 else 0.0  # those of a single block do not pass the memory
            # The compiler counts what is used of the input, and weights as they are; an image is what takes the time.
            moved = read if 0 < depth < _IMAGE_CHANNELS else read * read_channels / stored + weight_elements * count
            if moved < least:
                least, best = moved, _Blocks(count, read, weights)
            if slice_channels >= filters:
                break
        assert best is not None
        return best

    def _work(self, layer: Layer, cycles: float, blocks: _Blocks, image_cycles: float = 0.0) -> Work:
        height, width, channels = layer.output
        output_cycles = height * width * channels / self.output_elements_per_cycle.value
        scale_bytes = blocks.number * channels * _SCALE_BYTES if layer.weight_bytes else 0.0
        scale_cycles = scale_bytes / self.scale_bytes_per_cycle.value
        groups, slice_channels = (layer.groups, _USUAL_SLICE) if _depth(layer) else (1, _SLICES[0])
        room = self.block_kib.value * _KIB / _ACCUMULATOR_BYTES
        last_blocks = groups * min(height * width * min(channels // groups, slice_channels), room)
        busy = max(cycles, output_cycles) + last_blocks / self.output_elements_per_cycle.value
        slowest = max(busy * self.overhead.value, scale_cycles, image_cycles)
        moved = blocks.input_bytes + height * width * _bricks(channels) + blocks.weight_bytes
        return Work(round(slowest), round(moved))

    def _weight_bytes(self, layer: Layer) -> float:
        return max(layer.weight_bytes - BIAS_BYTES * layer.output[2], 0) * self.weight_compression.value


def _is_free(layer: Layer) -> bool:
    """Whether a layer moves nothing: what reads a padded tensor pads it."""
    return layer.op in ops.RESHAPES or (layer.op in ("PAD", "PADV2") and layer.input[2] == layer.output[2])


def _depth(layer: Layer) -> int:
    """Return the channels of the input that a channel of the output reads; 0 = only its own."""
    if layer.op in ("CONV_2D", "TRANSPOSE_CONV"):
        return layer.input[2] // layer.groups
    if layer.op == "DEPTHWISE_CONV_2D" or layer.op not in ops.CONVOLUTIONS:
        return 0
    return max(prod(layer.input) // prod(layer.output[:2]), 1)


def _bricks(channels: int) -> int:
    """Return the channels that a tensor is stored with."""
    return -(-channels // _BRICK_CHANNELS) * _BRICK_CHANNELS
