"""Drawing of an architecture as one self-contained SVG, for the report, the README and ``ednas arch show --svg``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ednas.arch import Architecture, Block
from ednas.arch.block import block_fields, block_kind
from ednas.report.labels import show_count
from ednas.report.svg import INK, LINE, MUTED, Canvas, shorten

if TYPE_CHECKING:
    from ednas.hw.summary import Summary

_WIDTH = 1140
"""At least."""

_MARGIN = 28
_BETWEEN_BLOCKS, _BETWEEN_STAGES = 5.0, 8.0
_IMAGE, _STEM, _AROUND_STEM = 52.0, 38.0, 18.0
_PYRAMID_ROOM = 146
"""Right of the last block, for P6 and P7."""

_BACKBONE_Y = 198
_LEVELS_Y = 352
_HEIGHTS = {1: 190, 2: 170, 4: 142, 8: 118, 16: 96, 32: 78}
"""Height of a block by the stride of its output."""

_NECK_FILL, _NECK_LINE = "#eef1f8", "#6b5fa5"
_STEM_COLOUR, _HEAD_FILL, _HEAD_LINE = "#596673", "#e6f2ec", "#2f7d57"
_MAX_LAYERS = 6
_LAYER_HEIGHT = 42


def draw_architecture(
    architecture: Architecture,
    summary: Summary | None = None,
    *,
    tasks: Sequence[str] = ("segmentation", "depth", "normals"),
) -> str:
    """Draw the network: stem, the blocks of the stages, the BiFPN with its layers, one head a task.

    A block's colour is its kind, its height follows the resolution, its width the filters; the text is its fields as in
    the text form, without the stride (``k5``, ``e6``, ``c36``). Of a network with a
    backbone or decoder of the user's own, whose inside is not known here, there is one box for each half.

    Args:
        architecture: The architecture.
        summary: Its parameters and MACs; with them the drawing says the totals, and those of a block on hovering.
        tasks: Names of the heads.

    Returns:
        An SVG document, 1140 px wide or what the blocks need, on a light card of its own.
    """
    if architecture.has_named_parts:
        return _draw_halves(architecture, summary, tasks)
    layers = min(architecture.bifpn_depth, _MAX_LAYERS)
    heads_y = _LEVELS_Y + 52 + layers * _LAYER_HEIGHT + 28
    name = architecture.name or architecture.fingerprint()
    backbone = f"backbone of {len(architecture.blocks)} blocks"
    needed = _backbone_width(architecture) + _BETWEEN_STAGES * (len(architecture.stages()) - 1)
    width = max(_WIDTH, math.ceil(needed + _PYRAMID_ROOM + 2 * _MARGIN))
    canvas = Canvas(width, heads_y + 76, f"Architecture {name}: {backbone}, BiFPN and {len(tasks)} heads")
    _draw_title(canvas, architecture, name, summary)
    edges = _draw_backbone(canvas, architecture, summary)
    levels = _draw_levels(canvas, edges, layers, architecture)
    _draw_neck(canvas, levels, architecture.bifpn_depth)
    _draw_heads(canvas, levels[0], _LEVELS_Y + 26 + layers * _LAYER_HEIGHT, heads_y, tasks)
    if architecture.head_lateral:
        _draw_lateral(canvas, edges[architecture.feature_blocks[0]], levels[0], heads_y - 16)
    _draw_legend(canvas, architecture)
    return canvas.render()


def _draw_halves(architecture: Architecture, summary: Summary | None, tasks: Sequence[str]) -> str:
    name = architecture.name or architecture.fingerprint()
    canvas = Canvas(_WIDTH, 2 * _BACKBONE_Y - 96, f"Architecture {name}: backbone and decoder of {len(tasks)} tasks")
    _draw_title(canvas, architecture, name, summary)
    backbone = architecture.backbone or f"stem and {len(architecture.blocks)} blocks"
    backbone += f", sharing {architecture.sharing}" if architecture.sharing else ""
    neck = f"BiFPN ×{architecture.bifpn_depth}, {architecture.bifpn_width} channels, and heads"
    boxes = (("backbone", backbone), ("decoder", architecture.decoder or neck), ("tasks", ", ".join(tasks)))
    gap = 40.0
    width = (_WIDTH - 2 * _MARGIN - _IMAGE) / len(boxes) - gap
    canvas.line([(_MARGIN, _BACKBONE_Y), (_WIDTH - _MARGIN, _BACKBONE_Y)], width=2)
    _draw_image(canvas, _MARGIN, _IMAGE)
    for index, (half, text) in enumerate(boxes):
        x = _MARGIN + _IMAGE + gap + index * (width + gap)
        texts = (half, shorten(text, 40))
        _draw_box(canvas, x, (width, _HEIGHTS[16]), fill=_STEM_COLOUR, texts=texts, hint=f"{half}: {text}")
    return canvas.render()


def _draw_title(canvas: Canvas, architecture: Architecture, name: str, summary: Summary | None) -> None:
    canvas.text(_MARGIN, 38, shorten(name, 60), size=18, bold=True)
    size = architecture.input_size if summary is None else summary.input
    facts = [] if summary is None else [f"{show_count(summary.params)} parameters", f"{show_count(summary.macs)} MACs"]
    if size is not None:
        facts.append(f"input {size[0]}×{size[1]}")
    if facts:
        canvas.text(canvas.width - _MARGIN, 38, " · ".join(facts), size=14, fill=MUTED, anchor="end")


def _draw_backbone(
    canvas: Canvas, architecture: Architecture, summary: Summary | None
) -> dict[int, tuple[float, float]]:
    """Draw image, stem and blocks; return each block's bottom centre by its number."""
    used, stages = _backbone_width(architecture), architecture.stages()
    room = canvas.width - 2 * _MARGIN - _PYRAMID_ROOM - used
    gap = min(32.0, max(_BETWEEN_STAGES, room / (len(stages) - 1)))
    x = float(_MARGIN)
    canvas.line([(x, _BACKBONE_Y), (x + used + gap * (len(stages) - 1) - 8, _BACKBONE_Y)], width=2)
    _draw_image(canvas, x, _IMAGE)
    x += _IMAGE + _AROUND_STEM
    stem_texts = ("Conv", "k3", f"c{architecture.stem_filters}")
    _draw_box(canvas, x, (_STEM, _HEIGHTS[2]), fill=_STEM_COLOUR, texts=stem_texts, hint="Stem")
    canvas.text(x + _STEM / 2, _BACKBONE_Y - _HEIGHTS[2] / 2 - 7, "stem", size=11, fill=MUTED, anchor="middle")
    x += _STEM + _AROUND_STEM
    hints = _hints(architecture, summary)
    edges: dict[int, tuple[float, float]] = {}
    for stage, (blocks, stride) in enumerate(zip(stages, architecture.stage_strides, strict=True), start=1):
        left, height = x, _HEIGHTS[stride]
        for block in blocks:
            width, number = _block_width(block), len(edges) + 1
            texts = (block.short, *[code for name, code in block.codes.items() if name != "stride"])
            _draw_box(canvas, x, (width, height), fill=block.colour, texts=texts, hint=hints[number - 1])
            top = _BACKBONE_Y - height / 2 - 7
            canvas.text(x + width / 2, top, str(number), size=11, fill=MUTED, anchor="middle")
            edges[number] = (x + width / 2, _BACKBONE_Y + height / 2)
            x += width + _BETWEEN_BLOCKS
        _draw_stage(canvas, left, x - _BETWEEN_BLOCKS, stage, stride)
        x += gap - _BETWEEN_BLOCKS
    return edges


def _backbone_width(architecture: Architecture) -> float:
    """Return the width of image, stem and blocks, without the gaps between stages."""
    widths = [_block_width(block) for block in architecture.blocks]
    between = _BETWEEN_BLOCKS * (len(widths) - len(architecture.stages()))
    return _IMAGE + _STEM + 2 * _AROUND_STEM + sum(widths) + between


def _block_width(block: Block) -> float:
    return 36 + 16 * min(1.0, math.sqrt(block.filters / 480))


def _hints(architecture: Architecture, summary: Summary | None) -> list[str]:
    costs = {
        part.index: f", {show_count(part.params)} parameters, {show_count(part.macs)} MACs"
        for part in (() if summary is None else summary.blocks)
    }
    return [f"Block {index}: {block}{costs.get(index, '')}" for index, block in enumerate(architecture.blocks, start=1)]


def _draw_stage(canvas: Canvas, left: float, right: float, stage: int, stride: int) -> None:
    y = 64
    middle = (left + right) / 2
    canvas.line([(left, y + 22), (left, y + 18), (right, y + 18), (right, y + 22)], stroke=LINE, width=1)
    canvas.text(middle, y, f"stage {stage}", size=12, anchor="middle", bold=True)
    canvas.text(middle, y + 13, f"1/{stride}", size=11, fill=MUTED, anchor="middle")


def _draw_image(canvas: Canvas, x: float, width: float) -> None:
    """A small landscape, as tall as the full resolution."""
    height = _HEIGHTS[1]
    top = _BACKBONE_Y - height / 2
    bottom = top + height
    canvas.rect(x, top, width, height, "#d6e6f2", stroke=LINE)
    canvas.circle(x + width * 0.7, top + height * 0.2, 8, "#f2c14e")
    canvas.polygon(
        [(x, top + height * 0.62), (x + width * 0.35, top + height * 0.4), (x + width, top + height * 0.66),
         (x + width, bottom - 4), (x, bottom - 4)], "#9cb8a4",
    )  # fmt: skip
    canvas.polygon(
        [(x + width * 0.1, bottom - 1), (x + width * 0.46, top + height * 0.58),
         (x + width * 0.56, top + height * 0.58), (x + width * 0.94, bottom - 1)], "#7d8894",
    )  # fmt: skip
    canvas.text(x + width / 2, top - 7, "image", size=11, fill=MUTED, anchor="middle")


def _draw_box(
    canvas: Canvas, x: float, size: tuple[float, float], *, fill: str, texts: tuple[str, ...], hint: str
) -> None:
    width, height = size
    canvas.rect(x, _BACKBONE_Y - height / 2, width, height, fill, hint=hint)
    y = _BACKBONE_Y - 16 * (len(texts) - 1) / 2 + 4
    for number, text in enumerate(texts):
        font = 11 if number == 0 or len(text) > 4 else 12.5
        canvas.text(x + width / 2, y + 16 * number, text, size=font, fill="#ffffff", anchor="middle", bold=number == 0)


def _draw_levels(
    canvas: Canvas, edges: dict[int, tuple[float, float]], layers: int, architecture: Architecture
) -> list[float]:
    """Draw the lines from the backbone to P3-P5, and P6 and P7; return the five columns' centres."""
    tapped = architecture.feature_blocks[1:]
    columns = [edges[block][0] for block in tapped]
    step = min(72.0, (canvas.width - _MARGIN - 48 - columns[-1]) / 2)
    columns += [columns[-1] + step, columns[-1] + 2 * step]
    panel = columns[0] - 76
    top = _LEVELS_Y - 36
    canvas.rect(panel, top, canvas.width - _MARGIN - panel + 8, 62 + layers * _LAYER_HEIGHT + 10, _NECK_FILL, radius=8)
    depth, width = architecture.bifpn_depth, architecture.bifpn_width
    plural = "layer" if depth == 1 else "layers"
    middle = (columns[0] + columns[1]) / 2
    canvas.text(middle, top + 20, f"BiFPN: {depth} {plural}, {width} channels", size=13, bold=True, anchor="middle")
    for block, column in zip(tapped, columns, strict=False):
        canvas.line([(column, edges[block][1] + 2), (column, _LEVELS_Y - 14)], stroke=_NECK_LINE, arrow=True)
    for left, right in pairwise(columns[2:]):
        canvas.line([(left + 22, _LEVELS_Y), (right - 23, _LEVELS_Y)], stroke=_NECK_LINE, arrow=True)
    for level, column in enumerate(columns, start=3):
        canvas.rect(column - 21, _LEVELS_Y - 13, 42, 26, "#ffffff", stroke=_NECK_LINE, radius=13)
        canvas.text(column, _LEVELS_Y + 4.5, f"P{level}", size=13, anchor="middle", bold=True)
        canvas.text(column + 25, _LEVELS_Y + 21, f"1/{2**level}", size=11, fill=MUTED, anchor="middle")
    return columns


def _draw_neck(canvas: Canvas, columns: list[float], depth: int) -> None:
    """Draw the layers as rows: down the pyramid (from right to left), then up again, and on to the next row.

    The last one goes down only: P3 is all that the heads read.
    """
    shown = list(range(1, depth + 1))
    if depth > _MAX_LAYERS:
        shown = [*range(1, _MAX_LAYERS - 1), 0, depth]
    above = _LEVELS_Y + 13.0
    for row, layer in enumerate(shown):
        y = _LEVELS_Y + 26 + _LAYER_HEIGHT * (row + 0.5)
        for column in columns:
            canvas.line([(column, above), (column, y - 10)], stroke=_NECK_LINE, dashes="2 4" if layer == 0 else None)
        above = y + 9
        if layer == 0:
            for column in columns:
                canvas.text(column, y + 4, "⋮", size=16, fill=_NECK_LINE, anchor="middle")
            continue
        for left, right in pairwise(columns):
            down = y - 4 if layer < depth else y
            canvas.line([(right - 10, down), (left + 10, down)], stroke=_NECK_LINE, width=1.2, arrow=True)
            if layer < depth:
                canvas.line([(left + 10, y + 5), (right - 10, y + 5)], stroke=_NECK_LINE, width=1.2, arrow=True)
        for column in columns:
            canvas.circle(column, y, 9, "#ffffff", stroke=_NECK_LINE)
        canvas.text(columns[0] - 42, y + 4.5, f"layer {layer}", size=12, fill=MUTED, anchor="middle")


def _draw_heads(canvas: Canvas, column: float, start: float, y: float, tasks: Sequence[str]) -> None:
    step = min(172.0, (canvas.width - 2 * _MARGIN + 12) / max(1, len(tasks)))
    width = step - 12
    total = step * len(tasks) - 12
    left = min(max(_MARGIN, column - total / 2), canvas.width - _MARGIN - total)
    bus = y - 16
    canvas.line([(column, start - 12), (column, bus)], stroke=_HEAD_LINE)
    for number, task in enumerate(tasks):
        x = left + number * step
        middle = x + width / 2
        canvas.line([(column, bus), (middle, bus), (middle, y - 1)], stroke=_HEAD_LINE, arrow=True)
        canvas.rect(x, y, width, 48, _HEAD_FILL, stroke=_HEAD_LINE, radius=6, hint=f"Head: {task}")
        canvas.text(middle, y + 20, shorten(task, int(width / 9)), size=13.5, anchor="middle", bold=True)
        if width > 120:
            canvas.text(middle, y + 37, "3 sep. conv, ×2, at 1/4", size=11.5, fill=MUTED, anchor="middle")


def _draw_lateral(canvas: Canvas, edge: tuple[float, float], column: float, bus: float) -> None:
    """Draw the line from the stage of stride 4 past the neck to the heads."""
    x, y = edge
    canvas.line([(x, y + 2), (x, bus), (column, bus)], stroke=_HEAD_LINE)
    canvas.text(x + 6, bus - 6, "1×1, 1/4", size=11, fill=MUTED)


def _draw_legend(canvas: Canvas, architecture: Architecture) -> None:
    x, y = _MARGIN, _LEVELS_Y - 22
    for name, count in sorted(Counter(block.kind for block in architecture.blocks).items()):
        kind = block_kind(name)
        canvas.rect(x, y - 11, 14, 14, kind.colour, radius=3)
        canvas.text(x + 22, y + 1, f"{kind.title} ({count})", size=12.5, fill=INK)
        y += 22
    y += 6
    codes = {f.code: f.title for block in architecture.blocks for f in block_fields(type(block)) if f.name != "stride"}
    letters = ", ".join(f"{code} {title}" for code, title in codes.items())
    for text in ("height: resolution", "width: filters", letters):
        canvas.text(x, y, text, size=12, fill=MUTED)
        y += 18
