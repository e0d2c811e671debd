"""Reading networks from ncnn's ``.param`` files, which describe them without their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph
from ednas.hw.ncnn.calls import call_layers
from ednas.hw.ncnn.param_file import Call, Sides, read_calls
from ednas.hw.ncnn.shapes import CONSTANT, INPUT, made_sides

_ALIASES = frozenset({"Split", "Noop", "Dropout"})
"""Layers that only give a tensor other names."""

_IMAGE_CHANNELS = 3
_FLOAT_BYTES = 4
_CONSTANT = -2
"""The producer of what the file holds; no layer reads it."""


def load_ncnn(path: str | Path, input_size: tuple[int, int] | None = None) -> LayerGraph:
    """Read a network from an ncnn ``.param`` file.

    Layers have TFLite's names of their operators, or of those that cost as much; attention is a layer for each of its
    products. What ncnn's int8 layers compute is int8, everything else float32, in whatever precision a device runs it.
    Shapes are those that the file says, else follow from the parameters.

    Args:
        path: The file, at most 16 MiB.
        input_size: Height and width of an input whose size the file leaves open; it has the file's channels, or 3.

    Raises:
        TargetError: The file is no such file, has a kind of layer that is not known, an input without a size, or
            contradicts itself; the message names the line. Or a size is given that the file has itself.
    """
    tensors: dict[str, tuple[int, Sides]] = {}
    layers: list[Layer] = []
    inputs: list[Sides] = []
    unread: dict[str, Sides] = {}
    is_open = False
    for call in read_calls(path):
        found = [_tensor(name, tensors, call) for name in call.inputs]
        for name in call.inputs:
            unread.pop(name, None)
        if call.kind in _ALIASES and found:
            made = [found[0]] * len(call.outputs)
        elif call.kind == INPUT:
            is_open = is_open or not _has_size(call)
            sides = made_sides(call, []) if _has_size(call) else _open_inputs(call, input_size)
            inputs += sides
            made = [(GRAPH_INPUT, own) for own in sides]
        elif call.kind == CONSTANT:
            made = [(_CONSTANT, own) for own in made_sides(call, [])]
        else:
            shapes = made_sides(call, [sides for _, sides in found])
            _append(call, found, shapes, layers)
            made = [(len(layers) - 1, own) for own in shapes]
        for name, tensor in zip(call.outputs, made, strict=True):
            if name in tensors:
                raise call.error(f"makes '{name:.60}', which another layer makes")
            tensors[name] = tensor
            unread[name] = tensor[1]
    if input_size and not is_open:
        raise TargetError(f"{path}: the file fixes its own input size; leave the input size out")
    return LayerGraph(tuple(layers), _float_bytes(inputs), _float_bytes(list(unread.values())))


def _append(call: Call, found: Sequence[tuple[int, Sides]], shapes: Sequence[Sides], layers: list[Layer]) -> None:
    """Add a call's layers."""
    producers = tuple(producer for producer, _ in found if producer != _CONSTANT)
    for layer in call_layers(call, [sides for _, sides in found], shapes[0]):
        layers.append(replace(layer, inputs=producers))
        producers = (len(layers) - 1,)


def _tensor(name: str, tensors: dict[str, tuple[int, Sides]], call: Call) -> tuple[int, Sides]:
    if name not in tensors:
        raise call.error(f"reads '{name:.60}', which no layer before it makes")
    return tensors[name]


def _has_size(call: Call) -> bool:
    return bool(call.hints) or bool(call.integer(0))


def _open_inputs(call: Call, size: tuple[int, int] | None) -> list[Sides]:
    if size is None:
        raise call.error("the file leaves the input's size open; say it (--input HEIGHTxWIDTH)")
    return [(call.integer(2) or _IMAGE_CHANNELS, *size)] * len(call.outputs)


def _float_bytes(shapes: Sequence[Sides]) -> int:
    return _FLOAT_BYTES * sum(map(prod, shapes))
