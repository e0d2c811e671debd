"""When the tensors of a network are needed, and how many bytes of them exist at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ednas.hw.graph.layers import Layer


class Lifetimes(NamedTuple):
    """When tensors are needed; a tensor bears the number of the layer that makes it.

    Attributes:
        last_use: The last layer that reads each tensor; the number of layers for an output of the network.
        is_streamed: Whether only the very next layer reads it.
        live_bytes: Bytes of all tensors that exist while a layer runs, its input and output among them.
    """

    last_use: list[int]
    is_streamed: list[bool]
    live_bytes: list[int]


def lifetimes(layers: Sequence[Layer], outputs: Sequence[int], input_bytes: Mapping[int, int]) -> Lifetimes:
    """Return when each tensor is needed.

    Args:
        layers: The layers of a network or of a piece of one, in the order of execution.
        outputs: Layers whose results stay until the end, besides those that nobody reads.
        input_bytes: Bytes of the inputs by the (negative) index under which layers name them as producers.
    """
    count = len(layers)
    last_use = [-1] * count
    readers = [0] * count
    inputs_until: dict[int, int] = {}
    for index, layer in enumerate(layers):
        for producer in layer.inputs:
            if producer >= 0:
                last_use[producer] = index
                readers[producer] += 1
            else:
                inputs_until[producer] = index
    for producer in outputs:
        if producer >= 0:
            last_use[producer] = count
    ending = [0] * (count + 1)
    live = 0
    for producer, until in inputs_until.items():
        size = input_bytes.get(producer, 0)
        live += size
        ending[until] += size
    live_bytes = []
    is_streamed = []
    for index, layer in enumerate(layers):
        if last_use[index] < 0:  # nobody reads it: an output
            last_use[index] = count
        is_streamed.append(readers[index] == 1 and last_use[index] == index + 1)
        size = layer.output_bytes
        ending[last_use[index]] += size
        live += size
        live_bytes.append(live)
        live -= ending[index]
    return Lifetimes(last_use, is_streamed, live_bytes)
