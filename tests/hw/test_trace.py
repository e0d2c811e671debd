"""A network put together from cached pieces is the network itself."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from ednas.arch import Architecture, SearchSpace, SpaceConfig, zoo
from ednas.exceptions import ArchitectureError
from ednas.hw import Layer, LayerGraph, summarise, trace_module, trace_network
from ednas.nn import MultiTaskNetwork

HEADS = {"segmentation": 19, "depth": 1}
SPACE = SearchSpace(zoo.architecture("base"), SpaceConfig(bifpn_widths=(24, 64), bifpn_depths=(1, 2, 4)))


def random_architecture(seed: int) -> Architecture:
    generator = random.Random(seed)
    return SPACE.decode([generator.randrange(len(decision.candidates)) for decision in SPACE.decisions])


def on_meta(architecture: Architecture, heads: dict[str, int]) -> MultiTaskNetwork:
    with torch.device("meta"):
        return MultiTaskNetwork(architecture, heads).eval()


def without_names(graph: LayerGraph) -> list[Layer]:
    return [replace(layer, name="", scope="") for layer in graph.layers]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([(256, 256), (64, 128), (97, 131), (32, 32), (128, 256)]) | st.tuples(*[st.integers(32, 300)] * 2),
    st.sampled_from([HEADS, {"normals": 3}, {"segmentation": 40, "depth": 1, "normals": 3}]),
)
def test_pieces_join_to_the_network(seed: int, size: tuple[int, int], heads: dict[str, int]) -> None:
    architecture = random_architecture(seed)
    network = on_meta(architecture, heads)
    joined = trace_network(architecture, heads, size)
    whole = trace_module(network, (1, 3, *size), method="predict_heads")
    assert without_names(joined) == without_names(whole)
    assert (joined.input_bytes, joined.output_bytes) == (whole.input_bytes, whole.output_bytes)
    with FlopCounterMode(display=False) as counter:
        network.predict_heads(torch.empty(1, 3, *size, device="meta"))
    assert joined.macs == counter.get_total_flops() / 2
    summary = summarise(architecture, heads, size)
    assert (summary.macs, summary.flops) == (joined.macs, 2 * joined.macs)
    assert summary.params == sum(parameter.numel() for parameter in network.parameters())


def test_scopes_follow_the_network() -> None:
    graph = trace_network(zoo.architecture("base"), HEADS, (128, 128))
    scopes = list(dict.fromkeys(layer.scope for layer in graph.layers))
    assert scopes == ["stem", *[f"block {n}" for n in range(1, 17)], "neck", "head.segmentation", "head.depth"]


def test_equal_blocks_at_different_places_keep_their_own_scope() -> None:
    architecture = zoo.architecture("base")
    graph = trace_network(architecture, HEADS, (128, 128))
    by_scope = {scope: [layer for layer in graph.layers if layer.scope == scope] for scope in ("block 14", "block 15")}
    assert len(by_scope["block 14"]) == len(by_scope["block 15"]) == 4
    assert by_scope["block 15"][0].inputs != by_scope["block 14"][0].inputs


def test_outputs_are_those_of_the_heads_at_stride_4() -> None:
    graph = trace_network(zoo.architecture("base"), HEADS, (64, 128))
    assert (graph.input_bytes, graph.output_bytes) == (3 * 64 * 128, 20 * 16 * 32)
    read = {producer for layer in graph.layers for producer in layer.inputs}
    unread = [layer for index, layer in enumerate(graph.layers) if index not in read]
    assert [(layer.scope, layer.output) for layer in unread] == [
        ("head.segmentation", (16, 32, 19)),
        ("head.depth", (16, 32, 1)),
    ]


def test_a_full_resolution_forward_ends_with_a_resize() -> None:
    graph = trace_module(on_meta(zoo.architecture("base"), {"depth": 1}), (1, 3, 64, 64))
    assert (graph.layers[-1].op, graph.layers[-1].output) == ("RESIZE_BILINEAR", (64, 64, 1))


@pytest.mark.parametrize(("heads", "size"), [({}, (64, 64)), ({"depth": 0}, (64, 64)), (HEADS, (31, 64))])
def test_wrong_heads_and_sizes_are_clear_errors(heads: dict[str, int], size: tuple[int, int]) -> None:
    with pytest.raises(ArchitectureError, match=r"heads are|input size"):
        trace_network(zoo.architecture("base"), heads, size)
