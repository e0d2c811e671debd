"""A learning-rate range test for people: its curve."""

from __future__ import annotations

import math

import numpy as np

from ednas.report.axis import Axis
from ednas.report.svg import FAINT, INK, LINE, MUTED, Canvas
from ednas.training.find_lr import RangeTest

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 736, 62, 368
_CURVE, _CHOSEN = "#2a66a8", "#b3421b"
_LEVELS = 5


def draw_range_test(test: RangeTest) -> str:
    """Draw the loss against the learning rate, on a logarithmic axis, with the suggestion.

    What diverged may leave the picture at its top.

    Returns:
        An SVG document, 760 px wide, on a light card of its own.
    """
    title = f"Learning-rate range test: the suggestion is {test.suggestion:g}"
    canvas = Canvas(_WIDTH, _HEIGHT, title)
    canvas.text(_LEFT, 34, title, size=16, bold=True)
    low, high = _losses_shown(test)
    x = Axis(math.log10(test.rates[0]), math.log10(test.rates[-1]), _LEFT, _RIGHT, is_logarithmic=True)
    y = Axis(low, high, _BOTTOM, _TOP)
    _draw_axes(canvas, x, y)
    for rate, loss in zip(test.rates, test.losses, strict=True):
        if loss <= high:
            canvas.circle(x(rate), y(loss), 2, LINE, width=0, opacity=0.6)
    curve = [(x(rate), y(min(loss, high))) for rate, loss in zip(test.rates, test.smoothed, strict=True)]
    canvas.line(curve, stroke=_CURVE, width=2)
    chosen = x(test.suggestion)
    loss = float(np.interp(math.log(test.suggestion), np.log(test.rates), test.smoothed))
    canvas.line([(chosen, _TOP), (chosen, _BOTTOM)], stroke=_CHOSEN, dashes="5 4")
    canvas.circle(chosen, y(min(loss, high)), 5, _CHOSEN, hint=f"rate {test.suggestion:g}")
    canvas.text(chosen - 8, _BOTTOM - 10, f"{test.suggestion:g}", fill=_CHOSEN, anchor="end", bold=True)
    return canvas.render()


def _losses_shown(test: RangeTest) -> tuple[float, float]:
    """The lowest loss, and as much above the first ones as leaves room for them."""
    low, start = min(test.losses), max(test.losses[: max(1, len(test.losses) // 5)])
    margin = 0.08 * (start - low)
    return low - margin, start + margin


def _draw_axes(canvas: Canvas, x: Axis, y: Axis) -> None:
    for level in range(_LEVELS):
        loss = y.first + (y.last - y.first) * level / (_LEVELS - 1)
        canvas.line([(_LEFT, y(loss)), (_RIGHT, y(loss))], stroke=FAINT, width=1)
        canvas.text(_LEFT - 8, y(loss) + 4, f"{loss:.3g}", size=12, fill=MUTED, anchor="end")
    for power in x.multiples(1):
        rate = 10.0**power
        canvas.line([(x(rate), _BOTTOM), (x(rate), _BOTTOM + 5)], stroke=MUTED, width=1)
        canvas.text(x(rate), _BOTTOM + 20, f"{rate:g}", size=12, fill=MUTED, anchor="middle")
    canvas.text(_WIDTH / 2, _HEIGHT - 12, "learning rate", fill=INK, anchor="middle")
    canvas.text(_LEFT, _TOP - 10, "loss (dots: single batches; line: smoothed)", size=12, fill=MUTED)
