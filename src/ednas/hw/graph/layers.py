"""What a device computes: a list of NHWC layers, as a TFLite file holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Literal

from ednas.exceptions import TargetError

Shape = tuple[int, int, int]
"""Height, width and channels of a tensor; the batch is always 1."""

GRAPH_INPUT = -1
"""The producer index that means the network's input."""

BIAS_BYTES = 4
"""Bytes of a layer's int32 bias per output channel."""

DTYPE_BITS = {
    "bool": 8,
    "int4": 4,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "float16": 16,
    "bfloat16": 16,
    "int32": 32,
    "uint32": 32,
    "float32": 32,
    "int64": 64,
    "uint64": 64,
    "float64": 64,
    "complex64": 64,
    "complex128": 128,
    "string": 8,
    "resource": 8,
    "variant": 8,
}
"""Bits of an element by its type, named as NumPy names it."""


Precision = Literal["float16", "float32"]
"""A type in which a device computes a whole network."""

SCOPES = ("stem", "block ", "neck", "detail", "head.")
"""How the scopes of a network of the search space begin."""

FLOATS = ("float", "bfloat", "complex")
"""How the names of types begin that are floating-point numbers."""


def sides_text(sides: Iterable[int]) -> str:
    """Return the sides of a shape or a window for people: ``224x224x3``."""
    return "x".join(map(str, sides))


@dataclass(frozen=True)
class Layer:
    """One operator with batch normalisation folded into it and its activation fused.

    Attributes:
        name: Where it comes from, for example a module's path; need not be unique.
        scope: Which part of the network it belongs to: ``stem``, ``block 1`` ... ``block 16``, ``neck``,
            ``head.segmentation``, or a top-level module.
        op: TFLite's name of the operator, for example ``CONV_2D``; ``CUSTOM:<name>`` for a custom one.
        input: Height, width and channels of the first input; of the result for a ``CONCATENATION``.
        output: Height, width and channels of the output.
        kernel: Height and width of the window; (1, 1) where there is none.
        stride: Stride of the window.
        dilation: Dilation of the window.
        groups: Groups of a convolution.
        inputs: Indices of the layers that produce the inputs; :data:`GRAPH_INPUT` for the network's input. Constants
            are no inputs.
        weight_bytes: Weights and biases as the file holds them: int8 weights and int32 biases in a quantised network.
        macs: Multiply-accumulates.
        dtype: Type of the output's elements, one of :data:`DTYPE_BITS`.
        weight_bits: Bits of a weight.
        reads_float: Whether a ``QUANTIZE`` reads floating-point numbers.
        output_bytes: Bytes of the output.
        activation_bytes: Bytes of the first input and the output.

    Raises:
        TargetError: A shape is not three sides of at least 1, or a count is out of range; the message names the layer.
    """

    name: str
    scope: str
    op: str
    input: Shape
    output: Shape
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    inputs: tuple[int, ...] = (GRAPH_INPUT,)
    weight_bytes: int = 0
    macs: int = 0
    dtype: str = "int8"
    weight_bits: int = 8
    reads_float: bool = False
    output_bytes: int = field(init=False, repr=False, compare=False)
    activation_bytes: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, sides, count in (("input", self.input, 3), ("output", self.output, 3), ("kernel", self.kernel, 2)):
            if len(sides) != count or min(sides) < 1:
                text = "x".join(map(str, sides)) or "empty"
                raise TargetError(f"{self.label}: {name} is {text}, must be {count} sides of at least 1")
        for name, value in (("stride", self.stride), ("dilation", self.dilation), ("groups", self.groups)):
            if value < 1:
                raise TargetError(f"{self.label}: {name} is {value}, must be at least 1")
        if self.weight_bytes < 0:
            raise TargetError(f"{self.label}: weight_bytes is {self.weight_bytes}, must not be negative")
        if self.dtype not in DTYPE_BITS:
            raise TargetError(f"{self.label}: dtype is '{self.dtype}', must be one of {', '.join(DTYPE_BITS)}")
        if self.op == "CONV_2D" and (self.input[2] % self.groups or self.output[2] % self.groups):
            channels = f"{self.input[2]} input and {self.output[2]} output channels"
            raise TargetError(f"{self.label}: {self.groups} groups do not divide {channels}")
        # Stored, since a simulation asks for them again and again.
        bits = DTYPE_BITS[self.dtype]
        output_bytes = (prod(self.output) * bits + 7) // 8
        object.__setattr__(self, "output_bytes", output_bytes)
        object.__setattr__(self, "activation_bytes", (prod(self.input) * bits + 7) // 8 + output_bytes)

    @property
    def label(self) -> str:
        """How an error message names the layer."""
        return f"layer '{self.name}' ({self.op})"

    @property
    def is_float(self) -> bool:
        """Whether it computes floating-point numbers."""
        return self.dtype.startswith(FLOATS)


@dataclass(frozen=True)
class LayerGraph:
    """A network as its layers, in the order of execution.

    Attributes:
        layers: The layers; each reads only layers before it.
        input_bytes: Bytes of the network's input, sent at each inference.
        output_bytes: Bytes of the network's outputs, received at each inference.
        outputs: Layers whose results are outputs of the network though other layers read them too; those that no layer
            reads are outputs anyway.

    Raises:
        TargetError: There is no layer.
    """

    layers: tuple[Layer, ...]
    input_bytes: int
    output_bytes: int
    outputs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise TargetError("the network has no layer: it only passes its input on")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Weights and biases of all layers."""
        return sum(layer.weight_bytes for layer in self.layers)


_CONVERTED = frozenset({"int8", "uint8", "int16", *(dtype for dtype in DTYPE_BITS if dtype.startswith(FLOATS[:2]))})
"""Types of a network's numbers, not of indices, truth values and texts."""


def in_precision(layers: Iterable[Layer], precision: Precision) -> tuple[Layer, ...]:
    """Return layers as a device computes them that converts every network's numbers to one type."""
    return tuple(replace(layer, dtype=precision) if layer.dtype in _CONVERTED else layer for layer in layers)


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a network, traced once and placed anywhere.

    Two pieces are equal only if they are the same object, which makes them cheap keys of a cache.

    Attributes:
        layers: Its layers; producers count within the piece, and ``-1 - j`` is the piece's input j.
        outputs: Producers of the piece's outputs, in the same numbering.
        output_shapes: Shapes of the outputs, ``(1, C, H, W)``.
        params: Parameters of its module as torch counts them.
    """

    layers: tuple[Layer, ...]
    outputs: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    params: int

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of the piece."""
        return sum(layer.macs for layer in self.layers)


def join(parts: Iterable[tuple[Piece, Sequence[tuple[int, int]]]], input_bytes: int, output_bytes: int) -> LayerGraph:
    """Connect pieces to a graph.

    Args:
        parts: The pieces in the order of execution, each with its inputs as ``(number of an earlier part, number of
            its output)``; part -1 is the network's input.
        input_bytes: Bytes of the network's input.
        output_bytes: Bytes of the network's outputs.
    """
    layers: list[Layer] = []
    outputs: list[list[int]] = []
    for piece, sources in parts:
        offset = len(layers)
        inputs = [GRAPH_INPUT if part < 0 else outputs[part][number] for part, number in sources]
        layers.extend(_placed(layer, offset, inputs) for layer in piece.layers)
        outputs.append([_resolve(producer, offset, inputs) for producer in piece.outputs])
    return LayerGraph(tuple(layers), input_bytes, output_bytes)


def _resolve(producer: int, offset: int, inputs: Sequence[int]) -> int:
    return producer + offset if producer >= 0 else inputs[-1 - producer]


def _placed(layer: Layer, offset: int, inputs: Sequence[int]) -> Layer:
    """Return the layer with global producers.

    As ``dataclasses.replace``, but without checking again what was checked when the piece was traced: a network has
    hundreds of layers, and a search joins thousands of networks.
    """
    placed = object.__new__(Layer)
    placed.__dict__.update(layer.__dict__)
    placed.__dict__["inputs"] = tuple([_resolve(producer, offset, inputs) for producer in layer.inputs])
    return placed
