"""Writing a layer graph as a TFLite file with random weights.

What a network costs does not depend on its weights, so that a file written in milliseconds tells a device, a runtime or
a compiler as much about the cost of a candidate as a trained and converted network, which takes a quarter of a minute.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.files import atomic_path
from ednas.hw.graph import ops
from ednas.hw.graph.layers import GRAPH_INPUT, LayerGraph
from ednas.hw.tflite.draft import KEEPS_QUANTISATION, Draft, DType, Step
from ednas.hw.tflite.operator_writers import BINARY, WRITERS
from ednas.hw.tflite.serialise import Quantisation, Tensor, serialise

_MOST_ELEMENTS = 2**31 - 1
"""Elements of a tensor: runtimes count them with an ``int``."""

_FIXED_QUANTISATION = {
    "LOGISTIC": (1 / 256, -128),
    "SOFTMAX": (1 / 256, -128),
    "LOG_SOFTMAX": (16 / 256, 127),
    "TANH": (1 / 128, 0),
    "L2_NORMALIZATION": (1 / 128, 0),
}
"""Scale and zero point of outputs that TFLite's int8 specification prescribes."""


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
        TargetError: An operator cannot be written, layers of floating-point numbers are to be written as int8, a
            layer's shapes fit together in no way, or it is too large for any runtime; the message names it.
        EdnasError: The file cannot be written.
    """
    for layer in graph.layers:
        elements = max(prod(layer.input), prod(layer.output))
        if elements > _MOST_ELEMENTS:
            raise TargetError(
                f"{layer.label}: a tensor has {elements} elements, TFLite's runtimes allow {_MOST_ELEMENTS}; "
                "use a smaller input or fewer channels"
            )
    floats = [layer for layer in graph.layers if layer.is_float and layer.op in ops.CONVOLUTIONS]
    if floats and dtype == "int8":
        raise TargetError(f"{floats[0].label}: computes {floats[0].dtype}; quantise the network first, or use float32")
    draft = Draft(dtype, seed)
    input_, outputs = _add_layers(draft, graph)
    with atomic_path(path) as temporary:
        temporary.write_bytes(serialise(draft.tensors, draft.operators, input_, outputs))


@contextmanager
def network_file(graph: LayerGraph, model: Path | None, dtype: DType = "int8") -> Iterator[Path]:
    """Yield ``model``, or else a temporary file of the graph with random weights."""
    if model is not None:
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="ednas-") as folder:
        path = Path(folder) / "network.tflite"
        write_tflite(graph, path, dtype=dtype)
        try:
            yield path
        except TargetError as error:  # the file is gone when the error is read
            error.args = (str(error).replace(str(path), "the network"),)
            raise


def _add_layers(draft: Draft, graph: LayerGraph) -> tuple[int, list[int]]:
    """Add all layers of a graph; return the tensors that are the network's input and outputs."""
    quantisations = _activation_quantisations(draft, graph)
    network_input = draft.add(Tensor("input", _input_shape(graph), draft.type, quantisations[GRAPH_INPUT]))
    results = {GRAPH_INPUT: network_input}
    for index, layer in enumerate(graph.layers):
        write = WRITERS.get(layer.op)
        if write is None:
            raise TargetError(f"{layer.label}: cannot be written to a TFLite file; replace it")
        if not draft.version(layer.op):
            other = "float32" if draft.is_int8 else "int8"
            raise TargetError(f"{layer.label}: cannot be written with {draft.dtype} elements; use {other}")
        if not layer.inputs or any(producer not in results for producer in layer.inputs):
            raise TargetError(f"{layer.label}: reads {list(layer.inputs)}, must read layers before it")
        step = Step(draft, layer, quantisations[index], f"{layer.name}.{index}")
        results[index] = write(step, [results[producer] for producer in layer.inputs])
    read = {producer for layer in graph.layers for producer in layer.inputs}
    outputs = [index for index in range(len(graph.layers)) if index not in read or index in graph.outputs]
    return network_input, [results[index] for index in outputs]


def _activation_quantisations(draft: Draft, graph: LayerGraph) -> dict[int, Quantisation | None]:
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
        for producer in layer.inputs if layer.op in KEEPS_QUANTISATION else ():
            # Several inputs cannot all keep prescribed ones: these are requantised before the operator.
            if producer in group and not (len(layer.inputs) > 1 and is_prescribed(root(producer))):
                group[root(index)] = root(producer)
    drawn = {index: draft.new_quantisation() for index in group if group[index] == index}
    for index in drawn if draft.is_int8 else ():
        if is_prescribed(index):
            scale, zero_point = _FIXED_QUANTISATION[graph.layers[index].op]
            drawn[index] = Quantisation((scale,), zero_point)
    return {index: drawn[root(index)] for index in group}


def _input_shape(graph: LayerGraph) -> tuple[int, ...]:
    """Return the shape of the network's input: that of the first layer that reads it (and nothing beside it)."""
    for layer in graph.layers:
        if GRAPH_INPUT in layer.inputs and layer.op not in ("CONCATENATION", *BINARY):
            return (1, *layer.input)
    for layer in graph.layers:
        if layer.inputs[:1] == (GRAPH_INPUT,) and layer.op in BINARY:
            return (1, *layer.input)
    raise TargetError("the network's input has no known size: only concatenations read it, or nothing")
