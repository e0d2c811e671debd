"""What is busy when during an inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from ednas.hw.cost import Cost, LayerCost
from ednas.hw.graph import ops
from ednas.hw.model.target import Target
from ednas.report.axis import Axis, axis_step
from ednas.report.cost.layout import COLOURS, GUTTER, MARGIN, WIDTH, count_layers, op_kind
from ednas.report.cost.traffic import memory_roofs, moved_bytes
from ednas.report.labels import show_count, show_latency
from ednas.report.svg import FAINT, INK, MUTED, Canvas, shorten

Lane = Literal["compute", "on-chip", "off-chip", "link", "host", "other"]
"""What is busy: the array, the on-chip memory, the off-chip memory (or what stands for it), the link, the host."""

LANES: dict[Lane, str] = {
    "compute": "Compute",
    "on-chip": "On-chip traffic",
    "off-chip": "Off-chip traffic",
    "link": "Link",
    "host": "Host",
    "other": "Not distinguished",
}
"""The lanes from top to bottom, as they are written."""

BOUND_LANES: dict[str, Lane] = {
    "compute": "compute",
    "on-chip traffic": "on-chip",
    "parameters": "off-chip",
    "activations": "off-chip",
    "host": "host",
}

_LANE_HEIGHT, _LANE_GAP = 30.0, 9.0
_SCOPE_HEIGHT = 20.0
_CHARACTER = 6.1
"""Width of a character of 11 px, about."""

_THINNEST = 0.15
"""Spans that are narrower, in pixels, cannot be seen and are not drawn."""

_LEAST_LABEL = 5
"""A name that is cut must keep so many characters."""

_LIGHT = ("traffic on the chip", "the rest")
"""Kinds of spans that are not labelled."""


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
    parts: list[tuple[Lane, str, float | None]] = [
        ("link", "call", cost.dispatch_ms),
        ("link", "transfer", cost.transfer_ms),
    ]
    if not cost.layers:
        parts += [("compute", "other operator", cost.accelerator_ms), ("host", "other operator", cost.host_ms)]
    for lane, kind, length_ms in parts:
        if length_ms:
            spans.append(Span(lane, kind, now, length_ms))
            now += length_ms
    for layer in cost.layers:
        spans += _layer_spans(layer, now, target)
        now += layer.latency_ms
    if cost.latency_ms - now > 1e-6 * cost.latency_ms:
        spans.append(Span("other", "the rest", now, cost.latency_ms - now))
    return tuple(spans)


def _layer_spans(layer: LayerCost, start_ms: float, target: Target | None) -> list[Span]:
    """Return what a layer keeps busy; traffic takes no longer than the layer."""
    kind = op_kind(layer.op)
    bound: Lane = BOUND_LANES[layer.bound_by] if layer.bound_by else "other"
    lengths: dict[Lane, float] = {"compute": layer.compute_ms or 0.0, bound: layer.latency_ms}
    for roof in memory_roofs(target):
        lane: Lane = "off-chip" if roof.is_off_chip else "on-chip"
        moved_ms = moved_bytes(layer, roof.is_off_chip) / roof.bytes_per_s * 1e3
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


def timeline_height(cost: Cost, spans: Sequence[Span]) -> float:
    """Return how far the legend of a timeline is below its top."""
    return _scopes_height(cost) + len(_lanes(spans)) * (_LANE_HEIGHT + _LANE_GAP) + 46


def draw_timeline(canvas: Canvas, cost: Cost, spans: Sequence[Span], top: float) -> None:
    """Draw a lane for each thing that is busy, below a band of the network's parts, and above a legend."""
    lanes = _lanes(spans)
    lanes_y = top + _scopes_height(cost)
    total_ms = max([cost.latency_ms, *(span.start_ms + span.length_ms for span in spans)]) or 1.0
    time = Axis(0.0, total_ms, MARGIN + GUTTER, WIDTH - MARGIN)
    _draw_time_axis(canvas, time, lanes_y, lanes_y + len(lanes) * (_LANE_HEIGHT + _LANE_GAP))
    if _scopes_height(cost):
        _draw_scopes(canvas, cost, time, top)
    _draw_lanes(canvas, lanes, spans, time, lanes_y)
    kinds = [kind for kind in COLOURS if any(span.kind == kind for span in spans)]
    _draw_legend(canvas, kinds, top + timeline_height(cost, spans))


def _lanes(spans: Sequence[Span]) -> list[Lane]:
    return [lane for lane in LANES if any(span.lane == lane for span in spans)]


def _scopes_height(cost: Cost) -> float:
    return _SCOPE_HEIGHT + 6 if len({layer.scope for layer in cost.layers}) > 1 else 0.0


def _draw_time_axis(canvas: Canvas, time: Axis, top: float, bottom: float) -> None:
    step = axis_step(time.last / 9)
    digits = max(0, -math.floor(math.log10(step)))
    for number in time.multiples(step):
        x = time(number * step)
        canvas.line([(x, top - 4), (x, bottom)], stroke=FAINT, width=1)
        canvas.text(x, bottom + 14, f"{number * step:.{digits}f}", size=11, fill=MUTED, anchor="middle")
    canvas.text(time.start - 14, bottom + 14, "ms", size=11, fill=MUTED, anchor="end")


def _draw_scopes(canvas: Canvas, cost: Cost, time: Axis, y: float) -> None:
    """Draw a band for each part of the network over the time of its layers."""
    now = sum(part for part in (cost.dispatch_ms, cost.transfer_ms) if part)
    for number, (scope, group) in enumerate(groupby(cost.layers, key=lambda layer: layer.scope)):
        layers = list(group)
        length_ms = sum(layer.latency_ms for layer in layers)
        x, width = time(now), time(length_ms) - time.start
        hint = f"{scope}: {show_latency(length_ms)} ms, {_share(length_ms, cost)}, {count_layers(len(layers))}"
        fill = "#eef1f8" if number % 2 else "#dfe5f0"
        if width > _THINNEST:
            canvas.rect(x, y, width, _SCOPE_HEIGHT, fill, radius=0, hint=hint)
        label = next((text for text in (scope, scope.rpartition(" ")[2]) if len(text) * _CHARACTER + 2 < width), "")
        if label:
            canvas.text(x + width / 2, y + 14, label, size=11, anchor="middle")
        now += length_ms


def _draw_lanes(canvas: Canvas, lanes: Sequence[Lane], spans: Sequence[Span], time: Axis, top: float) -> None:
    for number, lane in enumerate(lanes):
        y = top + number * (_LANE_HEIGHT + _LANE_GAP)
        own = [span for span in spans if span.lane == lane]
        busy_ms = sum(span.length_ms for span in own)
        canvas.text(MARGIN, y + 13, LANES[lane], size=13, bold=True)
        canvas.text(MARGIN, y + 27, f"{show_latency(busy_ms)} ms", size=11, fill=MUTED)
        canvas.rect(time.start, y, time.end - time.start, _LANE_HEIGHT, "#f1f4f7", radius=2)
        for span in own:
            _draw_span(canvas, span, time, y)


def _draw_span(canvas: Canvas, span: Span, time: Axis, y: float) -> None:
    x, width = time(span.start_ms), time(span.length_ms) - time.start
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
    x = MARGIN + GUTTER
    for kind in kinds:
        canvas.rect(x, y - 10, 12, 12, COLOURS[kind], radius=3)
        canvas.text(x + 18, y, kind, size=12, fill=INK)
        x += 18 + len(kind) * 6.6 + 18


def _share(milliseconds: float, cost: Cost) -> str:
    return f"{100 * milliseconds / cost.latency_ms:.1f} %" if cost.latency_ms > 0 else "–"
