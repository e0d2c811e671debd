"""What a network with a backbone or decoder of one's own costs: traced as a whole, never as our pieces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from helpers.own_parts import BACKBONE, BOTH, DECODER, HEADS, example

from ednas.arch import load_architecture
from ednas.exceptions import ArchitectureError
from ednas.hw import counts, estimate, load_network, load_target, simulate, summarise, trace_module
from ednas.hw.graph.trace import network_pieces, trace_whole
from ednas.nn import MultiTaskNetwork

SIZE = (64, 96)


@pytest.fixture(autouse=True)
def _example() -> Iterator[None]:
    with example():
        yield


@pytest.mark.parametrize("text", [BACKBONE, DECODER, BOTH])
def test_costs_and_counts_are_those_of_the_module(text: str) -> None:
    architecture, target = load_architecture(text), load_target("ethos_u85_1024")
    network = MultiTaskNetwork(architecture, HEADS)
    graph = trace_module(network, (1, 3, *SIZE), method="predict_heads")
    assert estimate(architecture, HEADS, SIZE, target).latency_ms == simulate(graph, target).latency_ms
    params = sum(parameter.numel() for parameter in network.parameters())
    assert counts(architecture, HEADS, SIZE) == (params, sum(layer.macs for layer in graph.layers))
    summary = summarise(architecture, HEADS, SIZE)
    assert (summary.params, summary.macs) == counts(architecture, HEADS, SIZE)
    assert summary.params_backbone == sum(parameter.numel() for parameter in network.encoder.parameters())
    assert load_network(text, heads=HEADS, input_size=SIZE).graph.layers == graph.layers


def test_the_whole_of_our_own_network_is_its_pieces() -> None:
    base = load_architecture("base")
    _, graph = trace_whole(base, HEADS, SIZE)
    target = load_target("coral_usb")
    assert simulate(graph, target).latency_ms == pytest.approx(estimate(base, HEADS, SIZE, target).latency_ms)


def test_pieces_are_refused_instead_of_ours() -> None:
    with pytest.raises(ArchitectureError, match="with a backbone or decoder of your own, .* it has no pieces"):
        network_pieces(load_architecture(DECODER), HEADS, SIZE)


def test_an_estimate_leaves_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    estimate(load_architecture(BOTH), HEADS, SIZE, load_target("coral_usb"))
    assert torch.rand(1) == expected
