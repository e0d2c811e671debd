"""Picture of a cost: when what is busy during an inference, and what limits each layer (a roofline).

One self-contained SVG for ``ednas latency --plot`` and the report.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

from markupsafe import escape

from ednas.hw.cost import Cost, LayerCost
from ednas.hw.graph import ops
from ednas.hw.model.target import Target
from ednas.report.labels import show_count, show_latency
from ednas.report.svg import FAINT, INK, LINE, MUTED, Canvas, axis_step, shorten

Lane = Literal["compute", "on-chip", "off-chip", "link", "host", "other"]
"""What is busy: the array, the on-chip memory, the off-chip memory (or what stands for it), the link, the host."""

LANES: dict[Lane, str] = {
    "compute": "Compute",
    "on-chip": "On-chip traffic",
    "off-chip": "Off-chip traffic",
    "link": "Link",
    "host": "Host",
    "other": "Not told apart",
}
"""The lanes from top to bottom, as they are written."""

COLOURS = {
    "convolution": "#2a66a8",
    "depthwise": "#2c8a86",
    "elementwise": "#a8761a",
    "pooling, resize": "#7a5fa8",
    "other operator": "#8c6d5c",
    "traffic on the chip": "#9db7d3",
    "parameters": "#bd5316",
    "activations": "#a83a68",
    "call": "#3f4a55",
    "transfer": "#75838f",
    "the rest": "#b9c3cc",
}
"""Colours by what is drawn; spans are labelled in white, but for those in the two lightest."""

_WIDTH = 1140.0
_MARGIN = 28.0
_GUTTER = 132.0
_LANE_HEIGHT, _LANE_GAP = 30.0, 9.0
_TIMELINE_Y = 92.0
_SCOPE_HEIGHT = 20.0
_PLOT_HEIGHT = 340.0
_PLOT_WIDTH = 740.0
_LARGEST_RADIUS, _SMALLEST_RADIUS = 17.0, 2.6
_CHARACTER = 6.1
"""Width of a character of 11 px, about."""

_HEADING_CHARACTER, _DEVICE_CHARACTER, _LABEL_CHARACTER = 10.2, 7.4, 6.6
"""The same of the heading (18 px, bold), of the device's title (14 px), and of the roofs' labels (12 px)."""

_THINNEST = 0.15
"""Spans that are narrower, in pixels, cannot be seen and are not drawn."""

_ROOM = 0.2
"""Room around the values of a logarithmic axis, in decades."""

_PREFIXES = ("", "k", "M", "G", "T", "P")

_LEAST_LABEL = 5
"""A name that is cut must keep so many characters."""

_LIGHT = ("traffic on the chip", "the rest")
"""Kinds of spans that are not labelled."""

_BOUND_LANES: dict[str, Lane] = {
    "compute": "compute",
    "on-chip traffic": "on-chip",
    "parameters": "off-chip",
    "activations": "off-chip",
    "host": "host",
}


@dataclass(frozen=True)
class Span:
    """A time in which something is busy.

    Attributes:
        lane: What is busy.
        kind: With what: a key of :data:`COLOURS`.
        start_ms: When it begins, from the start of the call.
        length_ms: How long it takes.
        layer: For which layer; None for what belongs to none.
    """

    lane: Lane
    kind: str
    start_ms: float
    length_ms: float
    layer: LayerCost | None = None


class Dot(NamedTuple):
    """A layer in the roofline.

    Attributes:
        layer: The layer.
        intensity: Multiply-accumulates for each byte of the memory whose traffic takes longest.
        rate: Multiply-accumulates per second.
        is_off_chip: Whether that memory is off the chip.
    """

    layer: LayerCost
    intensity: float
    rate: float
    is_off_chip: bool


@dataclass(frozen=True)
class Roof:
    """What a memory allows: ``bytes per second`` times the intensity, for dots of that memory.

    Attributes:
        title: The memory, for people.
        bytes_per_s: Its bandwidth.
        is_off_chip: Whether it is off the chip.
    """

    title: str
    bytes_per_s: float
    is_off_chip: bool


def draw_cost(cost: Cost, target: Target | None = None, *, title: str = "") -> str:
    """Draw a cost: a timeline of one inference and, below it, a roofline of its layers.

    The timeline has a lane for each thing that can be busy; layers follow one another, and what a layer moves runs
    beside its own compute. In the roofline a layer is a dot as large as its time; it lies below what the multipliers
    allow, and below what the memory allows whose traffic takes longest.

    Args:
        cost: The cost.
        target: The hardware; with it the traffic that does not limit a layer is drawn too, and the roofs.
        title: Heading; empty = the target's name.

    Returns:
        An SVG document, about 1140 px wide, on a light card of its own.
    """
    spans = timeline(cost, target)
    points = dots(cost, target)
    lanes = [lane for lane in LANES if any(span.lane == lane for span in spans)]
    has_scopes = len({layer.scope for layer in cost.layers}) > 1
    lanes_y = _TIMELINE_Y + (_SCOPE_HEIGHT + 6 if has_scopes else 0)
    legend_y = lanes_y + len(lanes) * (_LANE_HEIGHT + _LANE_GAP) + 46
    height = legend_y + 18 + (_PLOT_HEIGHT + 116 if points else 0)
    heading = title or cost.target
    canvas = Canvas(_WIDTH, height, f"{heading}: {show_latency(cost.latency_ms)} ms on {cost.target}, and what it is")
    _draw_heading(canvas, cost, target, heading)
    total_ms = max([cost.latency_ms, *(span.start_ms + span.length_ms for span in spans)]) or 1.0
    scale = (_WIDTH - 2 * _MARGIN - _GUTTER) / total_ms
    _draw_time_axis(canvas, total_ms, scale, lanes_y, lanes_y + len(lanes) * (_LANE_HEIGHT + _LANE_GAP))
    if has_scopes:
        _draw_scopes(canvas, cost, scale)
    _draw_lanes(canvas, lanes, spans, scale, lanes_y)
    _draw_legend(canvas, [kind for kind in COLOURS if any(span.kind == kind for span in spans)], legend_y)
    if points:
        _draw_roofline(canvas, cost, points, target, legend_y + 46)
    return canvas.render()


def cost_page(drawings: Iterable[str], title: str) -> str:
    """Return an HTML page with the drawings below one another."""
    figures = "\n".join(f"<figure>{drawing}</figure>" for drawing in drawings)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>:root { color-scheme: light dark } body { margin: 20px } figure { margin: 0 auto 20px; "
        "max-width: 1140px } svg { max-width: 100%; height: auto }</style>\n"
        f"</head>\n<body>\n{figures}\n</body>\n</html>\n"
    )


def timeline(cost: Cost, target: Target | None = None) -> tuple[Span, ...]:
    """Return what is busy when, from the start of the call to its end, without a gap.

    What limits a layer is busy for all of its time. The call and all transfers come first: a cost tells their sums, not
    their order.

    Args:
        cost: The cost.
        target: The hardware; without it only what limits a layer, and compute, is known.
    """
    spans: list[Span] = []
    now = 0.0
    for kind, length_ms in (("call", cost.dispatch_ms), ("transfer", cost.transfer_ms)):
        if length_ms:
            spans.append(Span("link", kind, now, length_ms))
            now += length_ms
    for layer in cost.layers:
        spans += _layer_spans(layer, now, target)
        now += layer.latency_ms
    if not cost.layers:
        sums: tuple[tuple[Lane, float | None], ...] = (("compute", cost.accelerator_ms), ("host", cost.host_ms))
        for lane, sum_ms in sums:
            if sum_ms:
                spans.append(Span(lane, "other operator", now, sum_ms))
                now += sum_ms
    if cost.latency_ms - now > 1e-6 * cost.latency_ms:
        spans.append(Span("other", "the rest", now, cost.latency_ms - now))
    return tuple(spans)


def _layer_spans(layer: LayerCost, start_ms: float, target: Target | None) -> list[Span]:
    """Return what a layer keeps busy; traffic takes no longer than the layer."""
    kind = op_kind(layer.op)
    bound: Lane = _BOUND_LANES[layer.bound_by] if layer.bound_by else "other"
    lengths: dict[Lane, float] = {"compute": layer.compute_ms or 0.0, bound: layer.latency_ms}
    for roof in _roofs(target):
        lane: Lane = "off-chip" if roof.is_off_chip else "on-chip"
        moved_ms = _moved_bytes(layer, roof.is_off_chip) / roof.bytes_per_s * 1e3
        lengths.setdefault(lane, min(moved_ms, layer.latency_ms))
    spans = []
    for lane, length_ms in lengths.items():
        if lane == "off-chip":
            shares = {"parameters": layer.streamed_bytes or 0, "activations": layer.spilled_bytes or 0}
            if not any(shares.values()):  # a source that tells no bytes
                shares = {layer.bound_by or "activations": 1}
            begin_ms = start_ms
            for what, share in shares.items():
                spans.append(Span(lane, what, begin_ms, length_ms * share / sum(shares.values()), layer))
                begin_ms += spans[-1].length_ms
        else:
            spans.append(Span(lane, "traffic on the chip" if lane == "on-chip" else kind, start_ms, length_ms, layer))
    return [span for span in spans if span.length_ms > 0]


def dots(cost: Cost, target: Target | None = None) -> tuple[Dot, ...]:
    """Return the accelerator's layers that multiply, the longest first; empty where no traffic is known.

    Args:
        cost: The cost.
        target: The hardware; without it a layer with off-chip traffic is taken to wait for that.
    """
    roofs = _roofs(target)
    found = []
    for layer in cost.layers:
        waits = {roof.is_off_chip: _moved_bytes(layer, roof.is_off_chip) / roof.bytes_per_s for roof in roofs}
        is_off_chip = _moved_bytes(layer, True) > 0 and waits.get(True, 0.0) >= waits.get(False, 0.0)
        moved = _moved_bytes(layer, is_off_chip)
        if layer.where == "accelerator" and layer.macs and moved and layer.latency_ms > 0:
            found.append(Dot(layer, layer.macs / moved, layer.macs / layer.latency_ms * 1e3, is_off_chip))
    return tuple(sorted(found, key=lambda dot: -dot.layer.latency_ms))


def _moved_bytes(layer: LayerCost, is_off_chip: bool) -> int:
    return (layer.streamed_bytes or 0) + (layer.spilled_bytes or 0) if is_off_chip else layer.on_chip_bytes or 0


def op_kind(op: str) -> str:
    """Return the kind of an operator: a key of :data:`COLOURS`."""
    if op == "DEPTHWISE_CONV_2D":
        return "depthwise"
    if op in ops.CONVOLUTIONS:
        return "convolution"
    if op in ops.ELEMENTWISE:
        return "elementwise"
    return "pooling, resize" if op in ops.POOLS | ops.REDUCTIONS | ops.RESIZES else "other operator"


def _roofs(target: Target | None) -> list[Roof]:
    """Return the memories' bandwidths; where there is no off-chip memory, the link stands for it."""
    if target is None:
        return []
    on_chip, off_chip = target.memory.on_chip_gb_per_s, target.memory.off_chip_gb_per_s
    roofs = [Roof("on-chip memory", on_chip.value * 1e9, is_off_chip=False)] if on_chip else []
    if off_chip:
        return [*roofs, Roof("off-chip memory", off_chip.value * 1e9, is_off_chip=True)]
    return [*roofs, Roof("link", target.link.bandwidth_mb_per_s.value * 1e6, is_off_chip=True)]


def _draw_heading(canvas: Canvas, cost: Cost, target: Target | None, heading: str) -> None:
    device = target.title if target else cost.target
    shown = shorten(heading, 60)
    canvas.text(_MARGIN, 38, shown, size=18, bold=True)
    room = int((_WIDTH - 2 * _MARGIN - 24 - len(shown) * _HEADING_CHARACTER) / _DEVICE_CHARACTER)
    canvas.text(_WIDTH - _MARGIN, 38, shorten(device, room), size=14, fill=MUTED, anchor="end")
    named = (
        ("call", cost.dispatch_ms),
        ("transfers", cost.transfer_ms),
        ("processor" if target and target.engine.kind == "cpu" else "accelerator", cost.accelerator_ms),
        ("host", cost.host_ms),
    )
    parts = " + ".join(f"{name} {show_latency(value)}" for name, value in named if value)
    total = f"{show_latency(cost.latency_ms)} ms"
    canvas.text(_MARGIN, 62, f"{total} = {parts}" if parts else total, size=14)
    facts = []
    if cost.streamed_bytes:
        facts.append(f"streamed {show_count(cost.streamed_bytes)}B")
    if cost.spilled_bytes:
        facts.append(f"spilled {show_count(cost.spilled_bytes)}B")
    if cost.energy_mj is not None:
        facts.append(f"energy {show_latency(cost.energy_mj)} mJ")
    if cost.peak_memory_kb is not None:
        facts.append(f"peak memory {cost.peak_memory_kb:,.0f} KiB")
    canvas.text(_WIDTH - _MARGIN, 62, " · ".join(facts), size=13, fill=MUTED, anchor="end")


def _draw_time_axis(canvas: Canvas, total_ms: float, scale: float, top: float, bottom: float) -> None:
    left = _MARGIN + _GUTTER
    step = axis_step(total_ms / 9)
    digits = max(0, -math.floor(math.log10(step)))
    for number in range(math.floor(total_ms / step + 1e-9) + 1):
        x = left + number * step * scale
        canvas.line([(x, top - 4), (x, bottom)], stroke=FAINT, width=1)
        canvas.text(x, bottom + 14, f"{number * step:.{digits}f}", size=11, fill=MUTED, anchor="middle")
    canvas.text(left - 14, bottom + 14, "ms", size=11, fill=MUTED, anchor="end")


def _draw_scopes(canvas: Canvas, cost: Cost, scale: float) -> None:
    """Draw a band for each part of the network over the time of its layers."""
    now = sum(part for part in (cost.dispatch_ms, cost.transfer_ms) if part)
    for number, (scope, group) in enumerate(groupby(cost.layers, key=lambda layer: layer.scope)):
        layers = list(group)
        length_ms = sum(layer.latency_ms for layer in layers)
        x, width = _MARGIN + _GUTTER + now * scale, length_ms * scale
        hint = f"{scope}: {show_latency(length_ms)} ms, {_share(length_ms, cost)}, {_layers(len(layers))}"
        fill = "#eef1f8" if number % 2 else "#dfe5f0"
        if width > _THINNEST:
            canvas.rect(x, _TIMELINE_Y, width, _SCOPE_HEIGHT, fill, radius=0, hint=hint)
        label = next((text for text in (scope, scope.rpartition(" ")[2]) if len(text) * _CHARACTER + 2 < width), "")
        if label:
            canvas.text(x + width / 2, _TIMELINE_Y + 14, label, size=11, anchor="middle")
        now += length_ms


def _draw_lanes(canvas: Canvas, lanes: Sequence[Lane], spans: Sequence[Span], scale: float, top: float) -> None:
    for number, lane in enumerate(lanes):
        y = top + number * (_LANE_HEIGHT + _LANE_GAP)
        own = [span for span in spans if span.lane == lane]
        busy_ms = sum(span.length_ms for span in own)
        canvas.text(_MARGIN, y + 13, LANES[lane], size=13, bold=True)
        canvas.text(_MARGIN, y + 27, f"{show_latency(busy_ms)} ms", size=11, fill=MUTED)
        canvas.rect(_MARGIN + _GUTTER, y, _WIDTH - 2 * _MARGIN - _GUTTER, _LANE_HEIGHT, "#f1f4f7", radius=2)
        for span in own:
            _draw_span(canvas, span, scale, y)


def _draw_span(canvas: Canvas, span: Span, scale: float, y: float) -> None:
    x, width = _MARGIN + _GUTTER + span.start_ms * scale, span.length_ms * scale
    if width < _THINNEST:
        return
    gap = 0.6 if width > 4 else 0.0
    canvas.rect(x, y, width - gap, _LANE_HEIGHT, COLOURS[span.kind], radius=0, hint=_span_hint(span))
    label = _label(span, int((width - 8) / _CHARACTER))
    if label:
        canvas.text(x + width / 2, y + 19, label, size=11, fill="#ffffff", anchor="middle")


def _label(span: Span, room: int) -> str:
    """Return what can be written into a span with room for so many characters: the name, its end, or nothing."""
    if span.kind in _LIGHT:
        return ""
    names = (span.layer.name, _short_name(span.layer)) if span.layer else (span.kind,)
    label = next((name for name in names if len(name) <= room), shorten(names[-1], max(room, 1)))
    return label if len(label) >= min(len(names[-1]), _LEAST_LABEL) else ""


def _span_hint(span: Span) -> str:
    length = f"{show_latency(span.length_ms)} ms"
    layer = span.layer
    if layer is None:
        return f"{span.kind}: {length}"
    facts = [
        f"{layer.scope}: {layer.name}",
        f"{layer.op}, {show_latency(layer.latency_ms)} ms" + (f", limit: {layer.bound_by}" if layer.bound_by else ""),
    ]
    if layer.macs:
        facts.append(
            f"{show_count(layer.macs)} MACs" + (f", {layer.utilisation or 0.0:.0%} busy" if layer.cycles else "")
        )
    if span.lane == "off-chip":
        count = layer.streamed_bytes if span.kind == "parameters" else layer.spilled_bytes
        facts.append(f"{span.kind}: {show_count(count)}B in {length}")
    elif span.lane == "on-chip":
        facts.append(f"on the chip: {show_count(layer.on_chip_bytes)}B in {length}")
    return "\n".join([*facts, *([layer.reason] if layer.reason else [])])


def _short_name(layer: LayerCost) -> str:
    """Return what is most telling of a layer's name: paths lose their folders, a bare number becomes the operator."""
    tail = layer.name.replace(".", "/").rpartition("/")[2]
    return layer.op.removeprefix(ops.CUSTOM_PREFIX).lower() if not tail or tail.isdigit() else tail


def _draw_legend(canvas: Canvas, kinds: Sequence[str], y: float) -> None:
    x = _MARGIN + _GUTTER
    for kind in kinds:
        canvas.rect(x, y - 10, 12, 12, COLOURS[kind], radius=3)
        canvas.text(x + 18, y, kind, size=12, fill=INK)
        x += 18 + len(kind) * 6.6 + 18


def _draw_roofline(canvas: Canvas, cost: Cost, points: Sequence[Dot], target: Target | None, top: float) -> None:
    canvas.text(_MARGIN, top, "What limits each layer", size=15, bold=True)
    roofs = [roof for roof in _roofs(target) if any(dot.is_off_chip == roof.is_off_chip for dot in points)]
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
    _draw_notes(canvas, cost, points, _MARGIN + _PLOT_WIDTH + 64, top + 40)


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis: the logarithms of its ends, and where they are in the picture."""

    first: float
    last: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value is."""
        return self.start + (math.log10(value) - self.first) / (self.last - self.first) * (self.end - self.start)

    def decades(self) -> range:
        """Return the powers of ten on the axis."""
        return range(math.ceil(self.first), math.floor(self.last) + 1)


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    """Return an axis with some room around the values, over more than a decade."""
    first, last = math.log10(min(values)) - _ROOM, math.log10(max(values)) + _ROOM
    return _Axis(first, max(last, first + 1.1), start, end)


@dataclass(frozen=True)
class _Plot:
    """The roofline's axes: intensity and rate."""

    x: _Axis
    y: _Axis


def _plot(points: Sequence[Dot], roofs: Sequence[Roof], peak: float | None, top: float) -> _Plot:
    """Return a plot with room for all dots, the multipliers' roof, and the corners of the memories' roofs with it."""
    xs, ys = [dot.intensity for dot in points], [dot.rate for dot in points]
    if peak is not None:
        ys.append(peak)
        xs += [peak / roof.bytes_per_s for roof in roofs]
    left = _MARGIN + 46
    return _Plot(_axis(xs, left, left + _PLOT_WIDTH), _axis(ys, top + _PLOT_HEIGHT, top))


def _draw_grid(canvas: Canvas, plot: _Plot) -> None:
    left, right, top, bottom = plot.x.start, plot.x.end, plot.y.end, plot.y.start
    canvas.rect(left, top, right - left, bottom - top, "#ffffff", stroke=FAINT, radius=2)
    for decade in plot.x.decades():
        x = plot.x(10.0**decade)
        canvas.line([(x, top), (x, bottom)], stroke=FAINT, width=1)
        canvas.text(x, bottom + 16, _decade(decade), size=11, fill=MUTED, anchor="middle")
    for decade in plot.y.decades():
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
        canvas.line(ends, stroke=INK, width=1.8, dashes="6 4" if roof.is_off_chip else "")
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
    widest = _WIDTH - _MARGIN - x
    layers_ms = sum(layer.latency_ms for layer in cost.layers) or 1.0
    for bound in _BOUND_LANES:
        bound_ms = sum(layer.latency_ms for layer in cost.layers if layer.bound_by == bound)
        if bound_ms > 0:
            y += 24
            canvas.text(x, y, bound, size=12.5)
            canvas.text(_WIDTH - _MARGIN, y, f"{show_latency(bound_ms)} ms", size=12.5, anchor="end")
            canvas.rect(x, y + 5, widest, 5, FAINT, radius=2)
            canvas.rect(x, y + 5, max(1.0, widest * bound_ms / layers_ms), 5, LINE, radius=2)
            y += 6
    missing = [layer.latency_ms for layer in cost.layers if layer.latency_ms > 0]
    left_out = len(missing) - len(points)
    if left_out:
        rest_ms = sum(missing) - sum(dot.layer.latency_ms for dot in points)
        canvas.text(x, y + 36, f"not in the plot: {_layers(left_out)} without multiply-", size=12, fill=MUTED)
        canvas.text(x, y + 52, f"accumulates or on the host ({show_latency(rest_ms)} ms)", size=12, fill=MUTED)


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _decade(exponent: int) -> str:
    """Return a power of ten with a decimal prefix: ``100 G``."""
    if not 0 <= exponent < 3 * len(_PREFIXES):
        return f"{10.0**exponent:g}"
    return f"{10 ** (exponent % 3)} {_PREFIXES[exponent // 3]}".rstrip()


def _share(milliseconds: float, cost: Cost) -> str:
    return f"{100 * milliseconds / cost.latency_ms:.1f} %" if cost.latency_ms > 0 else "–"
