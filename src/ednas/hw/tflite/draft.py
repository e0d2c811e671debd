"""A network on its way into a TFLite file: tensors with random contents and operators, put together layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any, Literal

import numpy as np
import tflite
from numpy.typing import NDArray

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import Layer, Shape, sides_text
from ednas.hw.tflite.serialise import Operator, Quantisation, Tensor
from ednas.hw.tflite.versions import GROUPED_CONVOLUTION, VERSIONS

DType = Literal["int8", "float32"]

_LARGEST_FILE = 2**31 - 2**20
"""Bytes that weights may take: a FlatBuffer ends at 2 GiB."""

_WEIGHT_DEVIATION = 36.0
"""Standard deviation of int8 weights: of normal weights the largest of some thousand, 3.5 deviations away, is 127.

Uniform weights would do for a processor, but Ethos-U and its like compress weights, which uniform ones do not allow.
"""

_ACTIVATION_SCALE = (0.02, 0.04)
"""Range of the scales of int8 activations: values up to about 2.5 to 5, as behind a ReLU6."""

_ZERO_POINTS = (-16, 16)
"""Range of their zero points."""

# fmt: off
KEEPS_QUANTISATION = frozenset({
    "AVERAGE_POOL_2D", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "MAXIMUM", "MAX_POOL_2D", "MINIMUM",
    "MIRROR_PAD", "PAD", "PADV2", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
    "SLICE", "SPACE_TO_DEPTH", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE",
})
# fmt: on
"""Operators whose inputs and output must share scale and zero point by TFLite's int8 specification."""


class Draft:
    """Tensors, which are named by their numbers, and operators of a file.

    Args:
        dtype: Type of activations and weights.
        seed: Determines the weights and the scales.
    """

    def __init__(self, dtype: DType, seed: int) -> None:
        self.is_int8 = dtype == "int8"
        self.dtype = dtype
        self.random = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self._constant_bytes = 0

    @property
    def type(self) -> str:
        """TFLite's name of the type of activations."""
        return self.dtype.upper()

    def constant(self, name: str, type_: str, data: NDArray[Any], quantisation: Quantisation | None = None) -> int:
        """Add a constant; return its tensor."""
        return self.add(Tensor(name, data.shape, type_, quantisation, data))

    def integers(self, name: str, *values: int | Sequence[int]) -> int:
        """Add a constant of int32, for example a shape; return its tensor."""
        return self.constant(name, "INT32", np.array(values, np.int32))

    def weights(self, label: str, shape: tuple[int, ...], fan_in: int) -> NDArray[Any]:
        """Return random weights whose sums over ``fan_in`` products keep the deviation of the activations."""
        size = prod(shape) * (1 if self.is_int8 else 4)
        self._constant_bytes += size
        if self._constant_bytes > _LARGEST_FILE:
            raise TargetError(f"{label}: its weights take {size / 1e9:.3g} GB, a TFLite file holds 2 GB in all")
        values = self.random.standard_normal(prod(shape), np.float32).reshape(shape)
        if not self.is_int8:
            return values / np.float32(sqrt(fan_in))
        values *= _WEIGHT_DEVIATION
        return np.rint(values, out=values).clip(-127, 127, out=values).astype(np.int8)

    def version(self, op: str, groups: int = 1) -> int:
        """Return the version of an operator with elements of the draft's type; 0: it has none."""
        if op == "CONV_2D" and groups > 1:
            return GROUPED_CONVOLUTION
        return VERSIONS[op].int8 if self.is_int8 else VERSIONS[op].float32

    def operator(
        self, op: str, inputs: Sequence[int], output: Tensor, options: str = "", *, groups: int = 1, **fields: Any
    ) -> int:
        """Add an operator with one output; return that."""
        tensor = self.add(output)
        self.operators.append(Operator(op, self.version(op, groups), tuple(inputs), tensor, options, fields))
        return tensor

    def reshaped(self, tensor: int, shape: tuple[int, ...]) -> int:
        """Return ``tensor`` in another shape, through a ``RESHAPE`` if it has not got it."""
        old = self.tensors[tensor]
        if old.shape == shape:
            return tensor
        name = f"{old.name}.reshaped"
        new = self.integers(f"{name}.shape", *shape)
        output = Tensor(name, shape, old.type, old.quantisation)
        return self.operator("RESHAPE", [tensor, new], output)

    def requantised(self, tensor: int, quantisation: Quantisation | None) -> int:
        """Return ``tensor`` in another quantisation, through a ``QUANTIZE`` if it has not got it."""
        old = self.tensors[tensor]
        if old.quantisation == quantisation:
            return tensor
        output = Tensor(f"{old.name}.requantised", old.shape, old.type, quantisation)
        return self.operator("QUANTIZE", [tensor], output)

    def new_quantisation(self) -> Quantisation | None:
        """Draw the quantisation of an activation."""
        if not self.is_int8:
            return None
        return Quantisation((float(self.random.uniform(*_ACTIVATION_SCALE)),), int(self.random.integers(*_ZERO_POINTS)))

    def add(self, tensor: Tensor) -> int:
        """Add a tensor; return its number."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1


@dataclass(frozen=True)
class Step:
    """What the writer of one operator needs.

    Attributes:
        draft: What it adds to.
        layer: The layer.
        quantisation: Quantisation of the layer's result.
        name: Name of the result.
    """

    draft: Draft
    layer: Layer
    quantisation: Quantisation | None
    name: str

    @property
    def shapes(self) -> str:
        """The layer's input and output, for error messages."""
        return f"{sides_text(self.layer.input)} to {sides_text(self.layer.output)}"

    def error(self, problem: str) -> TargetError:
        """Return an error about the layer."""
        return TargetError(f"{self.layer.label}: {problem}")

    def only(self, sources: Sequence[int]) -> int:
        """Return the only input, in the layer's input shape."""
        if len(sources) != 1:
            raise self.error(f"reads {len(sources)} layers, a TFLite file takes 1 here")
        return self.image(sources[0], self.layer.input)

    def image(self, source: int, shape: Shape) -> int:
        """Return an input as ``(1, H, W, C)``."""
        tensor = self.draft.tensors[source]
        if tensor.type != self.draft.type:
            raise self.error(f"reads indices ({tensor.type.lower()}), must read {self.draft.dtype}")
        if prod(tensor.shape) != prod(shape):
            raise self.error(f"its input is {sides_text(shape)}, its producer gives {sides_text(tensor.shape[1:])}")
        return self.draft.reshaped(source, (1, *shape))

    def emit(self, inputs: Sequence[int], options: str = "", **fields: Any) -> int:
        """Add the layer's operator with a result of the layer's shape; return that."""
        return self.emit_as(self.layer.op, (1, *self.layer.output), inputs, options, **fields)

    def emit_as(self, op: str, shape: tuple[int, ...], inputs: Sequence[int], options: str = "", **fields: Any) -> int:
        """Add an operator in the layer's place; return its result."""
        draft = self.draft
        if op in KEEPS_QUANTISATION:
            is_data = (draft.tensors[tensor].type == draft.type for tensor in inputs)
            inputs = [
                draft.requantised(tensor, self.quantisation) if data else tensor
                for tensor, data in zip(inputs, is_data, strict=True)
            ]
        output = Tensor(self.name, shape, draft.type, self.quantisation)
        return draft.operator(op, inputs, output, options, groups=self.layer.groups, **fields)

    def parameters(
        self, source: int, shape: tuple[int, ...], axis: int, fan_in: int, *, per_channel: bool = True
    ) -> tuple[int, int]:
        """Add weights with the output channels on ``axis``, and biases; return both."""
        draft = self.draft
        channels = shape[axis]
        weights = draft.weights(self.layer.label, shape, fan_in)
        if not draft.is_int8:
            bias = draft.random.standard_normal(channels, np.float32)
            return (
                draft.constant(f"{self.name}.weights", "FLOAT32", weights),
                draft.constant(f"{self.name}.bias", "FLOAT32", bias),
            )
        before = draft.tensors[source].quantisation
        assert before is not None
        assert self.quantisation is not None
        in_scale, out_scale = before.scales[0], self.quantisation.scales[0]
        spread = draft.random.uniform(0.5, 1.0, channels if per_channel else 1)
        scales = spread * out_scale / (in_scale * _WEIGHT_DEVIATION * sqrt(fan_in))
        biases = draft.random.integers(-1000, 1000, channels, np.int32)
        return (
            draft.constant(f"{self.name}.weights", "INT8", weights, Quantisation(tuple(scales), axis=axis)),
            draft.constant(f"{self.name}.bias", "INT32", biases, Quantisation(tuple(scales * in_scale))),
        )

    def constant_operand(self, channels: int) -> int:
        """Add the constant that an element-wise operator takes as its second operand."""
        draft = self.draft
        quantisation = self.quantisation if self.layer.op in KEEPS_QUANTISATION else draft.new_quantisation()
        values = draft.weights(self.layer.label, (channels,), 1)
        return draft.constant(f"{self.name}.constant", draft.type, values, quantisation)

    def window(self, extent: tuple[int, int]) -> dict[str, int]:
        """Return padding and strides that map the input to the output, for a window of ``extent`` with its gaps.

        A layer's stride is the larger of two: a side may have stride 1 where the other has more.
        """
        layer = self.layer
        for padding in ("SAME", "VALID"):
            strides = [
                _stride(layer.input[side], layer.output[side], extent[side], layer.stride, padding) for side in (0, 1)
            ]
            if all(strides):
                return {"Padding": getattr(tflite.Padding, padding), "StrideH": strides[0], "StrideW": strides[1]}
        raise self.error(
            f"neither SAME nor VALID padding of a {sides_text(extent)} window with stride {layer.stride} maps "
            f"{self.shapes}"
        )


def _stride(before: int, after: int, extent: int, stride: int, padding: str) -> int:
    """Return the stride of one side, ``stride`` or 1; 0 if neither maps ``before`` to ``after``."""
    starts = before if padding == "SAME" else before - extent + 1
    return next((step for step in (stride, 1) if starts > 0 and -(-starts // step) == after), 0)
