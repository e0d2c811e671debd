"""Draws the README's pictures: what ednas does, and a published architecture.

python docs/draw_overview.py
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ednas.arch import load_architecture
from ednas.arch.block import block_kind
from ednas.files import write_text
from ednas.report.drawing import draw_architecture
from ednas.report.svg import FAINT, INK, LINE, MUTED, Canvas

_WIDTH, _HEIGHT = 1140, 372
_MIDDLE = 204.0
_TOP, _BOTTOM = 92.0, 316.0
_CARD = "#ffffff"
_ACCENT, _FRONT = "#2a66a8", "#b3421b"

_PALETTES: Mapping[str, tuple[str, ...]] = {
    "image": ("#cfe3f3", "#8fae97", "#79838e", "#a85a4a", "#3e4a57"),
    "segmentation": ("#4682b4", "#6b8e23", "#804080", "#b04a5a", "#00008e"),
    "depth": ("#2b1a4f", "#5b2c83", "#c9683c", "#8e3a7a", "#f1b14a"),
    "normals": ("#8f8fd8", "#8fd08a", "#7fe07f", "#d98fb0", "#8f8ff0"),
}
"""Colours of sky, hill, road, house and car in the small scenes."""


def draw_overview() -> str:
    """Return the overview as an SVG document: data and device, search, Pareto set, network, files to ship."""
    canvas = Canvas(
        _WIDTH,
        _HEIGHT,
        "ednas: data and a device go into a search, whose best network predicts all tasks and is exported",
    )
    canvas.text(28, 40, "From data and a device to one network for all tasks", size=19, bold=True)
    _draw_inputs(canvas, 28, 176)
    _draw_search(canvas, 244, 232)
    _draw_pareto(canvas, 516, 178)
    _draw_network(canvas, 734, 216)
    _draw_outputs(canvas, 990, 122)
    for x in (204, 476, 694, 950):
        canvas.line([(x + 8, _MIDDLE), (x + 33, _MIDDLE)], stroke=_ACCENT, width=2.5, arrow=True)
    return canvas.render()


def _heading(canvas: Canvas, x: float, width: float, title: str, notes: Sequence[str]) -> None:
    canvas.text(x + width / 2, 76, title, size=15, bold=True, anchor="middle")
    for number, note in enumerate(notes):
        canvas.text(x + width / 2, _BOTTOM + 20 + 16 * number, note, size=12.5, fill=MUTED, anchor="middle")


def _draw_inputs(canvas: Canvas, x: float, width: float) -> None:
    _heading(
        canvas, x, width, "Your data, your device", ("any dataset with dense labels,", "a device as one YAML file")
    )
    canvas.rect(x, _TOP, width, 118, _CARD, stroke=FAINT, radius=8)
    for number, name in enumerate(("depth", "segmentation", "image")):
        _draw_scene(canvas, name, (x + 62 - 24 * number, _TOP + 14 + 16 * number), (96, 58))
    canvas.rect(x, _TOP + 130, width, 94, _CARD, stroke=FAINT, radius=8)
    _draw_chip(canvas, x + 20, _TOP + 149, 56)
    canvas.text(x + 96, _TOP + 172, "target", size=13, fill=MUTED)
    canvas.text(x + 96, _TOP + 193, "≤ 10 ms", size=16, bold=True)


def _draw_chip(canvas: Canvas, x: float, y: float, size: float) -> None:
    for number in range(4):
        offset = 10 + number * (size - 20) / 3
        canvas.line([(x + offset, y - 6), (x + offset, y + size + 6)], stroke=MUTED, width=3)
        canvas.line([(x - 6, y + offset), (x + size + 6, y + offset)], stroke=MUTED, width=3)
    canvas.rect(x, y, size, size, "#33414f", radius=6)
    canvas.rect(x + 14, y + 14, size - 28, size - 28, "#5b7890", radius=3)


def _draw_search(canvas: Canvas, x: float, width: float) -> None:
    _heading(canvas, x, width, "Search", ("evolution, with the cost first: what is", "too slow is never trained"))
    canvas.rect(x, _TOP, width, _BOTTOM - _TOP, _CARD, stroke=FAINT, radius=8)
    steps = (("propose", -90), ("cost", 0), ("train", 90), ("score", 180))
    centre, radius = x + width / 2, 70.0

    def place(degrees: float) -> tuple[float, float]:
        """Return where the ring is at an angle."""
        turn = math.radians(degrees)
        return centre + 1.08 * radius * math.cos(turn), _MIDDLE + radius * math.sin(turn)

    for _, angle in steps:
        arc = [place(angle + 28 + 30 * step / 8) for step in range(9)]
        canvas.line(arc, stroke=_ACCENT, width=2, arrow=True)
    for name, angle in steps:
        cx, cy = place(angle)
        canvas.rect(cx - 36, cy - 15, 72, 30, "#e4eef8", stroke=_ACCENT, radius=15)
        canvas.text(cx, cy + 5, name, size=13.5, anchor="middle", bold=True)
    bars = (("fused", 40), ("ibn", 34), ("fused", 34), ("fused", 28), ("ibn", 22), ("fused", 22))
    for number, (kind, height) in enumerate(bars):
        canvas.rect(centre - 34 + 11.5 * number, _MIDDLE - height / 2, 9, height, block_kind(kind).colour, radius=2)


def _draw_pareto(canvas: Canvas, x: float, width: float) -> None:
    _heading(canvas, x, width, "Pareto set", ("accuracy of all tasks together", "against latency"))
    canvas.rect(x, _TOP, width, _BOTTOM - _TOP, _CARD, stroke=FAINT, radius=8)
    left, bottom = x + 30, _BOTTOM - 34
    canvas.line([(left, _TOP + 18), (left, bottom), (x + width - 14, bottom)], stroke=LINE)
    canvas.text(left + 58, bottom + 20, "latency", size=12.5, fill=MUTED, anchor="middle")
    canvas.text(left - 2, _TOP + 13, "accuracy", size=12.5, fill=MUTED)
    target = left + 82.0
    canvas.line([(target, _TOP + 22), (target, bottom)], stroke=_FRONT, width=1.2, dashes="5 4")
    front = [(left + dx, bottom - dy) for dx, dy in ((14, 30), (28, 72), (50, 104), (74, 126), (112, 138))]
    stairs = [front[0]]
    for point in front[1:]:
        stairs += [(point[0], stairs[-1][1]), point]
    canvas.line(stairs, stroke=_FRONT, width=1.5)
    others = ((30, 26), (44, 52), (52, 74), (66, 60), (62, 92), (72, 34), (90, 84), (102, 108), (106, 60), (118, 92))
    for dx, dy in others:
        canvas.circle(left + dx, bottom - dy, 4, "#9dbfdd" if left + dx < target else "#d4dae0")
    for px, py in front:
        canvas.circle(px, py, 5.5, _FRONT)
    canvas.circle(*front[3], 9.5, "none", stroke=INK)


def _draw_network(canvas: Canvas, x: float, width: float) -> None:
    _heading(
        canvas, x, width, "One network, all tasks", ("trained in full, and compared with", "its single-task baselines")
    )
    canvas.rect(x, _TOP, width, _BOTTOM - _TOP, _CARD, stroke=FAINT, radius=8)
    bars = (("fused", 96), ("ibn", 84), ("fused", 72), ("fused", 60), ("ibn", 50))
    canvas.line([(x + 14, _MIDDLE), (x + 96, _MIDDLE)])
    for number, (kind, height) in enumerate(bars):
        canvas.rect(x + 14 + 15 * number, _MIDDLE - height / 2, 12, height, block_kind(kind).colour, radius=2)
    junction = x + 103
    for number, name in enumerate(("segmentation", "depth", "normals")):
        y = _TOP + 10 + 70 * number
        canvas.line(
            [(x + 88, _MIDDLE), (junction, _MIDDLE), (junction, y + 32), (x + 120, y + 32)], stroke=LINE, arrow=True
        )
        _draw_scene(canvas, name, (x + 122, y + 4), (82, 50))
        canvas.text(x + 163, y + 66, name, size=11.5, fill=MUTED, anchor="middle")


def _draw_outputs(canvas: Canvas, x: float, width: float) -> None:
    _heading(canvas, x, width, "Ship it", ("checked against", "the original"))
    files = (("LiteRT", "int8, for the edge"), ("ONNX", "for everything else"), ("Report", "one HTML file"))
    for number, (name, note) in enumerate(files):
        y = _TOP + 78 * number
        canvas.rect(x, y, width, 68, _CARD, stroke=FAINT, radius=8)
        canvas.text(x + width / 2, y + 31, name, size=16, bold=True, anchor="middle")
        canvas.text(x + width / 2, y + 50, note, size=11.5, fill=MUTED, anchor="middle")


def _draw_scene(canvas: Canvas, palette: str, corner: tuple[float, float], size: tuple[float, float]) -> None:
    """A street in five flat colours: as an image, or as one of its labels."""
    sky, hill, road, house, car = _PALETTES[palette]
    (x, y), (width, height) = corner, size

    def place(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x + px * width, y + py * height) for px, py in points]

    canvas.rect(x, y, width, height, sky, radius=0)
    canvas.polygon(place([(0, 0.62), (0.3, 0.42), (0.62, 0.58), (1, 0.44), (1, 1), (0, 1)]), hill)
    canvas.polygon(place([(0.16, 1), (0.46, 0.56), (0.56, 0.56), (0.9, 1)]), road)
    canvas.polygon(place([(0.7, 0.72), (0.7, 0.26), (0.8, 0.12), (0.96, 0.2), (0.96, 0.78)]), house)
    canvas.polygon(place([(0.4, 0.86), (0.4, 0.74), (0.44, 0.66), (0.56, 0.66), (0.6, 0.74), (0.6, 0.86)]), car)
    canvas.rect(x, y, width, height, "none", stroke="#ffffff", radius=0)


def draw_pictures() -> dict[str, str]:
    """Return the pictures of this folder, SVG documents by file name."""
    published = load_architecture("ednas_cityscapes")
    return {
        "overview.svg": draw_overview(),
        "architecture.svg": draw_architecture(published, tasks=("segmentation", "depth")),
    }


if __name__ == "__main__":
    for name, text in draw_pictures().items():
        write_text(Path(__file__).parent / name, text)
