"""How numbers, metrics and states are written for people, in the terminal and in the report alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ednas.metrics import METRICS, MetricLabel, direction

MISSING = "–"

_UNITS = {
    "mhz": "MHz",
    "kib": "KiB",
    "mib": "MiB",
    "gb_per_s": "GB/s",
    "mb_per_s": "MB/s",
    "gmac_per_s": "GMAC/s",
    "ms": "ms",
    "ns": "ns",
    "mw": "mW",
    "nm": "nm",
    "pj": "pJ",
    "um2": "µm²",
    "bytes": "B",
    "cycles": "cycles",
    "elements": "elements",
    "macs": "MACs",
}
"""Units by the word that ends a key of a target's file, alone or before ``_per_...``."""


def show_unit(key: str) -> str:
    """Return the unit that a key of a target's file names: ``off_chip_gb_per_s`` is in GB/s; empty if it names none."""
    words = key.split("_")
    for start in range(len(words)):
        ending = "_".join(words[start:])
        if ending in _UNITS:
            return _UNITS[ending]
        unit, _, per = ending.partition("_per_")
        if unit in _UNITS and per:
            return f"{_UNITS[unit]}/{_UNITS.get(per, per)}"
    return ""


def show_figure(value: float) -> str:
    """Return a number as it is, without an exponent: ``1000000``, ``1.3333``."""
    return f"{value:.10g}"


def metric_label(metric: str) -> MetricLabel:
    """Return how a metric is written; a metric of the user's own keeps its name and gets four digits."""
    return METRICS.get(metric, MetricLabel(metric, "", 4))


def metric_heading(metric: str, own: Mapping[str, bool] | None = None, unit: str = "") -> str:
    """Return a column's heading: name, unit, and an arrow for the better direction: ``mIoU % ↑``.

    Args:
        metric: The metric.
        own: Directions of metrics that are not built in.
        unit: The unit of a metric whose unit is not built in.
    """
    label = metric_label(metric)
    higher = direction(metric, own or {})
    arrow = "" if higher is None else "↑" if higher else "↓"
    return " ".join(part for part in (label.title, label.unit or unit, arrow) if part)


def show_metric(metric: str, value: float | None, spread: float | None = None) -> str:
    """Return a metric's value with its usual digits, and its spread over several runs where there is one."""
    digits = metric_label(metric).digits
    return show_number(value, digits) + ("" if spread is None else f" ± {show_number(spread, digits)}")


def show_number(value: float | None, digits: int = 2) -> str:
    """Return a number with so many digits after the point, or a dash where there is none."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def show_latency(value_ms: float | None) -> str:
    """Return milliseconds with three significant digits or more, without the unit."""
    if value_ms is None or not math.isfinite(value_ms):
        return MISSING
    return f"{value_ms:.{max(0, 2 - math.floor(math.log10(value_ms))) if 0 < value_ms < 100 else 0}f}"


def show_count(value: float | None) -> str:
    """Return a count with a decimal prefix and three significant digits or more: ``3.42 M``."""
    if value is None or not math.isfinite(value):
        return MISSING
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            scaled = value / factor
            return f"{scaled:.{2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0}f} {prefix}"
    return f"{value:g}"


def show_delta(value: float | None) -> str:
    """Return a relative gain with its sign: ``+9.2``, ``−0.5`` (with a minus sign of a plus sign's width)."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")
