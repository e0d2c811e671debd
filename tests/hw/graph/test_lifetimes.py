"""Lifetimes against a slow reference."""

from __future__ import annotations

import pytest
from helpers.layer_lists import layer, networks
from hypothesis import given
from hypothesis import strategies as st

from ednas.hw.graph.layers import Layer
from ednas.hw.graph.lifetimes import lifetimes


def live_by_definition(layers: list[Layer], outputs: tuple[int, ...], input_bytes: int) -> list[int]:
    """A tensor is alive at a layer if it is made at or before it and read at or after it."""
    read_at = {
        tensor: [index for index, item in enumerate(layers) if tensor in item.inputs]
        for tensor in range(-1, len(layers))
    }
    live = []
    for now in range(len(layers)):
        total = input_bytes if any(reader >= now for reader in read_at[-1]) else 0
        for tensor in range(now + 1):
            stays = tensor in outputs or not read_at[tensor]
            if stays or max(read_at[tensor]) >= now:
                total += layers[tensor].output_bytes
        live.append(total)
    return live


@given(networks(), st.data())
def test_live_bytes_are_those_of_the_definition(layers: list[Layer], data: st.DataObject) -> None:
    outputs = tuple(data.draw(st.sets(st.integers(0, len(layers) - 1))))
    times = lifetimes(layers, outputs, {-1: 300})
    assert times.live_bytes == live_by_definition(layers, outputs, 300)


@given(networks())
def test_only_what_the_next_layer_alone_reads_is_streamed(layers: list[Layer]) -> None:
    times = lifetimes(layers, (), {})
    for tensor, is_streamed in enumerate(times.is_streamed):
        readers = [(index, item.inputs.count(tensor)) for index, item in enumerate(layers) if tensor in item.inputs]
        assert is_streamed == (readers == [(tensor + 1, 1)])


@pytest.mark.parametrize(("dtype", "size"), [("int8", 1), ("int16", 2), ("float32", 4)])
def test_bytes_follow_the_type(dtype: str, size: int) -> None:
    layers = [layer(-1, size=1000, dtype=dtype), layer(0, size=1000, dtype=dtype)]
    assert lifetimes(layers, (), {}).live_bytes == [1000 * size, 2000 * size]
