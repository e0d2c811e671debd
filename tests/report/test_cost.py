from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_fakes import HOSTILE

from ednas.arch import load_architecture
from ednas.hw import Cost, Layer, LayerGraph, load_target, simulate, target_names
from ednas.hw.cost import LayerCost
from ednas.hw.graph.trace import trace_network
from ednas.hw.networks import load_network
from ednas.report.cost import COLOURS, cost_page, dots, draw_cost, op_kind, timeline

SVG = "{http://www.w3.org/2000/svg}"
CORAL = load_target("coral_usb")


@pytest.fixture(scope="module")
def base() -> LayerGraph:
    return trace_network(load_architecture("base"), {"segmentation": 19, "depth": 1}, (64, 128))


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


@st.composite
def graphs(draw) -> LayerGraph:
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


@settings(max_examples=40)
@given(graphs(), st.sampled_from(target_names()))
def test_the_lanes_add_up_to_the_latency(graph, name):
    target = load_target(name)
    cost = simulate(graph, target)
    check(cost, target)
    check(cost)
    compute = sum(span.length_ms for span in timeline(cost, target) if span.lane == "compute")
    assert compute == pytest.approx(sum(layer.compute_ms for layer in cost.layers))
    host = sum(span.length_ms for span in timeline(cost, target) if span.lane == "host")
    assert host == pytest.approx(cost.host_ms)


@settings(max_examples=40)
@given(graphs(), st.sampled_from(target_names()))
def test_every_dot_lies_below_its_roofs(graph, name):
    target = load_target(name)
    peak = target.engine.macs_per_cycle * target.engine.clock_mhz.value * 1e6
    on_chip, off_chip = target.memory.on_chip_gb_per_s, target.memory.off_chip_gb_per_s
    off_chip_rate = off_chip.value * 1e9 if off_chip else target.link.bandwidth_mb_per_s.value * 1e6
    for dot in dots(simulate(graph, target), target):
        assert dot.rate <= peak * (1 + 1e-9)
        bandwidth = off_chip_rate if dot.is_off_chip else on_chip.value * 1e9 if on_chip else float("inf")
        assert dot.rate <= dot.intensity * bandwidth * (1 + 1e-9)
        if dot.layer.bound_by in ("parameters", "activations"):
            assert dot.is_off_chip
            assert dot.rate == pytest.approx(dot.intensity * bandwidth)


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
    for cost in (Cost("litert", 5.0), Cost("litert", 0.0), parts, told_little):
        assert "roofline" not in draw_cost(cost)
        ElementTree.fromstring(draw_cost(cost))


@pytest.mark.parametrize("name", target_names())
def test_the_picture_stays_inside_its_card(base, name):
    target = load_target(name)
    picture = draw_cost(simulate(base, target), target, title="base")
    root = ElementTree.fromstring(picture)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for box in root.iter(f"{SVG}rect"):
        assert 0 <= float(box.attrib["x"]) <= float(box.attrib["x"]) + float(box.attrib["width"]) <= width
        assert 0 <= float(box.attrib["y"]) <= float(box.attrib["y"]) + float(box.attrib["height"]) <= height
    points = [point for line in root.iter(f"{SVG}polyline") for point in line.attrib["points"].split()]
    points += [f"{dot.attrib['cx']},{dot.attrib['cy']}" for dot in root.iter(f"{SVG}circle")]
    for point in points:
        x, y = map(float, point.split(","))
        assert 0 <= x <= width
        assert 0 <= y <= height
    assert "nan" not in picture
    for forbidden in ("href", "url(", "<script", "style="):
        assert forbidden not in picture


def test_the_picture_tells_the_figures(base):
    cost = simulate(base, CORAL)
    texts = [element.text or "" for element in ElementTree.fromstring(draw_cost(cost, CORAL)).iter(f"{SVG}text")]
    assert CORAL.title in texts
    assert any(text.startswith(f"{cost.latency_ms:.2f} ms = call 0.680") for text in texts)
    assert "all multipliers busy: 2.05 TMAC/s" in texts
    hints = [element.text or "" for element in ElementTree.fromstring(draw_cost(cost, CORAL)).iter(f"{SVG}title")]
    slowest = max(cost.layers, key=lambda layer: layer.latency_ms)
    assert any(hint.startswith(f"{slowest.scope}: {slowest.name}\n{slowest.op}") for hint in hints)


def test_without_the_target_there_is_no_roof(base):
    assert "all multipliers busy" not in draw_cost(simulate(base, CORAL))


def test_a_picture_of_a_large_network_is_small(shared_data):
    graph = load_network(str(shared_data / "coral" / "layer_lists.json"), network="inception_v4").graph
    assert len(draw_cost(simulate(graph, CORAL), CORAL)) < 200_000


def test_hostile_names_are_escaped(base):
    cost = simulate(base, CORAL)
    layers = tuple(
        layer._replace(name=HOSTILE, scope=f"{HOSTILE} {number % 2}", reason=HOSTILE)
        for number, layer in enumerate(cost.layers)
    )
    picture = draw_cost(replace(cost, layers=layers, target=HOSTILE), title=HOSTILE)
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(picture).iter()}
    assert tags <= {"svg", "title", "rect", "text", "circle", "polygon", "polyline"}
    page = cost_page([picture, picture], HOSTILE)
    assert page.count("<svg") == 2
    assert "<script" not in page


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("CONV_2D", "convolution"), ("FULLY_CONNECTED", "convolution"), ("DEPTHWISE_CONV_2D", "depthwise"),
        ("ADD", "elementwise"), ("RESIZE_BILINEAR", "pooling, resize"), ("MEAN", "pooling, resize"),
        ("PAD", "other operator"), ("CUSTOM:x", "other operator"),
    ],
)  # fmt: skip
def test_kinds_of_operators(op, kind):
    assert op_kind(op) == kind


def test_a_processor_is_told_in_full(base):
    target = load_target("cpu_generic")
    root = ElementTree.fromstring(draw_cost(simulate(base, target), target, title="base, 256x256, depth:1"))
    texts = {element.text or "": element for element in root.iter(f"{SVG}text")}
    assert target.title in texts
    assert any("processor" in text and "accelerator" not in text for text in texts if " ms = " in text)
    label = next(element for text, element in texts.items() if text.startswith("on-chip memory: "))
    assert label.attrib.get("text-anchor", "start") == "start"  # there is no room before its line


def test_one_layer_is_not_plural():
    layers = [Layer(name, name, "CONV_2D", (8, 8, 8), (8, 8, 8), macs=4096, weight_bytes=96) for name in "ab"]
    layers.append(Layer("c", "b", "ADD", (8, 8, 8), (8, 8, 8)))
    picture = draw_cost(simulate(LayerGraph(tuple(layers), 512, 512), CORAL), CORAL)
    assert "1 layers" not in picture
    assert "not in the plot: 1 layer " in picture
