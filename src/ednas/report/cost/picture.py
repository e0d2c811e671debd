"""Picture of a cost: when what is busy during an inference, and what limits each layer (a roofline).

One self-contained SVG for ``ednas latency --plot`` and the report.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import escape

from ednas.hw.cost import Cost
from ednas.hw.model.target import Target
from ednas.report.cost.layout import MARGIN, WIDTH
from ednas.report.cost.roofline import ROOFLINE_HEIGHT, dots, draw_roofline
from ednas.report.cost.timeline import draw_timeline, timeline, timeline_height
from ednas.report.labels import show_count, show_latency
from ednas.report.svg import MUTED, Canvas, shorten

_TIMELINE_Y = 92.0
_HEADING_CHARACTER, _DEVICE_CHARACTER = 10.2, 7.4
"""Width of a character of the heading (18 px, bold) and of the device's title (14 px), about."""


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
    legend_y = _TIMELINE_Y + timeline_height(cost, spans)
    height = legend_y + 18 + (ROOFLINE_HEIGHT if points else 0)
    heading = title or cost.target
    canvas = Canvas(WIDTH, height, f"{heading}: {show_latency(cost.latency_ms)} ms on {cost.target}, and what it is")
    _draw_heading(canvas, cost, target, heading)
    draw_timeline(canvas, cost, spans, _TIMELINE_Y)
    if points:
        draw_roofline(canvas, cost, points, target, legend_y + 46)
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


def _draw_heading(canvas: Canvas, cost: Cost, target: Target | None, heading: str) -> None:
    device = target.title if target else cost.target
    shown = shorten(heading, 60)
    canvas.text(MARGIN, 38, shown, size=18, bold=True)
    room = int((WIDTH - 2 * MARGIN - 24 - len(shown) * _HEADING_CHARACTER) / _DEVICE_CHARACTER)
    canvas.text(WIDTH - MARGIN, 38, shorten(device, room), size=14, fill=MUTED, anchor="end")
    named = (
        ("call", cost.dispatch_ms),
        ("transfers", cost.transfer_ms),
        ("processor" if target and target.engine.kind == "cpu" else "accelerator", cost.accelerator_ms),
        ("host", cost.host_ms),
    )
    parts = " + ".join(f"{name} {show_latency(value)}" for name, value in named if value)
    total = f"{show_latency(cost.latency_ms)} ms"
    canvas.text(MARGIN, 62, f"{total} = {parts}" if parts else total, size=14)
    facts = []
    if cost.streamed_bytes:
        facts.append(f"streamed {show_count(cost.streamed_bytes)}B")
    if cost.spilled_bytes:
        facts.append(f"spilled {show_count(cost.spilled_bytes)}B")
    if cost.energy_mj is not None:
        facts.append(f"energy {show_latency(cost.energy_mj)} mJ")
    if cost.peak_memory_kb is not None:
        facts.append(f"peak memory {cost.peak_memory_kb:,.0f} KiB")
    canvas.text(WIDTH - MARGIN, 62, " · ".join(facts), size=13, fill=MUTED, anchor="end")
