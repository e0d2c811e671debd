"""Networks made by hand have the published sizes, and one of them the latency of what it is taken for."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ednas.hw import load_target, simulate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def by_hand(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("networks_by_hand")


def test_inception_v3_has_its_published_size(by_hand):
    graph = by_hand.inception_v3()
    assert graph.macs == pytest.approx(5.71e9, rel=0.01)  # torchvision: 5.71 GFLOPS, 27.16 M parameters with the
    parameters = sum(layer.weight_bytes for layer in graph.layers)  # auxiliary classifier, 23.83 M without
    assert parameters == pytest.approx(23.83e6, rel=0.01)
    assert [layer.output for layer in graph.layers[-3:]] == [(8, 8, 2048), (1, 1, 2048), (1, 1, 1000)]


def test_a_u_net_of_mobilenet_v2_is_as_fast_as_the_published_u_net_that_it_is_taken_for(by_hand):
    graph = by_hand.unet_mobilenet_v2()
    parameters = sum(layer.weight_bytes for layer in graph.layers)
    assert parameters == pytest.approx(6.5e6, rel=0.03)  # the tutorial's summary
    cost = simulate(graph, load_target("coral_usb"))
    assert cost.latency_ms == pytest.approx(29.0, rel=0.1)
    assert cost.spilled_bytes == 7 * 128 * 128 * 96  # the widest of the features that the decoder reads
