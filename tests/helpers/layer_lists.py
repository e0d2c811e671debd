"""Layers of which only the sizes matter, and random networks of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ednas.hw.graph.layers import Layer


def layer(*inputs: int, size: int = 100, op: str = "CONV_2D", **fields: Any) -> Layer:
    """Return a layer that reads ``inputs``, with ``size`` bytes of output."""
    shape = fields.pop("output", (10, 10, size // 100))
    return Layer("a", "network", op, shape, shape, inputs=inputs or (-1,), **fields)


@st.composite
def networks(draw: st.DrawFn) -> list[Layer]:
    """Random networks of convolutions with several inputs."""
    layers: list[Layer] = []
    for index in range(draw(st.integers(1, 12))):
        inputs = draw(st.lists(st.integers(-1, index - 1), min_size=1, max_size=3))
        channels = draw(st.integers(1, 20))
        layers.append(layer(*inputs, output=(10, 10, channels), kernel=(draw(st.sampled_from([1, 3])),) * 2))
    return layers
