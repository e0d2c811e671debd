"""Legends: what the colours of a picture mean, drawn below it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ednas.data.colors import NO_DEPTH, NO_LABEL, SKY, Color, Picture, color_scale, palette
from ednas.data.rasters import pack_colours
from ednas.data.sample import TargetInfo

PAPER: Color = (255, 255, 255)
INK: Color = (40, 40, 40)

_Entry = tuple[str, Picture, str]
"""A patch of colour with text on either side."""

_NARROWEST = 240
"""A narrower picture gets paper beside it, so that its legend has room."""


@dataclass(frozen=True)
class Legend:
    """What the colours of a picture mean.

    Attributes:
        colors: Names and their colours.
        scale: The depth or disparity at the near and at the far end of a colour bar; None: there is no bar.
        unit: Of the scale.
    """

    colors: tuple[tuple[str, Color], ...] = ()
    scale: tuple[float, float] | None = None
    unit: str = ""

    def seen_in(self, pictures: Iterable[Picture]) -> Legend:
        """Return the legend without the named colours that no pixel of ``pictures`` has."""
        seen = {code for picture in pictures for code in np.unique(pack_colours(picture)).tolist()}
        colors = tuple((name, color) for name, color in self.colors if int(pack_colours(np.array(color))) in seen)
        return replace(self, colors=colors)


def target_legend(info: TargetInfo, value_range: tuple[float, float] | None = None) -> Legend:
    """Return what the colours of :func:`ednas.data.colors.color_target` mean.

    Args:
        info: What is painted.
        value_range: Smallest and largest value of a depth's scale; None: no scale.
    """
    if info.kind == "labels":
        names = info.class_names or tuple(f"class {index}" for index in range(info.num_classes))
        colors = (tuple(color) for color in palette(info.num_classes)[: info.num_classes].tolist())
        return Legend((*zip(names, colors, strict=True), ("no label", NO_LABEL)))
    if info.kind == "normals":
        return Legend((("no label", NO_LABEL),))
    named = (("sky", SKY), ("no depth", NO_DEPTH))
    if value_range is None:
        return Legend(named)
    near, far = value_range[::-1] if info.kind == "disparity" else value_range
    return Legend(named, (near, far), info.unit)


def draw_legend(legend: Legend, width: int, text_size: int = 11) -> Picture:
    """Draw a legend on white paper, its entries one after another in as many lines as they need.

    Args:
        legend: What to draw.
        width: Of the paper, in pixels.
        text_size: Height of the letters in pixels.

    Returns:
        ``(H, width, 3)``; H is 0 where there is nothing to tell.
    """
    font = ImageFont.load_default(text_size)
    gap, line = text_size // 2, text_size * 3 // 2
    placed: list[tuple[int, int, _Entry]] = []
    x = y = gap
    for entry in _entries(legend, text_size):
        before, patch, after = entry
        needed = round(font.getlength(before) + patch.shape[1] + font.getlength(after)) + 2 * gap
        if x > gap and x + needed > width:
            x, y = gap, y + line
        placed.append((x, y, entry))
        x += needed + gap
    paper = Image.new("RGB", (width, y + line if placed else 0), PAPER)
    draw = ImageDraw.Draw(paper)
    for x, y, (before, patch, after) in placed:
        draw.text((x, y), before, fill=INK, font=font)
        left = x + round(font.getlength(before)) + (gap if before else 0)
        paper.paste(Image.fromarray(patch), (left, y))
        draw.text((left + patch.shape[1] + gap, y), after, fill=INK, font=font)
    return np.array(paper)


def with_legend(picture: Picture, legend: Legend) -> Picture:
    """Return a picture ``(H, W, 3)`` with its legend below, in letters that suit its width."""
    height, width = picture.shape[:2]
    drawn = draw_legend(legend, max(width, _NARROWEST), text_size=max(11, width // 60))
    if not len(drawn):
        return picture
    sheet = np.full((height + len(drawn), drawn.shape[1], 3), PAPER, np.uint8)
    sheet[:height, :width], sheet[height:] = picture, drawn
    return sheet


def printable(text: str) -> str:
    """Return a text with letters of Latin-1 alone: the built-in font may know no others."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _entries(legend: Legend, text_size: int) -> Iterable[_Entry]:
    if legend.scale is not None:
        bar = color_scale(np.tile(np.linspace(1, 0, 6 * text_size), (text_size, 1)))
        near, far = legend.scale
        yield f"near {near:.3g}", bar, printable(f"far {far:.3g} {legend.unit}".rstrip())
    for name, color in legend.colors:
        yield "", np.full((text_size, 2 * text_size, 3), color, np.uint8), printable(name)
