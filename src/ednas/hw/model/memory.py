"""Where activations live: how much memory they need at once, and what leaves the chip where they do not fit.

A tensor lives from the layer that makes it to the last one that reads it. A tensor that only the very next layer reads
need never exist as a whole: compilers compute such chains stripe by stripe (depth first), so that a chain of
convolutions over a large image needs a few rows of each tensor. Every other tensor (a shortcut, a skip connection, a
branch) has to be kept until it is read.

What must be kept and does not fit is **spilled**: the tensor that is needed last leaves the chip, which costs a write
and a read of its bytes (Belady's rule). Where the tensors of a single layer do not fit, the part that exceeds the
memory passes the off-chip memory.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod

from ednas.hw.graph.layers import DTYPE_BITS, Layer
from ednas.hw.graph.lifetimes import Lifetimes

KIB = 1 << 10


def striped_bytes(layers: Sequence[Layer], times: Lifetimes, end: int) -> int:
    """Return the most bytes that have to be on the chip at once for nothing to be spilled.

    Args:
        layers: The layers that the accelerator runs, in the order of execution.
        times: Their tensors' lifetimes.
        end: Tensors that are needed until this layer leave as they are made: the number of layers for a whole network.
            One more for a piece of a network, whose outputs stay on the chip.
    """
    last_use, is_streamed, _ = times
    most = kept = 0
    for index, layer in enumerate(layers):
        stripes = 0
        for producer in layer.inputs:
            if producer >= 0 and is_streamed[producer]:
                stripes += _stripe_bytes(layers[producer], layer)
        if is_streamed[index] or last_use[index] >= end:
            stripes += _row_bytes(layer)
        else:
            kept += layer.output_bytes
        most = max(most, kept + stripes)
        for producer in set(layer.inputs):
            if producer >= 0 and last_use[producer] == index and not is_streamed[producer]:
                kept -= layers[producer].output_bytes
    return most


def spilled_bytes(
    layers: Sequence[Layer], times: Lifetimes, capacity: int, away: Collection[int] = frozenset()
) -> list[int]:
    """Return the bytes that each layer moves between the chip and off-chip memory because activations do not fit.

    The network's input and its outputs arrive and leave over the link as they are made, they take no room here.

    Args:
        layers: The layers that the accelerator runs, in the order of execution.
        times: Their tensors' lifetimes.
        capacity: Bytes of on-chip memory for activations.
        away: Tensors that are not kept on the chip, and not counted here.
    """
    last_use, is_streamed, _ = times
    count = len(layers)
    moved = [0] * count
    on_chip: dict[int, int] = {}  # tensors that are kept, with their bytes
    off_chip: dict[int, int] = {}
    kept_bytes = 0
    for index, layer in enumerate(layers):
        stripes = 0
        for producer in layer.inputs:
            if producer in off_chip:  # read back
                size = on_chip[producer] = off_chip.pop(producer)
                moved[index] += size
                kept_bytes += size
            elif producer >= 0 and (is_streamed[producer] or producer in away):
                stripes += _stripe_bytes(layers[producer], layer)
        if is_streamed[index] or last_use[index] >= count or index in away:
            stripes += _row_bytes(layer)
        else:
            size = on_chip[index] = layer.output_bytes
            kept_bytes += size
        if kept_bytes + stripes > capacity:
            waiting = sorted(set(on_chip) - {index, *layer.inputs}, key=last_use.__getitem__)
            while waiting and kept_bytes + stripes > capacity:
                tensor = waiting.pop()
                size = off_chip[tensor] = on_chip.pop(tensor)
                moved[index] += size
                kept_bytes -= size
            # What is left are the layer's own tensors: the excess is written by one layer and read by another.
            moved[index] += 2 * max(kept_bytes + stripes - capacity, 0)
        for producer in layer.inputs:
            if producer in on_chip and last_use[producer] <= index:
                kept_bytes -= on_chip.pop(producer)
    return moved


def _stripe_bytes(layer: Layer, reader: Layer) -> int:
    """Return the bytes of the rows of a layer's output that a reader needs to make one row of its own."""
    height = layer.output[0]
    rows = min((reader.kernel[0] - 1) * reader.dilation + 1, height)
    return _row_bytes(layer) * rows


def _row_bytes(layer: Layer) -> int:
    return prod(layer.output[1:]) * DTYPE_BITS[layer.dtype] // 8
