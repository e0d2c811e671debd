"""A learning-rate range test for people: its curve."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ednas.report.svg import FAINT, INK, LINE, MUTED, Canvas
from ednas.training.find_lr import RangeTest

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 62, 52
_CURVE, _CHOSEN = "#2a66a8", "#b3421b"
_LEVELS = 5

_Place = Callable[[float, float], tuple[float, float]]


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
    first, decades = math.log10(test.rates[0]), math.log10(test.rates[-1] / test.rates[0])

    def place(rate: float, loss: float) -> tuple[float, float]:
        x = (math.log10(rate) - first) / decades
        y = (min(loss, high) - low) / (high - low)
        return _LEFT + x * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - y * (_HEIGHT - _TOP - _BOTTOM)

    _draw_axes(canvas, test, place, low, high)
    for rate, loss in zip(test.rates, test.losses, strict=True):
        if loss <= high:
            canvas.circle(*place(rate, loss), 2, LINE, width=0, opacity=0.6)
    canvas.line([place(*point) for point in zip(test.rates, test.smoothed, strict=True)], stroke=_CURVE, width=2)
    loss = np.interp(math.log(test.suggestion), np.log(test.rates), test.smoothed)
    x, y = place(test.suggestion, float(loss))
    canvas.line([(x, _TOP), (x, _HEIGHT - _BOTTOM)], stroke=_CHOSEN, dashes="5 4")
    canvas.circle(x, y, 5, _CHOSEN, hint=f"rate {test.suggestion:g}")
    canvas.text(x - 8, _HEIGHT - _BOTTOM - 10, f"{test.suggestion:g}", fill=_CHOSEN, anchor="end", bold=True)
    return canvas.render()


def _losses_shown(test: RangeTest) -> tuple[float, float]:
    """The lowest loss, and as much above the first ones as leaves room for them."""
    low, start = min(test.losses), max(test.losses[: max(1, len(test.losses) // 5)])
    margin = 0.08 * (start - low)
    return low - margin, start + margin


def _draw_axes(canvas: Canvas, test: RangeTest, place: _Place, low: float, high: float) -> None:
    first, last = test.rates[0], test.rates[-1]
    for level in range(_LEVELS):
        loss = low + (high - low) * level / (_LEVELS - 1)
        canvas.line([place(first, loss), place(last, loss)], stroke=FAINT, width=1)
        x, y = place(first, loss)
        canvas.text(x - 8, y + 4, f"{loss:.3g}", size=12, fill=MUTED, anchor="end")
    for power in range(math.ceil(math.log10(first) - 1e-9), math.floor(math.log10(last) + 1e-9) + 1):
        x, y = place(10.0**power, low)
        canvas.line([(x, y), (x, y + 5)], stroke=MUTED, width=1)
        canvas.text(x, y + 20, f"{10.0**power:g}", size=12, fill=MUTED, anchor="middle")
    canvas.text(_WIDTH / 2, _HEIGHT - 12, "learning rate", fill=INK, anchor="middle")
    canvas.text(_LEFT, _TOP - 10, "loss (dots: single batches; line: smoothed)", size=12, fill=MUTED)
