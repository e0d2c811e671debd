"""Layer graphs whose costs are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ednas.hw import Layer, LayerGraph


@st.composite
def graphs(draw: Callable[..., Any]) -> LayerGraph:
    """A chain of layers of one size."""
    layers = []
    side, channels = draw(st.sampled_from([8, 64, 112])), draw(st.sampled_from([3, 40, 200]))
    for number in range(draw(st.integers(1, 6))):
        op = draw(st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "ARG_MAX", "RESHAPE", "CUSTOM:Decoder"]))
        shape = (side, side, channels)
        kernel = (3, 3) if op.endswith("CONV_2D") else (1, 1)
        weights = {"CONV_2D": 9 * channels * channels, "DEPTHWISE_CONV_2D": 9 * channels}.get(op, 0)
        macs = side * side * weights
        layers.append(
            Layer(f"layer {number}", f"part {number % 2}", op, shape, shape, kernel, inputs=(number - 1,),
                  weight_bytes=weights + 4 * channels * (weights > 0), macs=macs)
        )  # fmt: skip
    return LayerGraph(tuple(layers), side * side * 3, side * side)
