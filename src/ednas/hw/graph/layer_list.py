"""Reading networks from layer lists, the JSON format that describes a network without its weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ednas.config import StrictModel, parse
from ednas.exceptions import ConfigError, TargetError, hint
from ednas.files import read_json
from ednas.hw.graph import ops
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph, Shape, sides_text

_Side = Annotated[int, Field(ge=1, lt=2**31, strict=True)]
_Bytes = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
_WINDOWS = ops.POOLS | {"CONV_2D", "DEPTHWISE_CONV_2D"}
_SAME_CHANNELS = ops.POOLS | ops.RESIZES
_Producer = Annotated[int, Field(ge=GRAPH_INPUT, lt=2**31, strict=True)]


class LayerEntry(StrictModel):
    """A layer of the list.

    Attributes:
        name: For people.
        op: TFLite's name of the operator, for example ``CONV_2D``.
        input: ``[height, width, channels]``.
        output: ``[height, width, channels]``.
        kernel: ``[height, width]``.
        stride: In both directions.
        dilation: In both directions.
        groups: Of a convolution.
        inputs: Indices of the layers that it reads (-1 = the network's input), or only their number; then each is the
            nearest layer before it whose output fits, else the layer before it.
        weight_bytes: Size of its parameters.
        dtype: Type of its output's elements, as NumPy names it.
    """

    name: str = ""
    op: str
    input: tuple[_Side, _Side, _Side]
    output: tuple[_Side, _Side, _Side]
    kernel: tuple[_Side, _Side] = (1, 1)
    stride: _Side = 1
    dilation: _Side = 1
    groups: _Side = 1
    inputs: Annotated[int, Field(ge=0, lt=2**31, strict=True)] | tuple[_Producer, ...] = 1
    weight_bytes: _Bytes = 0
    dtype: str = "int8"


class NetworkEntry(StrictModel):
    """A network of the file.

    Attributes:
        input_bytes: Size of the network's input.
        output_bytes: Size of its outputs.
        layers: The layers, in the order of execution.
        latency_ms: A published figure, for people.
        network: Its name, for people.
    """

    input_bytes: _Bytes
    output_bytes: _Bytes
    layers: tuple[Any, ...]
    latency_ms: float | None = None
    network: str | None = None


def load_layer_list(path: str | Path, network: str | None = None) -> LayerGraph:
    """Read a network from a layer list.

    The file holds one network, or several by name. A network is ``{"input_bytes", "output_bytes", "layers": [...]}``
    (``latency_ms``, a published figure, may stand beside them); a layer is ``{"op", "input", "output", "kernel",
    "stride", "dilation", "groups", "inputs", "weight_bytes", "dtype", "name"}`` with TFLite's operator names and shapes
    ``[height, width, channels]``. ``inputs`` is the list of the producing layers' indices (-1 = the network's input) or
    only their number; then each input is taken from the nearest layer before it with a matching output, else from the
    layer before it. Shapes that no kernel and stride can give are refused, and so are producers in a list whose output
    is not what their reader reads; where the two may be right (the padding of a window is not given), nothing is said.

    Args:
        path: The JSON file.
        network: Which network of a file with several.

    Raises:
        ConfigError: The file is missing or not JSON, the network is not in it, or a layer is wrong; the message names
            the layer and the key.
    """
    value = read_json(path, ConfigError)
    if not isinstance(value, dict) or not value:
        raise ConfigError(f"{path}: holds {_type_name(value)}, expected a network with 'layers' or several by name")
    where, chosen = _choose(path, value, network)
    if not isinstance(chosen, dict):
        raise ConfigError(f"{where}: holds {_type_name(chosen)}, expected a network with 'layers'")
    entry = parse(NetworkEntry, chosen, where, ConfigError)
    if not entry.layers:
        raise ConfigError(f"{where}: 'layers' is empty")
    layers: list[Layer] = []
    made: defaultdict[Shape, list[int]] = defaultdict(list)
    for index, raw in enumerate(entry.layers):
        layers.append(_layer(raw, f"{where}: layer {index}", layers, made))
        made[layers[-1].output].append(index)
    return LayerGraph(tuple(layers), entry.input_bytes, entry.output_bytes)


def network_names(path: str | Path) -> tuple[str, ...]:
    """Return the names of the networks in a file; empty if it holds a single one.

    Raises:
        ConfigError: The file is missing or not a JSON object.
    """
    value = read_json(path, ConfigError)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds {_type_name(value)}, expected a network with 'layers' or several by name")
    return () if "layers" in value else tuple(value)


def _choose(path: str | Path, value: Mapping[str, Any], network: str | None) -> tuple[str, Any]:
    if "layers" in value:
        if network is not None:
            raise ConfigError(f"{path}: holds a single network, '{_shown(network)}' cannot be chosen")
        return str(path), value
    if network is None and len(value) == 1:
        network = next(iter(value))
    if network is None:
        raise ConfigError(f"{path}: holds several networks, choose one of: {_shown(*value)}")
    if network not in value:
        offer = hint(network, value, f"choose one of: {_shown(*value)}")
        raise ConfigError(f"{path}: no network '{_shown(network)}'; {offer}")
    return f"{path}: {_shown(network)}", value[network]


def _layer(raw: Any, where: str, before: Sequence[Layer], made: Mapping[Shape, Sequence[int]]) -> Layer:
    """Return a layer; ``made`` are the layers before it by the shape of their output."""
    index = len(before)
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: holds {_type_name(raw)}, expected an object with 'op', 'input' and 'output'")
    entry = parse(LayerEntry, raw, where, ConfigError)
    if not ops.is_known(entry.op):
        offer = hint(entry.op, ops.BUILTIN, "use TFLite's name")
        raise ConfigError(f"{where}: unknown op {entry.op!r:.60}; {offer} (a custom op is written CUSTOM:<name>)")
    if isinstance(entry.inputs, int):
        inputs = _nearest_producers(index, made.get(entry.input, ()), entry.inputs)
    else:
        inputs = entry.inputs
        if any(producer >= index for producer in inputs):
            raise ConfigError(f"{where}: 'inputs' is {list(inputs)}, a layer can only read layers before it")
    try:
        layer = Layer(
            name=entry.name or f"{index} {entry.op.lower()}",
            scope="network",
            op=entry.op,
            input=entry.input,
            output=entry.output,
            kernel=entry.kernel,
            stride=entry.stride,
            dilation=entry.dilation,
            groups=entry.groups,
            inputs=inputs,
            weight_bytes=entry.weight_bytes,
            macs=layer_macs(entry.op, entry.input, entry.output, entry.kernel, entry.groups),
            dtype=entry.dtype,
        )
    except TargetError as error:
        raise ConfigError(f"{where}: {error}") from None
    problem = _shape_problem(layer)
    if not problem and not isinstance(entry.inputs, int):
        problem = _producer_problem(layer, before)
    if problem:
        raise ConfigError(f"{where}: {layer.label}: {problem}")
    return layer


def _nearest_producers(index: int, matching: Sequence[int], count: int) -> tuple[int, ...]:
    """Return the producers of a layer's inputs.

    Args:
        index: The layer's number.
        matching: Numbers of the layers before it whose output has the shape of its input, in their order.
        count: How many inputs it has.
    """
    if not index:
        return (GRAPH_INPUT,)
    return tuple(matching[: -count - 1 : -1]) or (index - 1,)


def _shape_problem(layer: Layer) -> str:
    """Return why a layer's output cannot have its shape; empty if it can, or if its operator does not say."""
    if layer.op in _SAME_CHANNELS and layer.input[2] != layer.output[2]:
        return f"makes {layer.output[2]} channels of {layer.input[2]}, must keep their number"
    if layer.op not in _WINDOWS:
        return ""
    sides = [(layer.input[axis], layer.output[axis], (layer.kernel[axis] - 1) * layer.dilation) for axis in (0, 1)]
    # At most as many places as there are where the window meets a pixel; at least those where it lies within.
    fits = [output <= (side + reach - 1) // layer.stride + 1 for side, output, reach in sides]
    is_too_large = not any(fits) or any(output > side + reach for side, output, reach in sides)  # one stride may be 1
    is_too_small = any(output < (side - reach - 1) // layer.stride + 1 for side, output, reach in sides)
    if not is_too_large and not (is_too_small and layer.op not in ops.POOLS):  # a pool's window is often left out
        return ""
    shapes = " to ".join(sides_text(shape[:2]) for shape in (layer.input, layer.output))
    window = f"kernel {sides_text(layer.kernel)}, stride {layer.stride}, dilation {layer.dilation}"
    return f"{shapes} cannot be with {window}; correct the shapes, the kernel or the stride"


def _producer_problem(layer: Layer, before: Sequence[Layer]) -> str:
    """Return why a layer cannot read what its first producer makes; empty if it can, or if that is not certain."""
    first = layer.inputs[0] if layer.inputs else GRAPH_INPUT
    if first < 0 or layer.op not in _WINDOWS | ops.RESIZES:
        return ""
    made = before[first]
    # Others may have several outputs, which count as one here, or need no layer of their own.
    if made.op not in _WINDOWS | ops.RESIZES | ops.ELEMENTWISE or prod(made.output) == prod(layer.input):
        return ""
    read, written = sides_text(layer.input), sides_text(made.output)
    return f"reads {read}, its producer, layer {first}, makes {written}; correct a shape or 'inputs'"


def layer_macs(op: str, input_: Shape, output: Shape, kernel: tuple[int, int], groups: int) -> int:
    """Return the multiply-accumulates of an operator by its shapes."""
    window = prod(kernel)
    if op == "CONV_2D":
        return prod(output) * window * input_[2] // groups
    if op == "DEPTHWISE_CONV_2D":
        return prod(output) * window
    if op == "TRANSPOSE_CONV":
        return prod(input_) * window * output[2]
    if op in ("FULLY_CONNECTED", "BATCH_MATMUL"):
        return prod(input_) * output[2]
    return 0


def _shown(*names: str) -> str:
    """Return names for an error message, which is one line whatever the file holds."""
    return ", ".join(name if name.isprintable() else ascii(name) for name in names)[:500]


def _type_name(value: Any) -> str:
    return "an empty object" if value == {} else f"a {type(value).__name__}"
