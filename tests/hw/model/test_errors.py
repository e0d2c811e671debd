"""An interval holds what it promises, and an estimate has that of its kind."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ednas.arch import load_architecture
from ednas.hw import LayerGraph, Target, load_target, simulate, trace_network
from ednas.hw.model.errors import ErrorConfig, interval_of
from ednas.hw.model.simulator import estimate

HEADS = {"segmentation": 19, "depth": 1}
BASE = load_architecture("base")
GRAPH = trace_network(BASE, HEADS, (64, 128))


def target(*kinds: str) -> Target:
    found = [
        ErrorConfig(kind=kind, low=0.5 + number / 10, high=2.0 + number, networks=9, source="test")
        for number, kind in enumerate(kinds)
    ]
    return load_target("coral_usb").model_copy(update={"errors": tuple(found), "name": "_".join(("t", *kinds))})


def outside(graph: LayerGraph) -> LayerGraph:
    """Return a graph as a file would hold it."""
    return replace(graph, layers=tuple(replace(layer, scope="network") for layer in graph.layers))


@pytest.mark.parametrize("count", [4, 8, 30])
def test_an_interval_holds_four_of_five_new_ratios(count: int) -> None:
    generator = random.Random(0)

    def ratios(number: int) -> list[float]:
        return [generator.lognormvariate(0.1, 0.3) for _ in range(number)]

    held = 0
    for _ in range(400):
        low, high = interval_of(ratios(count))
        held += low <= ratios(1)[0] <= high
    assert 0.75 < held / 400 < 0.86


def test_an_estimate_has_the_interval_of_its_kind() -> None:
    cost = simulate(GRAPH, target("space", "any"))
    assert "8 of 10 such networks: by 9 others; test" in cost.notes
    assert (cost.latency_p10_ms, cost.latency_p90_ms) == (0.5 * cost.latency_ms, 2.0 * cost.latency_ms)
    file = simulate(outside(GRAPH), target("space", "any"))
    assert (file.latency_p10_ms, file.latency_p90_ms) == (0.6 * cost.latency_ms, 3.0 * cost.latency_ms)
    assert estimate(BASE, HEADS, (64, 128), target("space", "any")).latency_p90_ms == pytest.approx(cost.latency_p90_ms)


def test_a_kind_that_was_not_compared_has_none() -> None:
    cost = simulate(outside(GRAPH), target("space"))
    assert (cost.latency_p10_ms, cost.latency_p90_ms) == (None, None)
    assert simulate(GRAPH, target()).latency_p90_ms is None
    assert "latency_p90_ms" not in simulate(GRAPH, target()).quantities()


def test_host_work_and_streamed_parameters_are_kinds() -> None:
    layers = (*GRAPH.layers, replace(GRAPH.layers[-1], op="ARG_MAX", inputs=(len(GRAPH.layers) - 1,), weight_bytes=0))
    on_host = simulate(outside(replace(GRAPH, layers=layers)), target("host", "streamed", "any"))
    assert on_host.host_ms > 0
    assert on_host.latency_p90_ms == 2.0 * on_host.latency_ms
    large = [replace(layer, weight_bytes=20 * layer.weight_bytes) for layer in GRAPH.layers]
    streamed = simulate(outside(replace(GRAPH, layers=tuple(large))), target("host", "streamed", "any"))
    assert streamed.streamed_bytes > 0
    assert streamed.latency_p90_ms == 3.0 * streamed.latency_ms


def test_the_interval_holds_the_estimate() -> None:
    for error in (error for name in ("raspberry_pi_4_ncnn_fp32",) for error in load_target(name).errors):
        assert error.low < 1 < error.high
    for wrong in ({"networks": 3}, {"low": 1.2}, {"low": 5e-324}, {"high": 200.0}):
        with pytest.raises(ValueError, match="ErrorConfig"):
            ErrorConfig.model_validate({"low": 0.9, "high": 1.1, "networks": 9, "source": "test", **wrong})
    error = ErrorConfig(low=0.9, high=1.1, networks=9, source="test")
    with pytest.raises(ValueError, match="each kind of networks stands once"):
        Target.model_validate(load_target("coral_usb").model_dump() | {"errors": [error, error]})
