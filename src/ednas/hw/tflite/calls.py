"""What an operator of a TFLite file costs, from its tensors and options: one layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from ednas.exceptions import TargetError
from ednas.hw.graph import ops
from ednas.hw.graph.layers import DTYPE_BITS, FLOATS, Layer, Shape
from ednas.hw.tflite.flatbuffer import INT64, UINT8, Table

_OPTIONS, _OPTIONS_2 = (3, 4), (11, 12)
"""Slots of an operator's options: of their type and of their table."""

_SPLITS = frozenset({"SPLIT", "SPLIT_V", "UNPACK"})
_CONCATENATIONS = frozenset({"CONCATENATION", "STABLEHLO_CONCATENATE"})
_KEEPS_SIZE = (ops.CONVOLUTIONS | ops.POOLS | ops.RESIZES | ops.ELEMENTWISE) - {"STABLEHLO_DOT_GENERAL"}
"""Operators that never make a single element from many."""

_ALL = slice(None)
_OPERANDS = {
    **dict.fromkeys(ops.MOVES | ops.REDUCTIONS | ops.RESHAPES | ops.RESIZES | ops.IRREGULAR | {"CUMSUM"}, slice(1)),
    **dict.fromkeys(_CONCATENATIONS | {"CONCAT_EMBEDDINGS", "PACK"}, _ALL),
    **dict.fromkeys(("EMBEDDING_LOOKUP", "EMBEDDING_LOOKUP_SPARSE", "HASHTABLE_LOOKUP"), _ALL),
    "CONV_3D_TRANSPOSE": slice(1, None),
    "FILL": slice(1, 2),
    "RANGE": slice(0),
    "SPLIT": slice(1, 2),
    "TRANSPOSE_CONV": slice(1, None),
}
"""Which inputs are operands, if not all; the others say what to do: axes, sizes, shapes, paddings, indices."""


class Tensor(NamedTuple):
    """A tensor of the file.

    Attributes:
        name: Its name, printable and short.
        shape: Its sides.
        dtype: Type of its elements.
        data_bytes: Bytes of its data in the file; 0 if it is computed.
        is_variable: Whether it keeps its value from one inference to the next.
        is_sparse: Whether the file leaves zeros out of its data.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data_bytes: int
    is_variable: bool
    is_sparse: bool

    @property
    def is_constant(self) -> bool:
        """Whether the file holds its value."""
        return self.data_bytes > 0 or 0 in self.shape

    @property
    def elements(self) -> int:
        """Number of its elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of its elements, those of a sub-byte type packed."""
        return (self.elements * DTYPE_BITS[self.dtype] + 7) // 8

    @property
    def hwc(self) -> Shape:
        """Height, width and channels: the last sides; all before them are height too."""
        sides = (1, 1, 1, *self.shape)
        return prod(sides[:-2]), sides[-2], sides[-1]

    @property
    def weight_bytes(self) -> int:
        """Bytes of its data, which must be as many as its shape says."""
        if self.data_bytes != self.bytes and not self.is_sparse and self.dtype != "string":
            raise TargetError(f"tensor '{self.name}' holds {self.data_bytes} bytes, its shape asks for {self.bytes}")
        return self.data_bytes

    def sides(self, count: int) -> tuple[int, ...]:
        """Return its shape, which must have ``count`` sides."""
        if len(self.shape) != count:
            raise TargetError(f"tensor '{self.name}' has {len(self.shape)} sides, must have {count}")
        return self.shape


class Call(NamedTuple):
    """An operator with its tensors.

    Attributes:
        op: Its name.
        inputs: Its inputs; None for one left out.
        outputs: Those of its outputs that are used.
        operator: Its table.
    """

    op: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    operator: Table

    @property
    def data(self) -> Tensor | None:
        """The first input that is computed; if all are constant, the first."""
        given = [tensor for tensor in self.inputs if tensor is not None]
        return next((tensor for tensor in given if not tensor.is_constant), given[0] if given else None)

    @property
    def weights(self) -> list[Tensor]:
        """The inputs that are weights: constant operands."""
        operands = self.inputs[_OPERANDS.get(self.op, _ALL)]
        return [tensor for tensor in operands if tensor is not None and tensor.is_constant]

    @property
    def output(self) -> Tensor:
        """The first output."""
        if not self.outputs:
            raise TargetError("it has no output")
        return self.outputs[0]

    def input(self, place: int) -> Tensor:
        """Return an input that must be there."""
        tensor = self.inputs[place] if place < len(self.inputs) else None
        if tensor is None:
            raise TargetError(f"input {place} is missing")
        return tensor

    def options(self, kind: int, slots: tuple[int, int] = _OPTIONS) -> Table:
        """Return the options, which must be of a kind (``BuiltinOptions``)."""
        type_slot, table_slot = slots
        table = self.operator.table(table_slot)
        found = self.operator.number(type_slot, UINT8)
        if table is None or found != kind:
            raise TargetError(f"its options are of kind {found}, must be of kind {kind}")
        return table


def layer_of(call: Call, producers: tuple[int, ...], number: int) -> Layer:
    """Return the layer that an operator is.

    Args:
        call: The operator with its tensors.
        producers: The layers that make its computed inputs.
        number: Its place in the file, which names it if no tensor does.

    Raises:
        TargetError: Its tensors or options do not fit each other.
    """
    output = _output_shape(call)
    if call.op in _KEEPS_SIZE and not call.output.shape and any(t and t.elements > 1 for t in call.inputs):
        raise TargetError(f"tensor '{call.output.name}' has no shape; export the model with fixed shapes")
    weights = call.weights
    fields: dict[str, Any] = {
        "name": call.outputs[0].name if call.outputs else f"{number} {call.op.lower()}",
        "scope": "network",
        "op": call.op,
        "input": output if call.op in _CONCATENATIONS or call.data is None else call.data.hwc,
        "output": output,
        "inputs": producers,
        "weight_bytes": sum(tensor.weight_bytes for tensor in weights),
        "dtype": (call.outputs[0] if call.outputs else call.input(0)).dtype,
    }
    if call.op == "QUANTIZE" and call.data is not None:
        fields["reads_float"] = call.data.dtype.startswith(FLOATS)
    if weights:
        fields["weight_bits"] = DTYPE_BITS[weights[0].dtype]
    details = _DETAILS.get(call.op)
    if details:
        fields |= details(call)
    return Layer(**fields)


def _output_shape(call: Call) -> Shape:
    """Return the shape that holds all outputs."""
    if call.op in _SPLITS or not call.outputs:
        if call.data is None:
            raise TargetError("it has neither an input nor an output")
        return call.data.hwc
    shapes = [tensor.hwc for tensor in call.outputs]
    height, width, _ = shapes[0]
    if all(shape[:2] == (height, width) for shape in shapes):
        return height, width, sum(shape[2] for shape in shapes)
    return 1, 1, sum(map(prod, shapes))


class _Window(NamedTuple):
    """Where the options of a windowed operator hold its window.

    Attributes:
        kind: Number of the options in the schema (``BuiltinOptions``).
        stride: Slots of the strides.
        dilation: Slots of the dilations.
        kernel: Slots of the kernel's height and width.
    """

    kind: int
    stride: tuple[int, ...]
    dilation: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()

    def fields(self, call: Call) -> dict[str, Any]:
        """Return the window's fields of a layer."""
        options = call.options(self.kind)
        fields: dict[str, Any] = {
            "stride": _largest("stride", [options.number(slot) for slot in self.stride]),
            "dilation": _largest("dilation", [options.number(slot, default=1) for slot in self.dilation]),
        }
        if self.kernel:
            fields["kernel"] = tuple([options.number(slot) for slot in self.kernel])
        return fields


_CONV_2D = _Window(kind=1, stride=(2, 1), dilation=(5, 4))
_DEPTHWISE_CONV_2D = _Window(kind=2, stride=(2, 1), dilation=(6, 5))
_TRANSPOSE_CONV = _Window(kind=49, stride=(2, 1))
_CONV_3D = _Window(kind=106, stride=(1, 3, 2), dilation=(5, 7, 6))
_POOL_2D = _Window(kind=5, stride=(2, 1), kernel=(4, 3))
_BATCH_MATMUL_KIND, _ADJOINT_X = 101, 0
_DOT_GENERAL_KIND, _LEFT_CONTRACTING = 12, 2


def _largest(what: str, values: Sequence[int]) -> int:
    if min(values, default=1) < 1:
        raise TargetError(f"its {what} is {min(values)}, must be at least 1")
    return max(values, default=1)


def _check_channels(weights: Tensor, what: str, expected: int, found: int) -> None:
    if expected != found:
        raise TargetError(f"tensor '{weights.name}' is for {expected} {what} channels, there are {found}")


def _convolution(call: Call) -> dict[str, Any]:
    data, weights = call.input(0), call.input(1)
    filters, height, width, depth = weights.sides(4)
    channels = data.sides(4)[3]
    _check_channels(weights, "output", filters, call.output.sides(4)[3])
    if not depth or channels % depth:
        raise TargetError(f"tensor '{weights.name}' takes {depth} channels, which do not divide the input's {channels}")
    return _CONV_2D.fields(call) | {
        "kernel": (height, width),
        "groups": channels // depth,
        "macs": call.output.elements * height * width * depth,
    }


def _depthwise_convolution(call: Call) -> dict[str, Any]:
    weights = call.input(1)
    _, height, width, filters = weights.sides(4)
    _check_channels(weights, "output", filters, call.output.sides(4)[3])
    return _DEPTHWISE_CONV_2D.fields(call) | {
        "kernel": (height, width),
        "groups": call.input(0).sides(4)[3],
        "macs": call.output.elements * height * width,
    }


def _transposed_convolution(call: Call) -> dict[str, Any]:
    weights, data = call.input(1), call.input(2)
    filters, height, width, depth = weights.sides(4)
    _check_channels(weights, "input", depth, data.sides(4)[3])
    _check_channels(weights, "output", filters, call.output.sides(4)[3])
    return _TRANSPOSE_CONV.fields(call) | {
        "input": data.hwc,
        "kernel": (height, width),
        "macs": data.elements * height * width * filters,
    }


def _convolution_3d(call: Call) -> dict[str, Any]:
    weights = call.input(1)
    deep, height, width, depth, filters = weights.sides(5)
    _check_channels(weights, "input", depth, call.input(0).sides(5)[4])
    _check_channels(weights, "output", filters, call.output.sides(5)[4])
    macs = call.output.elements * deep * height * width * depth
    return _CONV_3D.fields(call) | {"kernel": (deep * height, width), "macs": macs}


def _transposed_convolution_3d(call: Call) -> dict[str, Any]:
    weights, data = call.input(1), call.input(2)
    deep, height, width, filters, depth = weights.sides(5)
    _check_channels(weights, "input", depth, data.sides(5)[4])
    _check_channels(weights, "output", filters, call.output.sides(5)[4])
    macs = data.elements * deep * height * width * filters
    return _CONV_3D.fields(call) | {"input": data.hwc, "kernel": (deep * height, width), "macs": macs}


def _fully_connected(call: Call) -> dict[str, Any]:
    data, weights = call.input(0), call.input(1)
    filters, depth = weights.sides(2)
    rows = data.elements // max(depth, 1)
    if (rows * depth, rows * filters) != (data.elements, call.output.elements):
        shape = f"{filters} x {depth}"
        raise TargetError(f"weights of {shape} do not map {data.elements} elements to {call.output.elements}")
    return {"input": (1, rows, depth), "output": (1, rows, filters), "macs": rows * depth * filters}


def _matrix_product(call: Call) -> dict[str, Any]:
    left = call.input(0).shape
    if len(left) < 2:
        raise TargetError(f"tensor '{call.input(0).name}' has {len(left)} sides, must have at least 2")
    is_transposed = call.options(_BATCH_MATMUL_KIND).number(_ADJOINT_X, UINT8)
    return {"macs": call.output.elements * left[-2 if is_transposed else -1]}


def _dot_general(call: Call) -> dict[str, Any]:
    left = call.input(0).shape
    axes = call.options(_DOT_GENERAL_KIND, _OPTIONS_2).numbers(_LEFT_CONTRACTING, INT64)
    if len(set(axes)) < len(axes) or not set(axes) <= set(range(len(left))):
        raise TargetError(f"it contracts sides {axes} of {len(left)}")
    return {"macs": call.output.elements * prod(left[axis] for axis in axes)}


def _general_convolution(call: Call) -> dict[str, Any]:
    # Where its channels are is the options' affair; the exporters in use put them last.
    return {"macs": call.output.elements * call.input(1).elements // max(call.output.hwc[2], 1)}


def _recurrent(call: Call) -> dict[str, Any]:
    data = call.input(0)
    steps = data.elements // max(data.hwc[2], 1)
    return {"macs": steps * sum(tensor.elements for tensor in call.weights if len(tensor.shape) == 2)}


def _pool(call: Call) -> dict[str, Any]:
    call.input(0).sides(4)
    call.output.sides(4)
    return _POOL_2D.fields(call)


_DETAILS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "BATCH_MATMUL": _matrix_product,
    "CONV_2D": _convolution,
    "CONV_3D": _convolution_3d,
    "CONV_3D_TRANSPOSE": _transposed_convolution_3d,
    "DEPTHWISE_CONV_2D": _depthwise_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "STABLEHLO_CONVOLUTION": _general_convolution,
    "STABLEHLO_DOT_GENERAL": _dot_general,
    "TRANSPOSE_CONV": _transposed_convolution,
    **dict.fromkeys(ops.POOLS, _pool),
    **dict.fromkeys(ops.RECURRENT, _recurrent),
}
"""What a layer holds beyond shapes and weights: window, groups and multiply-accumulates."""
