"""What every kind of block keeps to, the example of a user's own among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.profiles import examples
from helpers.strategies import blocks_of_kind
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas import load_plugin
from ednas.arch import Block, SearchSpace, SpaceConfig, load_architecture, make_block
from ednas.arch.block import block_fields, block_kinds
from ednas.exceptions import ArchitectureError
from ednas.hw import summarise
from ednas.hw.graph.trace import trace_module, trace_network
from ednas.nn import MultiTaskNetwork
from ednas.report.blocks import block_rows

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_block.py"
load_plugin(EXAMPLE)

SMALL = st.integers(1, 24)
every_kind = pytest.mark.parametrize("kind", block_kinds())


def with_block(block: Block):
    """The base with another block 3."""
    base = load_architecture("base")
    return replace(base, blocks=(*base.blocks[:2], block, *base.blocks[3:]))


@every_kind
@settings(max_examples=examples(15))
@given(data=st.data(), channels=SMALL, stride=st.integers(1, 2), size=st.tuples(st.integers(5, 12), st.integers(5, 12)))
def test_modules_have_the_shape_that_the_block_says(kind, data, channels, stride, size):
    block = data.draw(blocks_of_kind(kind, stride, SMALL))
    module = block.build(channels)
    image = torch.randn(2, channels, *size, requires_grad=True)
    output = module(image)
    assert output.shape == (2, block.filters, *[-(-side // stride) for side in size])
    output.sum().backward()
    assert image.grad is not None
    assert all(parameter.grad is not None for parameter in module.parameters())


@every_kind
@settings(max_examples=examples(15))
@given(data=st.data(), stride=st.integers(1, 2))
def test_texts_are_parsed_back_and_codes_are_unlike(kind, data, stride):
    block = data.draw(blocks_of_kind(kind, stride))
    assert Block.from_text(block.text) == block == make_block(kind, **block.values)
    codes = [f.code for f in block_fields(type(block))]
    assert len(set(codes)) == len(codes)


@every_kind
def test_a_larger_block_holds_a_smaller_ones_tensors(kind):
    larger, smaller = (make_block(kind, filters=filters).build(channels) for filters, channels in ((24, 16), (12, 8)))
    theirs = larger.state_dict()
    for name, tensor in smaller.state_dict().items():
        assert all(a <= b for a, b in zip(tensor.shape, theirs[name].shape, strict=True))


@every_kind
def test_tables_drawings_and_costs_know_it(kind):
    block = make_block(kind, filters=24)
    architecture = with_block(block)
    summary = summarise(architecture, {"depth": 1}, (64, 96))
    row = block_rows(architecture, summary)[3]
    assert row.layer.startswith(block.label)
    assert (row.filters, row.params) == (24, sum(p.numel() for p in block.build(24).parameters()))
    network = MultiTaskNetwork(architecture, {"depth": 1})
    whole = trace_module(network, (1, 3, 64, 96), method="predict_heads")
    joined = trace_network(architecture, {"depth": 1}, (64, 96))
    assert summary.macs == whole.macs == joined.macs
    assert len(block.short) <= 5


@every_kind
def test_a_space_of_it_can_be_searched(kind):
    space = SearchSpace(load_architecture("base"), SpaceConfig(kinds=("ibn", kind) if kind != "ibn" else ("ibn",)))
    architecture = space.decode([len(decision.candidates) - 1 for decision in space.decisions])
    assert {block.kind for block in architecture.blocks} == {kind}
    assert space.decode(space.encode(architecture)) == architecture


def test_values_of_an_own_field_are_chosen_from_the_configuration():
    config = SpaceConfig(
        kinds=("ibn", "uib"), kernel_sizes=(3,), multipliers=(1.0,), block_fields={"start_kernel_size": (0, 3, 5)}
    )
    space = SearchSpace(load_architecture("base"), config)
    assert [d.candidates for d in space.decisions if d.name == "blocks[4].start_kernel_size"] == [(0, 3, 5)]
    # Block 1 keeps its expansion: 1 ibn + 3 uib; the others: 2 ibn + 2 * 3 uib.
    assert space.size == 4 * 8**15
    for gene in (1, 2):  # an inverted bottleneck has no such field: all of its genes mean the same network
        genes = [gene if d.name == "blocks[0].start_kernel_size" else 0 for d in space.decisions]
        assert space.decode(genes) == space.decode([0] * len(genes))
        assert space.encode(space.decode(genes)) == (0,) * len(genes)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"block_fields": {"start_kernel_size": (0, 3)}}, "block 1: no field start_kernel_size in blocks of kind ibn"),
        ({"kinds": ("uib",), "block_fields": {"start_kernel_size": (4,)}}, "start_kernel_size is 4, must be one of 0"),
        ({"kinds": ("uib",), "kernel_sizes": (0, 3)}, "block 2: kernel_size and start_kernel_size are 0"),
        ({"kinds": ("uib",), "block_fields": {"start_kernel_size": ()}}, "start_kernel_size has no candidate"),
    ],
)
def test_wrong_values_of_own_fields_are_named(config, said):
    with pytest.raises(ArchitectureError, match=said):
        SearchSpace(load_architecture("base"), SpaceConfig(**config))
