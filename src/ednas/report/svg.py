"""A few SVG elements, so that drawings are written as shapes and not as strings; every text and value is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

INK = "#1d2733"
MUTED = "#586675"
LINE = "#8fa0b0"
FAINT = "#dde4ea"
PAPER = "#fbfcfd"

Anchor = Literal["start", "middle", "end"]


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
        stroke: str = "none",
        radius: float = 4,
        hint: str = "",
    ) -> None:
        """Draw a rounded rectangle; ``hint`` is shown when the pointer rests on it."""
        self._add(
            "rect",
            {"x": x, "y": y, "width": width, "height": height, "rx": radius, "fill": fill, "stroke": stroke},
            hint,
        )

    def circle(
        self,
        x: float,
        y: float,
        radius: float,
        fill: str,
        *,
        stroke: str = "none",
        width: float = 1.5,
        opacity: float = 1.0,
        hint: str = "",
    ) -> None:
        """Draw a circle; ``opacity`` is its fill's, ``hint`` is shown when the pointer rests on it."""
        values: dict[str, str | float] = {
            "cx": x,
            "cy": y,
            "r": radius,
            "fill": fill,
            "stroke": stroke,
            "stroke-width": width,
        }
        self._add("circle", values | _opacity(opacity), hint)

    def polygon(
        self,
        points: list[tuple[float, float]],
        fill: str,
        *,
        stroke: str = "none",
        width: float = 1,
        opacity: float = 1.0,
        hint: str = "",
    ) -> None:
        """Draw a filled polygon; ``opacity`` is its fill's, ``hint`` is shown when the pointer rests on it."""
        corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        values: dict[str, str | float] = {"points": corners, "fill": fill, "stroke": stroke, "stroke-width": width}
        self._add("polygon", values | _opacity(opacity), hint)

    def line(
        self,
        points: list[tuple[float, float]],
        *,
        stroke: str = LINE,
        width: float = 1.5,
        dashes: str = "",
        arrow: bool = False,
    ) -> None:
        """Draw a line through ``points``, with an arrow head at its end if ``arrow``."""
        corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        values: dict[str, str | float] = {
            "points": corners,
            "fill": "none",
            "stroke": stroke,
            "stroke-width": width,
            "stroke-linejoin": "round",
            "stroke-linecap": "round",
        }
        if dashes:
            values["stroke-dasharray"] = dashes
        self._add("polyline", values)
        if arrow:
            self._arrow_head(points[-2], points[-1], stroke)

    def path(self, data: str, *, fill: str = "none", stroke: str = "none", width: float = 1.5) -> None:
        """Draw a path given in SVG's path language."""
        self._add("path", {"d": data, "fill": fill, "stroke": stroke, "stroke-width": width})

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        fill: str = INK,
        anchor: Anchor = "start",
        bold: bool = False,
        angle: float = 0,
    ) -> None:
        """Write one line of text; ``(x, y)`` is on its base line, around which it is turned by ``angle`` degrees."""
        values: dict[str, str | float] = {"x": x, "y": y, "font-size": size, "fill": fill}
        if anchor != "start":
            values["text-anchor"] = anchor
        if bold:
            values["font-weight"] = 600
        if angle:
            values["transform"] = f"rotate({_number(angle)} {_number(x)} {_number(y)})"
        self._parts.append(f"<text {_attributes(values)}>{escape(text)}</text>")

    def render(self) -> str:
        """Return the finished SVG document."""
        head = {
            "xmlns": "http://www.w3.org/2000/svg",
            "role": "img",
            "viewBox": f"0 0 {_number(self.width)} {_number(self.height)}",
            "width": _number(self.width),
            "font-family": FONT,
        }
        card: dict[str, str | float] = {
            "x": 0.5,
            "y": 0.5,
            "width": self.width - 1,
            "height": self.height - 1,
            "rx": 10,
        }
        return "\n".join(
            [
                f"<svg {_attributes(head)}>",
                f"<title>{escape(self.title)}</title>",
                f"<rect {_attributes(card | {'fill': PAPER, 'stroke': FAINT})}/>",
                *self._parts,
                "</svg>\n",
            ]
        )

    def _add(self, tag: str, values: dict[str, str | float], hint: str = "") -> None:
        end = f"><title>{escape(hint)}</title></{tag}>" if hint else "/>"
        self._parts.append(f"<{tag} {_attributes(values)}{end}")

    def _arrow_head(self, start: tuple[float, float], end: tuple[float, float], fill: str) -> None:
        length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5 or 1.0
        dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        base = (end[0] - 7 * dx, end[1] - 7 * dy)
        self.polygon([end, (base[0] - 4 * dy, base[1] + 4 * dx), (base[0] + 4 * dy, base[1] - 4 * dx)], fill)


def axis_step(value: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, ... (times a power of ten) that is not below ``value``, which is above 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= value * (1 - 1e-9))


def shorten(text: str, length: int) -> str:
    """Cut ``text`` to ``length`` characters, the last one an ellipsis if it was longer."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _attributes(values: Mapping[str, str | float]) -> str:
    return " ".join(
        f"{key}={quoteattr(value if isinstance(value, str) else _number(value))}"
        for key, value in values.items()
        if value != "none" or key == "fill"
    )


def _opacity(value: float) -> dict[str, str | float]:
    return {} if value == 1 else {"fill-opacity": value}


def _number(value: float) -> str:
    return f"{round(value, 2):g}"
