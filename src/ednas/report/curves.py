"""Curves over the steps of a training as small pictures: a line for each run, losses on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ednas.report.axis import Axis
from ednas.report.svg import FAINT, INK, MUTED, Canvas, Point, shorten

COLOURS = ("#2a66a8", "#bd5316", "#1d7a46", "#7b4fa3", "#98720a", "#586675")
"""Of run 0, 1, ...; they begin again after the last."""

MAX_POINTS = 300
"""A line of more points is drawn through the means of groups of them."""

_WIDTH, _HEIGHT = 360, 238
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 346, 40, 196
_DOTS = 24
"""Up to so many points are dots that tell their value."""

_LOGARITHMIC_FROM = 8
"""Ratio of the largest value to the smallest from which an axis is logarithmic where it may be."""


@dataclass(frozen=True)
class Line:
    """The values of one run.

    Attributes:
        name: The run.
        points: Steps and values; values that are not finite are not drawn.
        marked: The step of a point to mark.
    """

    name: str
    points: tuple[Point, ...]
    marked: float | None = None


@dataclass(frozen=True)
class Panel:
    """One picture: a quantity over the steps.

    Attributes:
        title: The quantity with its unit.
        lines: One for each run.
        may_be_logarithmic: Whether the axis is logarithmic where the values span much.
    """

    title: str
    lines: tuple[Line, ...]
    may_be_logarithmic: bool = False


def draw_panel(panel: Panel) -> str:
    """Return a picture of a panel that has a finite value at least, as an SVG document."""
    lines = [_finite(line) for line in panel.lines]
    values = [value for line in lines for _, value in thin(line.points)]
    is_logarithmic = panel.may_be_logarithmic and min(values) > 0 and max(values) > _LOGARITHMIC_FROM * min(values)
    vertical = _axis(min(values), max(values), _BOTTOM, _TOP, is_logarithmic)
    horizontal = _axis(0, max(step for line in lines for step, _ in line.points), _LEFT, _RIGHT)
    canvas = Canvas(_WIDTH, _HEIGHT, f"{panel.title} over the steps of training")
    last = f"last {_last(lines)}"
    canvas.text(16, 24, shorten(panel.title, round((_RIGHT - 16 - 6.4 * len(last)) / 6.8)), size=13, bold=True)
    canvas.text(_RIGHT, 24, last, size=12, fill=MUTED, anchor="end")
    _draw_axes(canvas, horizontal, vertical)
    for index, line in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        points = thin(line.points)
        if len(points) > 1:
            canvas.line([(horizontal(step), vertical(value)) for step, value in points], stroke=colour, width=1.4)
        for step, value in points if len(points) <= _DOTS else [p for p in line.points if p[0] == line.marked]:
            hint = f"{line.name}: {show_value(value)} at step {step:,.0f}"
            x, y, is_marked = horizontal(step), vertical(value), step == line.marked
            canvas.circle(x, y, 5 if is_marked else 2.5, colour, stroke=INK if is_marked else None, hint=hint)
    return canvas.render()


def thin(points: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """Return at most ``most`` points: the means of groups of neighbours, of the same size but for the last group."""
    size = -(-len(points) // most) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(fmean(step for step, _ in group), fmean(value for _, value in group)) for group in groups]


def show_value(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}"


def _axis(low: float, high: float, start: float, end: float, is_logarithmic: bool = False) -> Axis:
    """Return an axis with a little room around the values; none below 0 where they begin there."""
    first, last = (math.log10(low), math.log10(high)) if is_logarithmic else (low, high)
    room = 0.05 * (last - first) or 0.05 * abs(last) or 1.0
    return Axis(first if low == 0 else first - room, last + room, start, end, is_logarithmic)


def _draw_axes(canvas: Canvas, horizontal: Axis, vertical: Axis) -> None:
    canvas.rect(_LEFT, _TOP, _RIGHT - _LEFT, _BOTTOM - _TOP, "#ffffff", stroke=FAINT, radius=2)
    for value in vertical.ticks():
        y = vertical(value)
        canvas.line([(_LEFT, y), (_RIGHT, y)], stroke=FAINT, width=1)
        canvas.text(_LEFT - 6, y + 4, f"{value:.6g}", size=11, fill=MUTED, anchor="end")
    for value in horizontal.ticks():
        x = horizontal(value)
        canvas.line([(x, _BOTTOM), (x, _BOTTOM + 4)], stroke=FAINT, width=1)
        canvas.text(x, _BOTTOM + 17, f"{value:,.10g}", size=11, fill=MUTED, anchor="middle")
    canvas.text(_RIGHT, _BOTTOM + 32, "step", size=11, fill=MUTED, anchor="end")


def _finite(line: Line) -> Line:
    return Line(line.name, tuple(point for point in line.points if math.isfinite(point[1])), line.marked)


def _last(lines: Sequence[Line]) -> str:
    """Return the last value, or the range of the runs' last ones."""
    values = sorted(line.points[-1][1] for line in lines if line.points)
    texts = dict.fromkeys(show_value(value) for value in (values[0], values[-1]))
    return " to ".join(texts)
