from __future__ import annotations

from itertools import pairwise

import pytest
from helpers.profiles import examples
from helpers.strategies import layer_graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.hw import Cost, load_target, simulate, target_names
from ednas.hw.cost import LayerCost
from ednas.hw.networks import load_network
from ednas.report.cost.layout import COLOURS
from ednas.report.cost.timeline import timeline

CORAL = load_target("coral_usb")


def busy_ms(spans) -> float:
    """Time in which at least one thing is busy."""
    edges = sorted({edge for span in spans for edge in (span.start_ms, span.start_ms + span.length_ms)})
    covered = 0.0
    for left, right in pairwise(edges):
        middle = (left + right) / 2
        if any(span.start_ms <= middle < span.start_ms + span.length_ms for span in spans):
            covered += right - left
    return covered


def check(cost: Cost, target=None) -> None:
    spans = timeline(cost, target)
    end = max(span.start_ms + span.length_ms for span in spans)
    assert end == pytest.approx(cost.latency_ms)
    assert busy_ms(spans) == pytest.approx(cost.latency_ms)
    by_lane: dict[str, list] = {}
    for span in spans:
        assert span.length_ms > 0
        assert span.kind in COLOURS
        by_lane.setdefault(span.lane, []).append(span)
    for own in by_lane.values():  # nothing is busy with two things at once
        own.sort(key=lambda span: span.start_ms)
        for first, second in pairwise(own):
            assert first.start_ms + first.length_ms <= second.start_ms + 1e-9 * cost.latency_ms


@settings(max_examples=examples(40))
@given(layer_graphs(), st.sampled_from(target_names()))
def test_the_lanes_add_up_to_the_latency(graph, name):
    target = load_target(name)
    cost = simulate(graph, target)
    check(cost, target)
    check(cost)
    compute = sum(span.length_ms for span in timeline(cost, target) if span.lane == "compute")
    assert compute == pytest.approx(sum(layer.compute_ms for layer in cost.layers))
    host = sum(span.length_ms for span in timeline(cost, target) if span.lane == "host")
    assert host == pytest.approx(cost.host_ms)


@pytest.mark.parametrize("network", ["inception_v4", "vgg16"])
def test_streamed_parameters_fill_their_lane(shared_data, network):
    cost = simulate(load_network(str(shared_data / "coral" / "layer_lists.json"), network=network).graph, CORAL)
    check(cost, CORAL)
    streaming = [span for span in timeline(cost, CORAL) if span.kind == "parameters"]
    streamed_ms = cost.streamed_bytes / (CORAL.link.bandwidth_mb_per_s.value * 1e3)
    assert sum(span.length_ms for span in streaming) == pytest.approx(streamed_ms)


def test_what_is_known_of_a_measured_cost_is_drawn():
    assert [(span.lane, span.length_ms) for span in timeline(Cost("litert", 5.0))] == [("other", 5.0)]
    parts = Cost("x", 5.0, dispatch_ms=1.0, accelerator_ms=2.5, host_ms=0.5)
    assert [span.lane for span in timeline(parts)] == ["link", "compute", "host", "other"]
    check(parts)
    layer = LayerCost("a", "", "CONV_2D", "accelerator", "parameters", 4.0)
    told_little = Cost("table", 4.0, layers=(layer,))
    assert [(span.lane, span.kind) for span in timeline(told_little)] == [("off-chip", "parameters")]
