"""Writing a layer graph as a TFLite file with random weights.

What a network costs does not depend on its weights, so that a file written in milliseconds tells a device, a runtime or
a compiler as much about the cost of a candidate as a trained and converted network, which takes a quarter of a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import isqrt, prod, sqrt
from pathlib import Path
from typing import Any, Literal, TypeAlias

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from ednas.exceptions import TargetError
from ednas.files import atomic_path
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph, Shape

DType = Literal["int8", "float32"]

_SCHEMA_VERSION = 3
_IDENTIFIER = b"TFL3"
_LARGEST_FILE = 2**31 - 2**20
"""Bytes that weights may take: a FlatBuffer ends at 2 GiB."""

_MOST_ELEMENTS = 2**31 - 1
"""Elements of a tensor: runtimes count them with an ``int``."""

_ALIGNMENT = 16
"""Alignment of a buffer's data, bytes (``force_align`` in TFLite's schema)."""

_WEIGHT_DEVIATION = 36.0
"""Standard deviation of int8 weights: of normal weights the largest of some thousand, 3.5 deviations away, is 127.

Uniform weights would do for a processor, but Ethos-U and its like compress weights, which uniform ones do not allow.
"""

_ACTIVATION_SCALE = (0.02, 0.04)
"""Range of the scales of int8 activations: values up to about 2.5 to 5, as behind a ReLU6."""

_ZERO_POINTS = (-16, 16)
"""Range of their zero points."""

_FIXED_QUANTISATION = {
    "LOGISTIC": (1 / 256, -128),
    "SOFTMAX": (1 / 256, -128),
    "LOG_SOFTMAX": (16 / 256, 127),
    "TANH": (1 / 128, 0),
    "L2_NORMALIZATION": (1 / 128, 0),
}
"""Scale and zero point of outputs that TFLite's int8 specification prescribes."""

_KEEPS_QUANTISATION = frozenset(
    {
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MINIMUM",
        "MIRROR_PAD",
        "PAD",
        "PADV2",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SPACE_TO_DEPTH",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TRANSPOSE",
    }
)
"""Operators whose inputs and output must share scale and zero point by TFLite's int8 specification."""

_NO_INT8 = 0
_VERSIONS: dict[str, tuple[int, int]] = {
    "ABS": (1, 2),
    "ADD": (1, 2),
    "ARG_MAX": (1, 2),
    "ARG_MIN": (1, 2),
    "AVERAGE_POOL_2D": (1, 2),
    "BATCH_MATMUL": (1, 2),
    "CONCATENATION": (1, 2),
    "CONV_2D": (1, 3),
    "COS": (1, _NO_INT8),
    "DEPTHWISE_CONV_2D": (1, 3),
    "DEPTH_TO_SPACE": (1, 2),
    "DIV": (1, _NO_INT8),
    "ELU": (1, 1),
    "EXP": (1, 2),
    "EXPAND_DIMS": (1, 1),
    "FLOOR": (1, _NO_INT8),
    "FULLY_CONNECTED": (1, 4),
    "GELU": (1, 2),
    "HARD_SWISH": (1, 1),
    "L2_NORMALIZATION": (1, 2),
    "LEAKY_RELU": (1, 2),
    "LOG": (1, 2),
    "LOGISTIC": (1, 2),
    "LOG_SOFTMAX": (1, 2),
    "MAXIMUM": (1, 2),
    "MAX_POOL_2D": (1, 2),
    "MEAN": (1, 2),
    "MINIMUM": (1, 2),
    "MIRROR_PAD": (1, 2),
    "MUL": (1, 2),
    "NEG": (1, _NO_INT8),
    "PAD": (1, 2),
    "PADV2": (1, 2),
    "POW": (1, _NO_INT8),
    "PRELU": (1, 1),
    "QUANTIZE": (_NO_INT8, 2),
    "REDUCE_MAX": (1, 2),
    "REDUCE_MIN": (1, 2),
    "RELU": (1, 2),
    "RELU6": (1, 2),
    "RELU_0_TO_1": (1, 1),
    "RELU_N1_TO_1": (1, 1),
    "RESHAPE": (1, 1),
    "RESIZE_BILINEAR": (3, 3),
    "RESIZE_NEAREST_NEIGHBOR": (2, 2),
    "ROUND": (1, _NO_INT8),
    "RSQRT": (1, _NO_INT8),
    "SIN": (1, _NO_INT8),
    "SLICE": (1, 2),
    "SOFTMAX": (1, 2),
    "SPACE_TO_DEPTH": (1, 2),
    "SQRT": (1, _NO_INT8),
    "SQUARE": (1, _NO_INT8),
    "SQUARED_DIFFERENCE": (1, 2),
    "SQUEEZE": (1, 1),
    "STRIDED_SLICE": (1, 2),
    "SUB": (1, 2),
    "SUM": (1, 2),
    "TANH": (1, 2),
    "TRANSPOSE": (1, 2),
    "TRANSPOSE_CONV": (3, 3),
}
"""Versions of the operators with float32 and with int8 elements (TFLite's ``tools/versioning``): those that mark these
kernels and no newer ones, since vendors' compilers refuse versions that they do not know."""

_GROUPED_VERSION = 6
"""Version of a ``CONV_2D`` with groups."""


def write_tflite(graph: LayerGraph, path: str | Path, *, dtype: DType = "int8", seed: int = 0) -> None:
    """Write a network as a TFLite file that runs, with random weights.

    The network has one input, NHWC; its outputs are the layers that nothing reads and ``graph.outputs``. Activations
    are not fused, which changes no cost: kernels clamp their results anyway. Where shapes alone leave a choice (a
    permutation, the place of a slice, SAME or VALID) the file takes the first that gives the output.

    Args:
        graph: The network.
        path: The file; replaced if it exists.
        dtype: Type of activations and weights. ``int8``: symmetric weights with a scale for each output channel (one
            scale for a ``FULLY_CONNECTED``) and int32 biases.
        seed: Determines the weights and the scales.

    Raises:
        TargetError: An operator cannot be written, a layer's shapes fit together in no way, or it is too large for any
            runtime; the message names it.
        EdnasError: The file cannot be written.
    """
    for layer in graph.layers:
        elements = max(prod(layer.input), prod(layer.output))
        if elements > _MOST_ELEMENTS:
            raise TargetError(
                f"{layer.label}: a tensor has {elements} elements, TFLite's runtimes allow {_MOST_ELEMENTS}; "
                "use a smaller input or fewer channels"
            )
    network = _Network(dtype, seed)
    result = network.add_all(graph)
    with atomic_path(path) as temporary:
        temporary.write_bytes(_serialise(network, result))


@dataclass(frozen=True)
class _Quantisation:
    """Scales (one, or one for each index of ``axis``) and the zero point of an int8 or int32 tensor."""

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the file; ``data`` if it is a constant."""

    name: str
    shape: tuple[int, ...]
    type: str
    quantisation: _Quantisation | None = None
    data: NDArray[Any] | None = None


@dataclass(frozen=True)
class _Operator:
    """An operator of the file with its table of options (empty = none)."""

    op: str
    version: int
    inputs: tuple[int, ...]
    output: int
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ends:
    """Tensors that are the input and the outputs of the network."""

    input: int
    outputs: tuple[int, ...]


class _Network:
    """Tensors and operators of a file, put together layer by layer.

    Args:
        dtype: As in :func:`write_tflite`.
        seed: As in :func:`write_tflite`.
    """

    def __init__(self, dtype: DType, seed: int) -> None:
        self.is_int8 = dtype == "int8"
        self.dtype = dtype
        self.random = np.random.default_rng(seed)
        self.tensors: list[_Tensor] = []
        self.operators: list[_Operator] = []
        self._constant_bytes = 0

    @property
    def type(self) -> str:
        """TFLite's name of the type of activations."""
        return self.dtype.upper()

    def add_all(self, graph: LayerGraph) -> _Ends:
        """Write down all layers of a graph."""
        quantisations = self._activation_quantisations(graph)
        network_input = self._activation("input", _input_shape(graph), quantisations[GRAPH_INPUT])
        results = {GRAPH_INPUT: network_input}
        for index, layer in enumerate(graph.layers):
            writer = _WRITERS.get(layer.op)
            if writer is None:
                raise TargetError(f"{layer.label}: cannot be written to a TFLite file; replace it")
            if self._version(layer) == _NO_INT8:
                other = "float32" if self.is_int8 else "int8"
                raise TargetError(f"{layer.label}: cannot be written with {self.dtype} elements; use {other}")
            if not layer.inputs or any(producer not in results for producer in layer.inputs):
                raise TargetError(f"{layer.label}: reads {list(layer.inputs)}, must read layers before it")
            step = _Step(self, layer, quantisations[index], f"{layer.name}.{index}")
            results[index] = writer(step, [results[producer] for producer in layer.inputs])
        read = {producer for layer in graph.layers for producer in layer.inputs}
        outputs = [index for index in range(len(graph.layers)) if index not in read or index in graph.outputs]
        return _Ends(network_input, tuple([results[index] for index in outputs]))

    def constant(self, name: str, type_: str, data: NDArray[Any], quantisation: _Quantisation | None = None) -> int:
        """Add a constant; return its tensor."""
        return self._add(_Tensor(name, data.shape, type_, quantisation, data))

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

    def operator(
        self, op: str, version: int, inputs: Sequence[int], output: _Tensor, options: str = "", **fields: Any
    ) -> int:
        """Add an operator with one output; return that."""
        tensor = self._add(output)
        self.operators.append(_Operator(op, version, tuple(inputs), tensor, options, fields))
        return tensor

    def reshaped(self, tensor: int, shape: tuple[int, ...]) -> int:
        """Return ``tensor`` in another shape, through a ``RESHAPE`` if it has not got it."""
        old = self.tensors[tensor]
        if old.shape == shape:
            return tensor
        name = f"{old.name}.reshaped"
        new = self.integers(f"{name}.shape", *shape)
        output = _Tensor(name, shape, old.type, old.quantisation)
        return self.operator("RESHAPE", 1, [tensor, new], output)

    def requantised(self, tensor: int, quantisation: _Quantisation | None) -> int:
        """Return ``tensor`` in another quantisation, through a ``QUANTIZE`` if it has not got it."""
        old = self.tensors[tensor]
        if old.quantisation == quantisation:
            return tensor
        output = _Tensor(f"{old.name}.requantised", old.shape, old.type, quantisation)
        return self.operator("QUANTIZE", 2, [tensor], output)

    def new_quantisation(self) -> _Quantisation | None:
        """Draw the quantisation of an activation."""
        if not self.is_int8:
            return None
        return _Quantisation(
            (float(self.random.uniform(*_ACTIVATION_SCALE)),), int(self.random.integers(*_ZERO_POINTS))
        )

    def _activation(self, name: str, shape: tuple[int, ...], quantisation: _Quantisation | None) -> int:
        return self._add(_Tensor(name, shape, self.type, quantisation))

    def _add(self, tensor: _Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _version(self, layer: Layer) -> int:
        return _VERSIONS[layer.op][self.is_int8]

    def _activation_quantisations(self, graph: LayerGraph) -> dict[int, _Quantisation | None]:
        """Draw the quantisation of every result: one for all that operators like a concatenation tie together."""
        group = {index: index for index in range(GRAPH_INPUT, len(graph.layers))}

        def root(index: int) -> int:
            while group[index] != index:
                group[index] = group[group[index]]
                index = group[index]
            return index

        def is_prescribed(index: int) -> bool:
            return index != GRAPH_INPUT and graph.layers[index].op in _FIXED_QUANTISATION

        for index, layer in enumerate(graph.layers):
            for producer in layer.inputs if layer.op in _KEEPS_QUANTISATION else ():
                # Several inputs cannot all keep prescribed ones: these are requantised before the operator.
                if producer in group and not (len(layer.inputs) > 1 and is_prescribed(root(producer))):
                    group[root(index)] = root(producer)
        drawn = {index: self.new_quantisation() for index in group if group[index] == index}
        for index in drawn if self.is_int8 else ():
            if is_prescribed(index):
                scale, zero_point = _FIXED_QUANTISATION[graph.layers[index].op]
                drawn[index] = _Quantisation((scale,), zero_point)
        return {index: drawn[root(index)] for index in group}


@dataclass(frozen=True)
class _Step:
    """What the writer of one operator needs.

    Attributes:
        network: What it adds to.
        layer: The layer.
        quantisation: Quantisation of the layer's result.
        name: Name of the result.
    """

    network: _Network
    layer: Layer
    quantisation: _Quantisation | None
    name: str

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
        tensor = self.network.tensors[source]
        if tensor.type != self.network.type:
            raise self.error(f"reads indices ({tensor.type.lower()}), must read {self.network.dtype}")
        if prod(tensor.shape) != prod(shape):
            raise self.error(f"its input is {_text(shape)}, its producer gives {_text(tensor.shape[1:])}")
        return self.network.reshaped(source, (1, *shape))

    def emit(self, inputs: Sequence[int], options: str = "", **fields: Any) -> int:
        """Add the layer's operator with a result of the layer's shape; return that."""
        return self.emit_as(self.layer.op, (1, *self.layer.output), inputs, options, **fields)

    def emit_as(self, op: str, shape: tuple[int, ...], inputs: Sequence[int], options: str = "", **fields: Any) -> int:
        """Add an operator in the layer's place; return its result."""
        network, layer = self.network, self.layer
        grouped = op == "CONV_2D" and layer.groups > 1
        version = _GROUPED_VERSION if grouped else _VERSIONS[op][network.is_int8]
        if op in _KEEPS_QUANTISATION:
            is_data = (network.tensors[tensor].type == network.type for tensor in inputs)
            inputs = [
                network.requantised(tensor, self.quantisation) if data else tensor
                for tensor, data in zip(inputs, is_data, strict=True)
            ]
        output = _Tensor(self.name, shape, network.type, self.quantisation)
        return network.operator(op, version, inputs, output, options, **fields)

    def parameters(
        self, source: int, shape: tuple[int, ...], axis: int, fan_in: int, *, per_channel: bool = True
    ) -> tuple[int, int]:
        """Add weights with the output channels on ``axis``, and biases; return both."""
        network = self.network
        channels = shape[axis]
        weights = network.weights(self.layer.label, shape, fan_in)
        if not network.is_int8:
            bias = network.random.standard_normal(channels, np.float32)
            return (
                network.constant(f"{self.name}.weights", "FLOAT32", weights),
                network.constant(f"{self.name}.bias", "FLOAT32", bias),
            )
        before = network.tensors[source].quantisation
        assert before is not None
        assert self.quantisation is not None
        in_scale, out_scale = before.scales[0], self.quantisation.scales[0]
        spread = network.random.uniform(0.5, 1.0, channels if per_channel else 1)
        scales = spread * out_scale / (in_scale * _WEIGHT_DEVIATION * sqrt(fan_in))
        biases = network.random.integers(-1000, 1000, channels, np.int32)
        return (
            network.constant(f"{self.name}.weights", "INT8", weights, _Quantisation(tuple(scales), axis=axis)),
            network.constant(f"{self.name}.bias", "INT32", biases, _Quantisation(tuple(scales * in_scale))),
        )

    def constant_operand(self, channels: int) -> int:
        """Add the constant that an element-wise operator takes as its second operand."""
        network = self.network
        quantisation = self.quantisation if self.layer.op in _KEEPS_QUANTISATION else network.new_quantisation()
        values = network.weights(self.layer.label, (channels,), 1)
        return network.constant(f"{self.name}.constant", network.type, values, quantisation)

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
        size = f"{extent[0]}x{extent[1]}"
        raise self.error(
            f"neither SAME nor VALID padding of a {size} window with stride {layer.stride} maps "
            f"{_text(layer.input)} to {_text(layer.output)}"
        )


def _stride(before: int, after: int, extent: int, stride: int, padding: str) -> int:
    """Return the stride of one side, ``stride`` or 1; 0 if neither maps ``before`` to ``after``."""
    starts = before if padding == "SAME" else before - extent + 1
    return next((step for step in (stride, 1) if starts > 0 and -(-starts // step) == after), 0)


def _input_shape(graph: LayerGraph) -> tuple[int, ...]:
    """Return the shape of the network's input: that of the first layer that reads it (and nothing beside it)."""
    for layer in graph.layers:
        if GRAPH_INPUT in layer.inputs and layer.op not in ("CONCATENATION", *_BINARY):
            return (1, *layer.input)
    for layer in graph.layers:
        if layer.inputs[:1] == (GRAPH_INPUT,) and layer.op in _BINARY:
            return (1, *layer.input)
    raise TargetError("the network's input has no known size: only concatenations read it, or nothing")


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _extent(layer: Layer) -> tuple[int, int]:
    height, width = layer.kernel
    return (height - 1) * layer.dilation + 1, (width - 1) * layer.dilation + 1


def _write_convolution(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    shape = (layer.output[2], *layer.kernel, layer.input[2] // layer.groups)
    parameters = step.parameters(source, shape, 0, prod(shape[1:]))
    dilation = {"DilationHFactor": layer.dilation, "DilationWFactor": layer.dilation}
    return step.emit([source, *parameters], "Conv2DOptions", **step.window(_extent(layer)), **dilation)


def _write_depthwise(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    multiplier, rest = divmod(layer.output[2], layer.input[2])
    if rest:
        raise step.error(f"{layer.output[2]} output channels are no multiple of {layer.input[2]} input channels")
    parameters = step.parameters(source, (1, *layer.kernel, layer.output[2]), 3, prod(layer.kernel))
    return step.emit(
        [source, *parameters],
        "DepthwiseConv2DOptions",
        **step.window(_extent(layer)),
        DepthMultiplier=multiplier,
        DilationHFactor=layer.dilation,
        DilationWFactor=layer.dilation,
    )


def _write_transposed(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if layer.groups > 1 or layer.dilation > 1:
        raise step.error("TFLite has no transposed convolution with groups or dilation; replace it")
    source = step.only(sources)
    sides = tuple(zip(layer.input[:2], layer.output[:2], layer.kernel, strict=True))
    if all(after == before * layer.stride for before, after, _ in sides):
        padding = tflite.Padding.SAME
    elif all(after == (before - 1) * layer.stride + max(kernel, layer.stride) for before, after, kernel in sides):
        padding = tflite.Padding.VALID
    else:
        shapes = f"{_text(layer.input)} to {_text(layer.output)}"
        raise step.error(f"neither SAME nor VALID padding maps {shapes} with stride {layer.stride}")
    shape = (layer.output[2], *layer.kernel, layer.input[2])
    weights, bias = step.parameters(source, shape, 0, prod(shape[1:]))
    size = step.network.integers(f"{step.name}.shape", 1, *layer.output)
    strides = {"StrideH": layer.stride, "StrideW": layer.stride}
    return step.emit([size, weights, source, bias], "TransposeConvOptions", Padding=padding, **strides)


def _write_fully_connected(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    channels = layer.output[2]
    rows = layer.output[0] * layer.output[1]
    inputs, rest = divmod(prod(layer.input), rows)
    if rest:
        raise step.error(f"an input of {_text(layer.input)} is not {rows} rows")
    parameters = step.parameters(source, (channels, inputs), 0, inputs, per_channel=False)
    return step.emit_as(layer.op, (rows, channels), [source, *parameters], "FullyConnectedOptions")


def _write_product(step: _Step, sources: Sequence[int]) -> int:
    if len(sources) != 2:
        raise step.error(f"reads {len(sources)} layers, must read 2")
    layer = step.layer
    left = step.image(sources[0], layer.input)
    right = step.image(sources[1], (layer.input[0], layer.input[2], layer.output[2]))
    return step.emit([left, right], "BatchMatMulOptions")


def _write_binary(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    tensors = [_broadcast(step, source) for source in sources]
    if len(tensors) == 1:
        tensors.append(step.constant_operand(layer.output[2] if layer.weight_bytes else 1))
    if len(tensors) != 2:
        raise step.error(f"reads {len(tensors)} layers, must read 1 or 2")
    shapes = [(1, 1, 1, *step.network.tensors[tensor].shape)[-3:] for tensor in tensors]
    if tuple(map(max, *shapes)) != layer.output:
        raise step.error(f"operands of {' and '.join(map(_text, shapes))} do not give {_text(layer.output)}")
    return step.emit(tensors, _BINARY[layer.op])


def _broadcast(step: _Step, source: int) -> int:
    """Return an operand as an image that can be broadcast to the layer's output."""
    shape = step.network.tensors[source].shape
    output = step.layer.output
    if prod(shape) == prod(output):
        return step.image(source, output)
    image: Shape = (1, 1, 1, *shape[1:])[-3:]  # type: ignore[assignment]
    if any(side not in (1, wanted) for side, wanted in zip(image, output, strict=True)):
        raise step.error(f"an operand of {_text(image)} cannot be broadcast to {_text(output)}")
    return step.image(source, image)


def _write_prelu(step: _Step, sources: Sequence[int]) -> int:
    return step.emit([step.only(sources), step.constant_operand(step.layer.output[2])])


def _write_concatenation(step: _Step, sources: Sequence[int]) -> int:
    output = step.layer.output
    images = [(1, 1, *step.network.tensors[source].shape[1:])[-3:] for source in sources]
    for axis in (2, 1, 0):
        others = [side for side in range(3) if side != axis]
        aligned = all(image[side] == output[side] for image in images for side in others)
        if aligned and sum(image[axis] for image in images) == output[axis]:
            tensors = [step.image(source, image) for source, image in zip(sources, images, strict=True)]  # type: ignore[arg-type]
            return step.emit(tensors, "ConcatenationOptions", Axis=axis + 1)
    parts = ", ".join(map(_text, images))
    raise step.error(f"its inputs ({parts}) do not join to {_text(output)}; name its producers in 'inputs'")


def _write_padding(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    added = [after - before for before, after in zip(layer.input, layer.output, strict=True)]
    if min(added) < 0:
        raise step.error(f"cannot pad {_text(layer.input)} to {_text(layer.output)}")
    paddings = [(0, 0), *((count // 2, count - count // 2) for count in added)]
    inputs = [source, step.network.integers(f"{step.name}.paddings", *paddings)]
    if layer.op == "PADV2":
        # The least value, which is what padding before a maximum takes.
        least = np.array([-128], np.int8) if step.network.is_int8 else np.array([np.finfo(np.float32).min])
        inputs.append(step.network.constant(f"{step.name}.value", step.network.type, least, step.quantisation))
    return step.emit(inputs, _PADS[layer.op])


def _write_pool(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    _check_channels(step)
    if layer.dilation > 1:
        raise step.error("TFLite has no pooling with dilation; replace it")
    height, width = layer.kernel
    return step.emit(
        [step.only(sources)], "Pool2DOptions", **step.window(layer.kernel), FilterHeight=height, FilterWidth=width
    )


def _write_reduction(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    kept = [after == before for before, after in zip(layer.input, layer.output, strict=True)]
    if any(after not in (1, before) for before, after in zip(layer.input, layer.output, strict=True)):
        raise step.error(f"cannot reduce {_text(layer.input)} to {_text(layer.output)}: a reduced side must be 1")
    axes = [side + 1 for side in range(3) if not kept[side]] or [1, 2]
    axis = step.network.integers(f"{step.name}.axes", *axes)
    return step.emit([step.only(sources), axis], "ReducerOptions", KeepDims=True)


def _write_index(step: _Step, sources: Sequence[int]) -> int:
    """Write an arg max or arg min, whose output lacks the axis that it searches."""
    layer = step.layer
    shapes = {axis: tuple(np.delete((1, *layer.input), axis).tolist()) for axis in (3, 2, 1)}
    axis = next((axis for axis, shape in shapes.items() if prod(shape) == prod(layer.output)), 0)
    if not axis:
        raise step.error(f"no axis of {_text(layer.input)} leaves {_text(layer.output)}")
    inputs = [step.only(sources), step.network.constant(f"{step.name}.axis", "INT32", np.array(axis, np.int32))]
    output = _Tensor(step.name, shapes[axis], "INT32")
    options = "ArgMaxOptions" if layer.op == "ARG_MAX" else "ArgMinOptions"
    version = _VERSIONS[layer.op][step.network.is_int8]
    return step.network.operator(layer.op, version, inputs, output, options, OutputType=tflite.TensorType.INT32)


def _write_resize(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    _check_channels(step)
    inputs = [step.only(sources), step.network.integers(f"{step.name}.size", *layer.output[:2])]
    if layer.op == "RESIZE_BILINEAR":
        return step.emit(inputs, "ResizeBilinearOptions", HalfPixelCenters=True)
    return step.emit(inputs, "ResizeNearestNeighborOptions")


def _write_reshape(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if prod(layer.input) != prod(layer.output):
        raise step.error(f"cannot reshape {_text(layer.input)} to {_text(layer.output)}")
    shape = (1, *layer.output)
    return step.emit_as("RESHAPE", shape, [step.only(sources), step.network.integers(f"{step.name}.shape", *shape)])


def _write_mirror_pad(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if any(after - before > 2 * (before - 1) for before, after in zip(layer.input, layer.output, strict=True)):
        raise step.error(f"{_text(layer.input)} has too few elements to mirror for {_text(layer.output)}")
    return _write_padding(step, sources)


def _write_transposition(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    for order in permutations(range(3)):
        if order != (0, 1, 2) and tuple(layer.input[side] for side in order) == layer.output:
            permutation = step.network.integers(f"{step.name}.order", 0, *(side + 1 for side in order))
            return step.emit([step.only(sources), permutation], "TransposeOptions")
    raise step.error(f"no order of the axes of {_text(layer.input)} gives {_text(layer.output)}")


def _write_slice(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if any(after > before for before, after in zip(layer.input, layer.output, strict=True)):
        raise step.error(f"{_text(layer.output)} is no part of {_text(layer.input)}")
    names = ("begin", "end", "strides") if layer.op == "STRIDED_SLICE" else ("begin", "size")
    values = {"begin": (0, 0, 0, 0), "end": (1, *layer.output), "size": (1, *layer.output), "strides": (1, 1, 1, 1)}
    constants = [step.network.integers(f"{step.name}.{name}", *values[name]) for name in names]
    options = "StridedSliceOptions" if layer.op == "STRIDED_SLICE" else "SliceOptions"
    return step.emit([step.only(sources), *constants], options)


def _write_rearrangement(step: _Step, sources: Sequence[int]) -> int:
    """Write a depth-to-space or space-to-depth, whose block is what the channels tell."""
    layer = step.layer
    deep, flat = (layer.input, layer.output) if layer.op == "DEPTH_TO_SPACE" else (layer.output, layer.input)
    block = isqrt(deep[2] // flat[2])
    if flat != (deep[0] * block, deep[1] * block, deep[2] // max(block, 1) ** 2):
        raise step.error(f"no block size maps {_text(layer.input)} to {_text(layer.output)}")
    options = "DepthToSpaceOptions" if layer.op == "DEPTH_TO_SPACE" else "SpaceToDepthOptions"
    return step.emit([step.only(sources)], options, BlockSize=block)


def _write_unary(step: _Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if layer.input != layer.output:
        raise step.error(f"cannot map {_text(layer.input)} to {_text(layer.output)}, its output has its input's shape")
    options, fields = _UNARY[layer.op]
    return step.emit([step.only(sources)], options, **fields)


def _check_channels(step: _Step) -> None:
    if step.layer.input[2] != step.layer.output[2]:
        raise step.error(f"cannot turn {step.layer.input[2]} channels into {step.layer.output[2]}")


_PADS = {"PAD": "PadOptions", "PADV2": "PadV2Options", "MIRROR_PAD": "MirrorPadOptions"}

_BINARY = {
    "ADD": "AddOptions",
    "DIV": "DivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MUL": "MulOptions",
    "POW": "PowOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "SUB": "SubOptions",
}
"""Element-wise operators of two operands, with their options."""

_UNARY: dict[str, tuple[str, dict[str, float]]] = {
    "ABS": ("AbsOptions", {}),
    "COS": ("CosOptions", {}),
    "ELU": ("", {}),
    "EXP": ("ExpOptions", {}),
    "FLOOR": ("", {}),
    "GELU": ("GeluOptions", {}),
    "HARD_SWISH": ("HardSwishOptions", {}),
    "L2_NORMALIZATION": ("L2NormOptions", {}),
    "LEAKY_RELU": ("LeakyReluOptions", {"Alpha": 0.1}),
    "LOG": ("", {}),
    "LOGISTIC": ("", {}),
    "LOG_SOFTMAX": ("LogSoftmaxOptions", {}),
    "NEG": ("NegOptions", {}),
    "QUANTIZE": ("QuantizeOptions", {}),
    "RELU": ("", {}),
    "RELU6": ("", {}),
    "RELU_0_TO_1": ("", {}),
    "RELU_N1_TO_1": ("", {}),
    "ROUND": ("", {}),
    "RSQRT": ("", {}),
    "SIN": ("", {}),
    "SOFTMAX": ("SoftmaxOptions", {"Beta": 1.0}),
    "SQRT": ("", {}),
    "SQUARE": ("SquareOptions", {}),
    "TANH": ("", {}),
}
"""Element-wise operators of one operand, with their options."""

_Writer: TypeAlias = Callable[[_Step, Sequence[int]], int]
_WRITERS: dict[str, _Writer] = {
    "ARG_MAX": _write_index,
    "ARG_MIN": _write_index,
    "AVERAGE_POOL_2D": _write_pool,
    "BATCH_MATMUL": _write_product,
    "CONCATENATION": _write_concatenation,
    "CONV_2D": _write_convolution,
    "DEPTHWISE_CONV_2D": _write_depthwise,
    "DEPTH_TO_SPACE": _write_rearrangement,
    "EXPAND_DIMS": _write_reshape,
    "FULLY_CONNECTED": _write_fully_connected,
    "MAX_POOL_2D": _write_pool,
    "MEAN": _write_reduction,
    "MIRROR_PAD": _write_mirror_pad,
    "PAD": _write_padding,
    "PADV2": _write_padding,
    "PRELU": _write_prelu,
    "REDUCE_MAX": _write_reduction,
    "REDUCE_MIN": _write_reduction,
    "RESHAPE": _write_reshape,
    "RESIZE_BILINEAR": _write_resize,
    "RESIZE_NEAREST_NEIGHBOR": _write_resize,
    "SLICE": _write_slice,
    "SPACE_TO_DEPTH": _write_rearrangement,
    "SQUEEZE": _write_reshape,
    "STRIDED_SLICE": _write_slice,
    "SUM": _write_reduction,
    "TRANSPOSE": _write_transposition,
    "TRANSPOSE_CONV": _write_transposed,
    **dict.fromkeys(_BINARY, _write_binary),
    **dict.fromkeys(_UNARY, _write_unary),
}


def _serialise(network: _Network, ends: _Ends) -> bytes:
    """Return the file: FlatBuffer tables of TFLite's schema."""
    data = [tensor.data for tensor in network.tensors if tensor.data is not None]
    builder = flatbuffers.Builder(sum([array.nbytes for array in data]) + (1 << 16))
    buffers = [_table(builder, "Buffer"), *(_buffer(builder, array) for array in data)]  # buffer 0 is the empty one
    opcodes = sorted({(operator.op, operator.version) for operator in network.operators})
    numbers = iter(range(1, len(buffers)))
    tensors = [_tensor(builder, tensor, 0 if tensor.data is None else next(numbers)) for tensor in network.tensors]
    places = {opcode: place for place, opcode in enumerate(opcodes)}
    operators = [_operator(builder, operator, places) for operator in network.operators]
    subgraph = _table(
        builder,
        "SubGraph",
        Tensors=_offsets(builder, tensors),
        Inputs=_numbers(builder, [ends.input]),
        Outputs=_numbers(builder, ends.outputs),
        Operators=_offsets(builder, operators),
        Name=builder.CreateString("main"),
    )
    model = _table(
        builder,
        "Model",
        Version=_SCHEMA_VERSION,
        OperatorCodes=_offsets(builder, [_opcode(builder, *opcode) for opcode in opcodes]),
        Subgraphs=_offsets(builder, [subgraph]),
        Description=builder.CreateString("ednas: a network with random weights"),
        Buffers=_offsets(builder, buffers),
    )
    builder.Finish(model, _IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, table: str, /, **fields: Any) -> int:
    """Write a table of the schema; keys are the names of its fields. Returns its offset."""
    getattr(tflite, f"{table}Start")(builder)
    for key, value in fields.items():
        getattr(tflite, f"{table}Add{key}")(builder, value)
    offset: int = getattr(tflite, f"{table}End")(builder)
    return offset


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    result: int = builder.EndVector()
    return result


def _numbers(builder: flatbuffers.Builder, values: Sequence[float], type_: type[np.generic] = np.int32) -> int:
    result: int = builder.CreateNumpyVector(np.array(values, type_))
    return result


def _buffer(builder: flatbuffers.Builder, data: NDArray[Any]) -> int:
    content = data.tobytes()
    builder.Prep(_ALIGNMENT, len(content))
    return _table(builder, "Buffer", Data=builder.CreateByteVector(content))


def _tensor(builder: flatbuffers.Builder, tensor: _Tensor, buffer: int) -> int:
    fields = {
        "Shape": _numbers(builder, tensor.shape),
        "Type": getattr(tflite.TensorType, tensor.type),
        "Buffer": buffer,
        "Name": builder.CreateString(tensor.name),
    }
    quantisation = tensor.quantisation
    if quantisation is not None:
        zero_points = [quantisation.zero_point] * len(quantisation.scales)
        fields["Quantization"] = _table(
            builder,
            "QuantizationParameters",
            Scale=_numbers(builder, quantisation.scales, np.float32),
            ZeroPoint=_numbers(builder, zero_points, np.int64),
            QuantizedDimension=quantisation.axis,
        )
    return _table(builder, "Tensor", **fields)


def _operator(builder: flatbuffers.Builder, operator: _Operator, places: Mapping[tuple[str, int], int]) -> int:
    fields = {
        "OpcodeIndex": places[operator.op, operator.version],
        "Inputs": _numbers(builder, operator.inputs),
        "Outputs": _numbers(builder, [operator.output]),
    }
    if operator.options:
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, operator.options)
        fields["BuiltinOptions"] = _table(builder, operator.options, **operator.fields)
    return _table(builder, "Operator", **fields)


def _opcode(builder: flatbuffers.Builder, op: str, version: int) -> int:
    code: int = getattr(tflite.BuiltinOperator, op)
    old_code = min(code, tflite.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    return _table(builder, "OperatorCode", DeprecatedBuiltinCode=old_code, BuiltinCode=code, Version=version)
