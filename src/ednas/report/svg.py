"""A few SVG elements, so that drawings are written as shapes and not as strings; every text and value is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

INK = "#1d2733"
MUTED = "#586675"
LINE = "#8fa0b0"
FAINT = "#dde4ea"
PAPER = "#fbfcfd"

Anchor = Literal["middle", "end"]
Point = tuple[float, float]


@dataclass
class Canvas:
    """Collects shapes on a light card, which stays legible on light and dark pages alike.

    Args:
        width: Width, pixels.
        height: Height, pixels.
        title: What the picture shows, for screen readers.
    """

    width: float
    height: float
    title: str
    _parts: list[str] = field(default_factory=list)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        *,
        stroke: str | None = None,
        radius: float = 4,
        hint: str = "",
    ) -> None:
        """Draw a rounded rectangle; ``hint`` is shown when the pointer rests on it."""
        self._add("rect", hint, x=x, y=y, width=width, height=height, rx=radius, fill=fill, stroke=stroke)

    def circle(
        self,
        x: float,
        y: float,
        radius: float,
        fill: str,
        *,
        stroke: str | None = None,
        width: float = 1.5,
        opacity: float | None = None,
        hint: str = "",
    ) -> None:
        """Draw a circle; ``opacity`` is its fill's, ``hint`` is shown when the pointer rests on it."""
        self._add(
            "circle", hint, cx=x, cy=y, r=radius, fill=fill, stroke=stroke, stroke_width=width, fill_opacity=opacity
        )

    def polygon(
        self,
        points: Sequence[Point],
        fill: str,
        *,
        stroke: str | None = None,
        width: float = 1,
        opacity: float | None = None,
        hint: str = "",
    ) -> None:
        """Draw a filled polygon; ``opacity`` is its fill's, ``hint`` is shown when the pointer rests on it."""
        self._add(
            "polygon", hint, points=_corners(points), fill=fill, stroke=stroke, stroke_width=width, fill_opacity=opacity
        )

    def line(
        self,
        points: Sequence[Point],
        *,
        stroke: str = LINE,
        width: float = 1.5,
        dashes: str | None = None,
        arrow: bool = False,
    ) -> None:
        """Draw a line through ``points``, with an arrow head at its end if ``arrow``."""
        self._add(
            "polyline",
            points=_corners(points),
            fill="none",
            stroke=stroke,
            stroke_width=width,
            stroke_linejoin="round",
            stroke_linecap="round",
            stroke_dasharray=dashes,
        )
        if arrow:
            self._arrow_head(points[-2], points[-1], stroke)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        fill: str = INK,
        anchor: Anchor | None = None,
        bold: bool = False,
        angle: float = 0,
    ) -> None:
        """Write one line of text; ``(x, y)`` is on its base line, around which it is turned by ``angle`` degrees."""
        weight = 600 if bold else None
        turn = f"rotate({_number(angle)} {_number(x)} {_number(y)})" if angle else None
        values = _attributes(
            x=x, y=y, font_size=size, fill=fill, text_anchor=anchor, font_weight=weight, transform=turn
        )
        self._parts.append(f"<text {values}>{escape(text)}</text>")

    def render(self) -> str:
        """Return the finished SVG document."""
        head = _attributes(
            xmlns="http://www.w3.org/2000/svg",
            role="img",
            viewBox=f"0 0 {_number(self.width)} {_number(self.height)}",
            width=_number(self.width),
            font_family=FONT,
        )
        card = _attributes(x=0.5, y=0.5, width=self.width - 1, height=self.height - 1, rx=10, fill=PAPER, stroke=FAINT)
        title = f"<title>{escape(self.title)}</title>"
        return "\n".join([f"<svg {head}>", title, f"<rect {card}/>", *self._parts, "</svg>\n"])

    def _add(self, tag: str, hint: str = "", **values: str | float | None) -> None:
        end = f"><title>{escape(hint)}</title></{tag}>" if hint else "/>"
        self._parts.append(f"<{tag} {_attributes(**values)}{end}")

    def _arrow_head(self, start: Point, end: Point, fill: str) -> None:
        length = math.dist(start, end) or 1.0
        dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        base = (end[0] - 7 * dx, end[1] - 7 * dy)
        self.polygon([end, (base[0] - 4 * dy, base[1] + 4 * dx), (base[0] + 4 * dy, base[1] - 4 * dx)], fill)


def shorten(text: str, length: int) -> str:
    """Cut ``text`` to ``length`` characters, the last one an ellipsis if it was longer."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _attributes(**values: str | float | None) -> str:
    """Return attributes as text, with a dash for ``_``; what is None is left out."""
    return " ".join(
        f"{key.replace('_', '-')}={quoteattr(value if isinstance(value, str) else _number(value))}"
        for key, value in values.items()
        if value is not None
    )


def _corners(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{round(value, 2):g}"
