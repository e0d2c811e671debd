"""Random blocks and layer graphs, for hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ednas.arch import Block, make_block
from ednas.arch.block import block_fields, block_kind, block_kinds
from ednas.exceptions import ArchitectureError
from ednas.hw import Layer, LayerGraph


def blocks_of(stride: int, filters: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Block]:
    """Blocks of any kind with this stride."""
    return st.sampled_from(block_kinds()).flatmap(lambda kind: blocks_of_kind(kind, stride, filters))


def blocks_of_kind(kind: str, stride: int, filters: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Block]:
    values: dict[str, Any] = {f.name: st.sampled_from(f.allowed) for f in block_fields(block_kind(kind))}
    values["stride"] = st.just(stride)
    if filters is not None:
        values["filters"] = filters
    return (
        st.fixed_dictionaries(values).filter(lambda chosen: is_block(kind, chosen)).map(lambda v: make_block(kind, **v))
    )


def is_block(kind: str, values: dict[str, int]) -> bool:
    try:
        make_block(kind, **values)
    except ArchitectureError:
        return False
    return True


@st.composite
def layer_graphs(draw: Callable[..., Any]) -> LayerGraph:
    """A chain of layers of one size, whose costs are drawn."""
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
