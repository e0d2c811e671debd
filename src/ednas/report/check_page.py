"""How far evaluators can be trusted, as one self-contained HTML file in the look of the other reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from markupsafe import Markup
from rich.table import Table

from ednas.files import write_text
from ednas.report.axis import Axis
from ednas.report.formats import cells
from ednas.report.html import template
from ednas.report.svg import FAINT, INK, LINE, MUTED, Canvas, shorten
from ednas.report.tables.check import check_remarks, check_tables
from ednas.search.agreement import Interval, ceiling
from ednas.search.check import Check
from ednas.search.verdict import Row

_OVERALL, _BAND = "#2a66a8", "#bd5316"
_NAME, _STEP, _RIGHT = 330, 34, 940
_SIDE = 236
"""Width and height of a scatter plot."""


@dataclass(frozen=True)
class CheckReport:
    """What the page of a check says.

    Attributes:
        title: Heading of the page.
        check: The check.
        config: The search's configuration, as YAML.
        created: When the page was made.
    """

    title: str
    check: Check
    config: str
    created: datetime = field(default_factory=lambda: datetime.now().astimezone())


def write_check_report(report: CheckReport, path: Path | str) -> Path:
    """Write the page to ``path`` atomically and return the path.

    Raises:
        EdnasError: The file cannot be written.
    """
    write_text(path, render_check(report))
    return Path(path)


def render_check(report: CheckReport) -> str:
    """Return the page."""
    check = report.check
    best = next(row for row in check.rows if not row.is_cost)
    return template("check.html").render(
        report=report,
        reload_s=None,
        tiles={
            "networks": str(check.networks),
            "in the band of costs": str(check.in_band),
            "ceiling of tau": f"{ceiling(check.reliability):.2f}",
            f"best tau: {best.name}": f"{best.tau.value:.2f}",
        },
        remarks=list(check_remarks(check)),
        tables=[_content(table) for table in check_tables(check)],
        intervals=Markup(draw_intervals(check)),
        scatters=[Markup(draw_scatter(check, row)) for row in check.rows],
        overall=_OVERALL,
        band=_BAND,
    )


def draw_intervals(check: Check) -> str:
    """Draw each evaluator's tau with its interval, over all networks and in the band, and the ceiling."""
    bottom = 46 + _STEP * len(check.rows)
    canvas = Canvas(_RIGHT + 20, bottom + 44, "Kendall's tau of each evaluator, with its 95 % interval")
    x = Axis(-1, 1, _NAME, _RIGHT)
    for tick in (-1, -0.5, 0, 0.5, 1):
        canvas.line([(x(tick), 34), (x(tick), bottom)], stroke=LINE if tick == 0 else FAINT, width=1)
        canvas.text(x(tick), bottom + 18, f"{tick:g}", size=12, fill=MUTED, anchor="middle")
    most = ceiling(check.reliability)
    if math.isfinite(most):
        canvas.line([(x(most), 34), (x(most), bottom)], stroke=INK, dashes="5 4")
        canvas.text(x(most), 24, f"ceiling {most:.2f}", size=12, anchor="middle")
    for number, row in enumerate(check.rows):
        y = 46 + _STEP * (number + 0.5)
        canvas.text(_NAME - 12, y + 4, shorten(row.name, 46), fill=MUTED if row.is_cost else INK, anchor="end")
        for tau, colour, shift, where in ((row.tau, _OVERALL, -5, ""), (row.tau_in_band, _BAND, 5, " in the band")):
            _draw_interval(canvas, x, y + shift, tau, colour, f"{row.name}{where}")
    return canvas.render()


def _draw_interval(canvas: Canvas, x: Axis, y: float, tau: Interval, colour: str, name: str) -> None:
    if not math.isfinite(tau.value):
        return
    if math.isfinite(tau.low) and math.isfinite(tau.high):
        canvas.line([(x(tau.low), y), (x(tau.high), y)], stroke=colour, width=2)
    hint = f"{name}: {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}]"
    canvas.circle(x(tau.value), y, 4.5, colour, hint=hint)


def draw_scatter(check: Check, row: Row) -> str:
    """Draw what an evaluator says of each network against what it is worth, both as ranks."""
    canvas = Canvas(_SIDE, _SIDE + 24, f"{row.name}: its ranks against the reference's")
    canvas.text(14, 22, shorten(row.name, 32), size=12.5, bold=True)
    axis, up = Axis(0.5, check.networks + 0.5, 22, _SIDE - 12), Axis(0.5, check.networks + 0.5, _SIDE - 4, 34)
    canvas.rect(22, 34, _SIDE - 34, _SIDE - 38, "#ffffff", stroke=FAINT, radius=2)
    canvas.line([(axis(1), up(1)), (axis(check.networks), up(check.networks))], stroke=FAINT)
    ranks = zip(_ranks(row.values), _ranks([own.log_accuracy for own in check.judged]), check.judged, strict=True)
    for said, true, own in ranks:
        hint = f"{own.architecture}\nrank {said:g} of {check.networks} by {row.name}, {true:g} by the reference"
        canvas.circle(axis(said), up(true), 4, _BAND if own.in_band else _OVERALL, opacity=0.8, hint=hint)
    canvas.text(_SIDE - 12, _SIDE + 14, "its ranks", size=11, fill=MUTED, anchor="end")
    canvas.text(14, _SIDE - 12, "the reference's", size=11, fill=MUTED, angle=-90)
    return canvas.render()


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1, the lowest value's; equal values share the mean of theirs."""
    return [
        sum(other < value for other in values) + (1 + sum(other == value for other in values)) / 2 for value in values
    ]


def _content(table: Table) -> dict[str, object]:
    """Return a table's texts, and which columns are numbers."""
    header, *rows = cells(table)
    return {
        "title": str(table.title or ""),
        "note": str(table.caption or ""),
        "header": header,
        "rows": rows,
        "numeric": [column.justify == "right" for column in table.columns],
    }
