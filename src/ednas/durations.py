"""How long something takes, as people read it: in progress bars, logs and reports alike."""

from __future__ import annotations

import math


def show_seconds(value: float | None) -> str:
    """Return a duration: ``4.2 s``, ``42 s``, ``3 min 20 s``, ``2 h 05 min``; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    if minutes:
        return f"{minutes} min {seconds:02d} s"
    return f"{value:.1f} s" if value < 10 else f"{seconds} s"
