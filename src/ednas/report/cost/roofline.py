"""What limits each layer: the multipliers, or the traffic of a memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ednas.hw.cost import Cost, LayerCost
from ednas.hw.model.target import Target
from ednas.report.axis import Axis
from ednas.report.cost.layout import COLOURS, MARGIN, WIDTH, count_layers, op_kind
from ednas.report.cost.timeline import BOUND_LANES
from ednas.report.cost.traffic import Roof, memory_roofs, moved_bytes
from ednas.report.labels import show_count, show_latency
from ednas.report.svg import FAINT, INK, LINE, MUTED, Canvas

ROOFLINE_HEIGHT = 456.0
_PLOT_HEIGHT = 340.0
_PLOT_WIDTH = 740.0
_LARGEST_RADIUS, _SMALLEST_RADIUS = 17.0, 2.6
_LABEL_CHARACTER = 6.6
"""Width of a character of 12 px, about."""

_ROOM = 0.2
"""Room around the values of a logarithmic axis, in decades."""

_PREFIXES = ("", "k", "M", "G", "T", "P")


class Dot(NamedTuple):
    """A layer in the roofline.

    Attributes:
        layer: The layer.
        intensity: Multiply-accumulates for each byte of the memory whose traffic takes longest.
        rate: Multiply-accumulates of the layer per second; above the multipliers' where Winograd's method needs fewer.
        is_off_chip: Whether that memory is off the chip.
    """

    layer: LayerCost
    intensity: float
    rate: float
    is_off_chip: bool


def dots(cost: Cost, target: Target | None = None) -> tuple[Dot, ...]:
    """Return the accelerator's layers that multiply, the longest first; empty where no traffic is known.

    Args:
        cost: The cost.
        target: The hardware; without it a layer with off-chip traffic is taken to wait for that.
    """
    roofs = memory_roofs(target)
    found = []
    for layer in cost.layers:
        waits = {roof.is_off_chip: moved_bytes(layer, roof.is_off_chip) / roof.bytes_per_s for roof in roofs}
        is_off_chip = moved_bytes(layer, True) > 0 and waits.get(True, 0.0) >= waits.get(False, 0.0)
        moved = moved_bytes(layer, is_off_chip)
        if layer.where == "accelerator" and layer.macs and moved and layer.latency_ms > 0:
            found.append(Dot(layer, layer.macs / moved, layer.macs / layer.latency_ms * 1e3, is_off_chip))
    return tuple(sorted(found, key=lambda dot: -dot.layer.latency_ms))


def draw_roofline(canvas: Canvas, cost: Cost, points: Sequence[Dot], target: Target | None, top: float) -> None:
    """Draw layers as dots below what the multipliers and the memories allow, and notes beside them."""
    canvas.text(MARGIN, top, "What limits each layer", size=15, bold=True)
    roofs = [roof for roof in memory_roofs(target) if any(dot.is_off_chip == roof.is_off_chip for dot in points)]
    peak = None if target is None else target.engine.macs_per_cycle * target.engine.clock_mhz.value * 1e6
    plot = _plot(points, roofs, peak, top + 34)
    _draw_grid(canvas, plot)
    if peak is not None:
        _draw_roofs(canvas, plot, roofs, peak)
    slowest = points[0].layer.latency_ms
    for dot in points:
        radius = max(_SMALLEST_RADIUS, _LARGEST_RADIUS * math.sqrt(dot.layer.latency_ms / slowest))
        x, y = plot.x(dot.intensity), plot.y(dot.rate)
        _draw_dot(canvas, x, y, radius, COLOURS[op_kind(dot.layer.op)], dot)
    _draw_notes(canvas, cost, points, MARGIN + _PLOT_WIDTH + 64, top + 40)


class _Plot(NamedTuple):
    """The roofline's axes: intensity and rate."""

    x: Axis
    y: Axis


def _plot(points: Sequence[Dot], roofs: Sequence[Roof], peak: float | None, top: float) -> _Plot:
    """Return a plot with room for all dots, the multipliers' roof, and the corners of the memories' roofs with it."""
    xs, ys = [dot.intensity for dot in points], [dot.rate for dot in points]
    if peak is not None:
        ys.append(peak)
        xs += [peak / roof.bytes_per_s for roof in roofs]
    left = MARGIN + 46
    return _Plot(_axis(xs, left, left + _PLOT_WIDTH), _axis(ys, top + _PLOT_HEIGHT, top))


def _axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return a logarithmic axis with some room around the values, over more than a decade."""
    first, last = math.log10(min(values)) - _ROOM, math.log10(max(values)) + _ROOM
    return Axis(first, max(last, first + 1.1), start, end, is_logarithmic=True)


def _draw_grid(canvas: Canvas, plot: _Plot) -> None:
    left, right, top, bottom = plot.x.start, plot.x.end, plot.y.end, plot.y.start
    canvas.rect(left, top, right - left, bottom - top, "#ffffff", stroke=FAINT, radius=2)
    for decade in plot.x.multiples(1):
        x = plot.x(10.0**decade)
        canvas.line([(x, top), (x, bottom)], stroke=FAINT, width=1)
        canvas.text(x, bottom + 16, _decade(decade), size=11, fill=MUTED, anchor="middle")
    for decade in plot.y.multiples(1):
        y = plot.y(10.0**decade)
        canvas.line([(left, y), (right, y)], stroke=FAINT, width=1)
        canvas.text(left - 7, y + 4, _decade(decade), size=11, fill=MUTED, anchor="end")
    caption = "multiply-accumulates for each byte of the memory whose traffic takes longest"
    canvas.text((left + right) / 2, bottom + 36, caption, size=12, fill=MUTED, anchor="middle")
    canvas.text(left, top - 8, "multiply-accumulates per second", size=12, fill=MUTED)


def _draw_roofs(canvas: Canvas, plot: _Plot, roofs: Sequence[Roof], peak: float) -> None:
    y = plot.y(peak)
    canvas.line([(plot.x.start, y), (plot.x.end, y)], stroke=INK, width=1.8)
    canvas.text(plot.x.end - 6, y - 6, f"all multipliers busy: {show_count(peak)}MAC/s", size=12, anchor="end")
    for roof in roofs:
        first = max(10.0**plot.x.first, 10.0**plot.y.first / roof.bytes_per_s)
        ends = [(plot.x(value), plot.y(value * roof.bytes_per_s)) for value in (first, peak / roof.bytes_per_s)]
        canvas.line(ends, stroke=INK, width=1.8, dashes="6 4" if roof.is_off_chip else None)
        x, y = ((start + end) / 2 for start, end in zip(*ends, strict=True))
        text = f"{roof.title}: {show_count(roof.bytes_per_s)}B/s"
        has_room = x - 8 - len(text) * _LABEL_CHARACTER >= plot.x.start
        if roof.is_off_chip or not has_room:  # below its line: above it runs that of the memory on the chip
            canvas.text(x + 12, y + 12, text, size=12)
        else:
            canvas.text(x - 8, y - 6, text, size=12, anchor="end")


def _draw_dot(canvas: Canvas, x: float, y: float, radius: float, colour: str, dot: Dot) -> None:
    layer = dot.layer
    hint = (
        f"{layer.scope}: {layer.name}\n{layer.op}, {show_latency(layer.latency_ms)} ms, limit: {layer.bound_by}\n"
        f"{show_count(dot.rate)}MAC/s, {dot.intensity:.3g} MAC/B {'off' if dot.is_off_chip else 'on'} the chip"
    )
    if dot.is_off_chip:
        side = radius * 1.15
        corners = [(x, y - side), (x + side, y), (x, y + side), (x - side, y)]
        canvas.polygon(corners, colour, stroke="#ffffff", width=0.5, opacity=0.8, hint=hint)
    else:
        canvas.circle(x, y, radius, colour, stroke="#ffffff", width=0.5, opacity=0.8, hint=hint)


def _draw_notes(canvas: Canvas, cost: Cost, points: Sequence[Dot], x: float, y: float) -> None:
    """Say what the marks mean, what limits how much of the time, and what is not in the plot."""
    marks = ((False, "by traffic on the chip"), (True, "by traffic from and to off-chip memory"))
    for is_off_chip, text in marks:
        if any(dot.is_off_chip == is_off_chip for dot in points):
            if is_off_chip:
                canvas.polygon([(x + 7, y - 12), (x + 15, y - 4), (x + 7, y + 4), (x - 1, y - 4)], MUTED)
            else:
                canvas.circle(x + 7, y - 4, 7, MUTED)
            canvas.text(x + 24, y, text, size=12.5)
            y += 24
    canvas.text(x, y + 4, "area of a mark: the layer's time", size=12.5, fill=MUTED)
    y += 40
    canvas.text(x, y, "Time of layers by what limits it", size=13, bold=True)
    widest = WIDTH - MARGIN - x
    layers_ms = sum(layer.latency_ms for layer in cost.layers) or 1.0
    for bound in BOUND_LANES:
        bound_ms = sum(layer.latency_ms for layer in cost.layers if layer.bound_by == bound)
        if bound_ms > 0:
            y += 24
            canvas.text(x, y, bound, size=12.5)
            canvas.text(WIDTH - MARGIN, y, f"{show_latency(bound_ms)} ms", size=12.5, anchor="end")
            canvas.rect(x, y + 5, widest, 5, FAINT, radius=2)
            canvas.rect(x, y + 5, max(1.0, widest * bound_ms / layers_ms), 5, LINE, radius=2)
            y += 6
    missing = [layer.latency_ms for layer in cost.layers if layer.latency_ms > 0]
    left_out = len(missing) - len(points)
    if left_out:
        rest_ms = sum(missing) - sum(dot.layer.latency_ms for dot in points)
        canvas.text(x, y + 36, f"not in the plot: {count_layers(left_out)} without multiply-", size=12, fill=MUTED)
        canvas.text(x, y + 52, f"accumulates or on the host ({show_latency(rest_ms)} ms)", size=12, fill=MUTED)


def _decade(exponent: int) -> str:
    """Return a power of ten with a decimal prefix: ``100 G``."""
    if not 0 <= exponent < 3 * len(_PREFIXES):
        return f"{10.0**exponent:g}"
    return f"{10 ** (exponent % 3)} {_PREFIXES[exponent // 3]}".rstrip()
