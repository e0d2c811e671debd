"""A network put together from cached pieces is the network itself."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from math import prod

import pytest
import torch
from helpers.profiles import examples
from helpers.strategies import blocks_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ednas.arch import (
    Architecture,
    Block,
    SearchSpace,
    SpaceConfig,
    zoo,
)
from ednas.exceptions import ArchitectureError
from ednas.hw import Layer, LayerGraph, summarise, trace_module, trace_network
from ednas.hw.graph.layers import GRAPH_INPUT, Piece
from ednas.hw.graph.lowering import trace
from ednas.hw.graph.trace import clear_cache, network_pieces
from ednas.nn import MultiTaskNetwork

HEADS = {"segmentation": 19, "depth": 1}
SPACE = SearchSpace(
    zoo.architecture("base"),
    SpaceConfig(bifpn_widths=(24, 64), bifpn_depths=(1, 2, 4), head_laterals=(0, 4)),
)


def random_architecture(seed: int) -> Architecture:
    generator = random.Random(seed)
    return SPACE.decode([generator.randrange(len(decision.candidates)) for decision in SPACE.decisions])


@pytest.fixture
def empty_cache() -> Iterator[None]:
    clear_cache()
    yield
    clear_cache()


def on_meta(architecture: Architecture, heads: dict[str, int]) -> MultiTaskNetwork:
    with torch.device("meta"):
        return MultiTaskNetwork(architecture, heads).eval()


def without_names(graph: LayerGraph) -> list[Layer]:
    return [replace(layer, name="", scope="") for layer in graph.layers]


@pytest.mark.slow
@settings(max_examples=examples(12))
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


@cache
def traced_block(block: Block, shape: tuple[int, ...]) -> Piece:
    with torch.device("meta"):
        module = block.build(shape[1]).eval()
    return trace(module, module, [shape], "block")


def check_blocks(architecture: Architecture, size: tuple[int, int], numbers: Sequence[int] = ()) -> None:
    """Compare a network's blocks, or some of them, with traces of their modules."""
    numbers = numbers or range(1, len(architecture.blocks) + 1)
    pieces = network_pieces(architecture, {"depth": 1}, size).all
    for number in numbers:
        direct, piece = (
            traced_block(architecture.blocks[number - 1], pieces[number - 1].output_shapes[0]),
            pieces[number],
        )
        assert piece.layers == tuple(replace(layer, scope=f"block {number}") for layer in direct.layers)
        assert (piece.outputs, piece.output_shapes) == (direct.outputs, direct.output_shapes)
        assert (piece.params, piece.macs) == (direct.params, direct.macs)


@pytest.mark.parametrize("size", [(256, 256), (144, 192), (97, 131)])
@pytest.mark.parametrize("name", zoo.names())
def test_blocks_of_named_networks_are_traced_alike(name: str, size: tuple[int, int]) -> None:
    check_blocks(zoo.architecture(name), size)


@pytest.mark.slow
@settings(max_examples=examples(60))
@given(st.data(), st.integers(1, 40), st.tuples(st.integers(32, 400), st.integers(32, 400)))
def test_any_block_is_traced_alike(data: st.DataObject, stem: int, size: tuple[int, int]) -> None:
    """Also those with a single channel, whose depthwise convolution is none, and on features of few pixels."""
    filters = st.integers(1, 4) | st.sampled_from([24, 4095, 4096])
    blocks = [data.draw(blocks_of(block.stride, filters)) for block in zoo.architecture("base").blocks]
    check_blocks(Architecture(tuple(blocks), stem, bifpn_depth=1), size)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(256, 256), (144, 192), (32, 32)])
@pytest.mark.parametrize("width", [1, 2, 64, 1024])
@pytest.mark.parametrize("filters", [(1, 1, 1), (20, 56, 480), (4096, 2, 4095)])
def test_any_neck_is_traced_alike(size: tuple[int, int], width: int, filters: Sequence[int]) -> None:
    base = zoo.architecture("base")
    blocks = list(base.blocks)
    for index, count in zip((4, 10, 15), filters, strict=True):
        blocks[index] = replace(blocks[index], filters=count)
    architecture = replace(base, blocks=tuple(blocks), bifpn_width=width, bifpn_depth=1)
    pieces = network_pieces(architecture, {"depth": 1}, size)
    features = [torch.empty(pieces.all[number].output_shapes[0], device="meta") for number in (5, 11, 16)]
    neck = on_meta(architecture, {"depth": 1}).neck
    levels = (*neck.lateral, neck.p6, neck.p7)
    assert pieces.levels.params == sum(parameter.numel() for level in levels for parameter in level.parameters())
    neck.layers = nn.ModuleList()
    assert pieces.levels.output_shapes == tuple(tuple(level.shape) for level in neck(features))
    with FlopCounterMode(display=False) as counter:
        neck(features)
    assert pieces.levels.macs == counter.get_total_flops() / 2


def test_networks_share_their_equal_pieces() -> None:
    base = zoo.architecture("base")
    other = replace(base, blocks=(*base.blocks[:15], Block.from_text("fused_k3_s1_e3_c320")))
    first, second = (network_pieces(each, HEADS, (128, 128)).all for each in (base, other))
    assert [a is b for a, b in zip(first, second, strict=True)] == [True] * 16 + [False] + [True] * (len(first) - 17)


def live_bytes(layers: Sequence[Layer], sizes: dict[int, int], until_the_end: Sequence[int]) -> list[int]:
    """Return the bytes of all tensors made at or before a layer, or given, and needed at or after it."""
    sizes = sizes | {index: prod(layer.output) for index, layer in enumerate(layers)}
    needed = {index: max((n for n, layer in enumerate(layers) if index in layer.inputs), default=-1) for index in sizes}
    needed |= dict.fromkeys(until_the_end, len(layers))
    return [
        sum(size for index, size in sizes.items() if index <= number <= needed[index]) for number in range(len(layers))
    ]


@settings(max_examples=examples(15))
@given(
    st.integers(0, 2**32),
    st.sampled_from([(256, 256), (97, 131), (64, 128)]),
    st.sampled_from([HEADS, {"normals": 3}, {"segmentation": 40, "depth": 1, "normals": 3}]),
)
def test_lifetimes_come_out_the_same_piece_by_piece(seed: int, size: tuple[int, int], heads: dict[str, int]) -> None:
    architecture = random_architecture(seed)
    graph, pieces = trace_network(architecture, heads, size), network_pieces(architecture, heads, size)
    read = {producer for layer in graph.layers for producer in layer.inputs}
    unread = [index for index in range(len(graph.layers)) if index not in read]
    whole = live_bytes(graph.layers, {GRAPH_INPUT: graph.input_bytes}, unread)

    backbone = [[(1, 3, *size)], *[list(piece.output_shapes) for piece in pieces.all[:16]]]
    features = [pieces.all[number].output_shapes[0] for number in (5, 11, 16)]
    fine = [pieces.all[3].output_shapes] if pieces.detail else []
    shared = [pieces.fusion.output_shapes[0], *([pieces.detail.output_shapes[0]] if pieces.detail else [])]
    inputs = [*backbone, features, pieces.levels.output_shapes, *fine, *[shared] * len(heads)]
    by_piece: list[int] = []
    for piece, shapes, kept, crossing in zip(pieces.all, inputs, pieces.kept, pieces.crossing_bytes, strict=True):
        own = {-1 - number: prod(shape) for number, shape in enumerate(shapes) if number not in kept}
        by_piece += [crossing + count for count in live_bytes(piece.layers, own, piece.outputs)]
    assert by_piece == whole
    assert pieces.peak_bytes == max(whole)


@pytest.mark.slow
def test_the_first_network_needs_none_of_torchs_compiler() -> None:
    """Importing it takes longer than costing a thousand networks."""
    code = (
        "import sys; from ednas.arch import zoo; from ednas.hw import trace_network\n"
        "trace_network(zoo.architecture('base'), {'depth': 1}, (97, 256))\n"
        "print(sorted({'sympy', 'torch._dynamo', 'torch._inductor'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_scopes_follow_the_network() -> None:
    graph = trace_network(zoo.architecture("base"), HEADS, (128, 128))
    scopes = list(dict.fromkeys(layer.scope for layer in graph.layers))
    blocks = [f"block {number}" for number in range(1, 17)]
    assert scopes == ["stem", *blocks, "neck", "detail", "head.segmentation", "head.depth"]


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
