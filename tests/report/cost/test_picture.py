from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from helpers.reports import HOSTILE

from ednas.arch import load_architecture
from ednas.hw import Cost, Layer, LayerGraph, load_target, simulate, target_names
from ednas.hw.cost import LayerCost
from ednas.hw.graph.trace import trace_network
from ednas.hw.networks import load_network
from ednas.report.cost import cost_page, draw_cost

SVG = "{http://www.w3.org/2000/svg}"
CORAL = load_target("coral_usb")


@pytest.fixture(scope="module")
def base() -> LayerGraph:
    return trace_network(load_architecture("base"), {"segmentation": 19, "depth": 1}, (64, 128))


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


def test_a_cost_without_layers_is_drawn():
    layer = LayerCost("a", "", "CONV_2D", "accelerator", "parameters", 4.0)
    parts = Cost("x", 5.0, dispatch_ms=1.0, accelerator_ms=2.5, host_ms=0.5)
    for cost in (Cost("litert", 5.0), Cost("litert", 0.0), parts, Cost("table", 4.0, layers=(layer,))):
        assert "roofline" not in draw_cost(cost)
        ElementTree.fromstring(draw_cost(cost))


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
