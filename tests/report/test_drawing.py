from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from helpers.reports import HOSTILE

from ednas.arch import load_architecture
from ednas.hw.summary import summarise
from ednas.report.drawing import draw_architecture

SVG = "{http://www.w3.org/2000/svg}"
HEADS = {"segmentation": 19, "depth": 1, "normals": 3}


def texts(drawing: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def boxes(drawing: str) -> list[dict[str, str]]:
    return [element.attrib for element in ElementTree.fromstring(drawing).iter(f"{SVG}rect")]


def test_every_block_says_kernel_expansion_and_filters():
    architecture = load_architecture("nas_depth")
    found = texts(draw_architecture(architecture))
    for block in architecture.blocks:
        for text in (f"k{block.kernel_size}", f"e{block.expand_ratio}", f"c{block.filters}"):
            found.remove(text)
    assert [str(index) for index in range(1, 17)] == [text for text in found if text.isdigit()]


def test_colours_are_the_kinds_and_heights_follow_the_resolution():
    architecture = load_architecture("ednas_cityscapes")
    blocks = [
        box
        for box in boxes(draw_architecture(architecture))
        if float(box["height"]) > 60 and box["fill"] in {block.colour for block in architecture.blocks}
    ]
    assert [box["fill"] for box in blocks] == [block.colour for block in architecture.blocks]
    heights = [float(box["height"]) for box in blocks]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 5
    by_filters = sorted(
        zip((block.filters for block in architecture.blocks), blocks, strict=True), key=lambda pair: pair[0]
    )
    widths = [float(box["width"]) for _, box in by_filters]
    assert widths == sorted(widths)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v4_conv_small"])
def test_any_number_of_stages_and_kinds_fits_the_canvas(name):
    architecture = load_architecture(name)
    drawing = draw_architecture(architecture)
    width = float(ElementTree.fromstring(drawing).attrib["width"])
    assert max(float(box["x"]) + float(box["width"]) for box in boxes(drawing)) <= width
    found = texts(drawing)
    assert [text for text in found if text.startswith("stage")] == [
        f"stage {n + 1}" for n in range(len(architecture.stages()))
    ]
    for kind in {type(block) for block in architecture.blocks}:
        count = sum(isinstance(block, kind) for block in architecture.blocks)
        assert f"{kind.title} ({count})" in found


@pytest.mark.parametrize("depth", [1, 2, 4, 6, 7, 16])
def test_the_neck_has_its_layers(depth):
    found = texts(draw_architecture(replace(load_architecture("base"), bifpn_depth=depth)))
    layers = [text for text in found if text.startswith("layer ")]
    assert layers[-1] == f"layer {depth}"
    assert len(layers) == (depth if depth <= 6 else 5)
    assert [text for text in found if text[0] == "P"] == ["P3", "P4", "P5", "P6", "P7"]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_everything_stays_inside_the_card(count):
    wide = load_architecture("base")
    wide = replace(wide, blocks=[replace(block, filters=4096) for block in wide.blocks])
    drawing = draw_architecture(wide, tasks=[f"task {index} with a long name" for index in range(count)])
    width, height = map(float, ElementTree.fromstring(drawing).attrib["viewBox"].split()[2:])
    for box in boxes(drawing):
        assert 0 <= float(box["x"]) <= float(box["x"]) + float(box["width"]) <= width
        assert 0 <= float(box["y"]) <= float(box["y"]) + float(box["height"]) <= height


def test_a_summary_adds_totals_and_the_blocks_costs():
    architecture = load_architecture("base")
    summary = summarise(architecture, HEADS, (128, 256))
    drawing = draw_architecture(architecture, summary, tasks=list(HEADS))
    assert any("input 128×256" in text for text in texts(drawing))
    hints = [element.text or "" for element in ElementTree.fromstring(drawing).iter(f"{SVG}title")]
    assert sum("MACs" in hint for hint in hints) == 16


def test_hostile_names_are_escaped():
    architecture = replace(load_architecture("base"), name=HOSTILE)
    drawing = draw_architecture(architecture, tasks=(HOSTILE,))
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(drawing).iter()}
    assert tags <= {"svg", "title", "rect", "text", "circle", "polygon", "polyline", "path"}


def test_a_drawing_is_self_contained_and_described():
    drawing = draw_architecture(load_architecture("base"))
    root = ElementTree.fromstring(drawing)
    assert root.find(f"{SVG}title").text
    assert root.attrib["role"] == "img"
    assert "href" not in drawing
    assert "url(" not in drawing
    assert "<script" not in drawing


def test_own_parts_are_one_box_each():
    found = texts(draw_architecture(load_architecture("base backbone:mine(width=4)"), tasks=("depth",)))
    assert {"backbone", "mine(width=4)", "decoder", "BiFPN ×4, 64 channels, and heads", "tasks", "depth"} <= set(found)
    found = texts(draw_architecture(load_architecture("base decoder:mine"), tasks=("depth",)))
    assert {"stem and 16 blocks", "mine"} <= set(found)
