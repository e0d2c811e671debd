"""Spilling by hand and by its properties."""

from __future__ import annotations

from helpers.layer_lists import layer, networks
from hypothesis import given
from hypothesis import strategies as st

from ednas.hw.graph.layers import Layer
from ednas.hw.graph.lifetimes import lifetimes
from ednas.hw.model.memory import spilled_bytes, striped_bytes


def test_a_chain_of_convolutions_over_a_large_image_streams_in_stripes() -> None:
    chain = [layer(index - 1, size=10_000, kernel=(3, 3)) for index in range(5)]
    times = lifetimes(chain, (), {})
    row = 1000
    assert spilled_bytes(chain, times, 5 * row) == [0] * 5
    assert max(times.live_bytes) == 20_000  # as a runtime without stripes would keep them


def test_a_skip_connection_that_does_not_fit_is_written_and_read_back() -> None:
    layers = [
        layer(-1, size=1000),  # read by the last layer too
        layer(0, size=1000),
        layer(1, size=2000),
        layer(2, size=2000),
        layer(3, size=1000),
        layer(4, 0, size=1000, op="ADD"),
    ]
    times = lifetimes(layers, (), {})
    assert spilled_bytes(layers, times, 10_000) == [0] * 6
    # 1,000 bytes are kept; where two stripes of 200 join them they leave, and come back where they are read.
    assert spilled_bytes(layers, times, 1300) == [0, 0, 0, 1000, 0, 1000]


def test_the_tensor_that_is_needed_last_leaves_first() -> None:
    layers = [
        layer(-1, size=1000),
        layer(-1, size=1000),
        layer(-1, size=1000),
        layer(1, 2, size=100, op="ADD"),
        layer(3, 0, size=100, op="ADD"),
    ]
    assert spilled_bytes(layers, lifetimes(layers, (), {}), 2050) == [0, 0, 1000, 0, 1000]


def test_what_a_layers_own_tensors_exceed_passes_off_chip_memory_twice() -> None:
    layers = [layer(-1, size=3000), layer(0, size=3000), layer(1, 0, size=3000, op="ADD"), layer(2, 0, size=100)]
    moved = spilled_bytes(layers, lifetimes(layers, (), {}), 3500)
    assert moved[2] > 0
    assert moved == spilled_bytes(layers, lifetimes(layers, (), {}), 3500)


@given(networks(), st.integers(0, 20_000), st.integers(0, 20_000))
def test_a_chip_that_holds_everything_spills_nothing_and_one_without_memory_spills(
    layers: list[Layer], low: int, high: int
) -> None:
    times = lifetimes(layers, (), {})
    assert not any(spilled_bytes(layers, times, max(times.live_bytes) * 3))
    moved = spilled_bytes(layers, times, low)
    assert all(count >= 0 for count in moved)
    assert len(moved) == len(layers)
    if any(count > 0 for count in spilled_bytes(layers, times, max(low, high))):
        assert any(moved)


@given(networks())
def test_the_least_memory_that_spills_nothing(layers: list[Layer]) -> None:
    times = lifetimes(layers, (), {})
    enough = striped_bytes(layers, times, len(layers))
    assert not any(spilled_bytes(layers, times, enough))
    assert any(spilled_bytes(layers, times, enough - 1))
    assert enough <= striped_bytes(layers, times, len(layers) + 1)
