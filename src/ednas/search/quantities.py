"""What a candidate may cost: the values of limits in a configuration.

A limit is a number in the quantity's unit, or relative to the base network:
``baseline``, or a multiple like ``0.8 * baseline``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from ednas.exceptions import TargetError, hint
from ednas.hw.quantities import QUANTITIES

ACCURACY = "accuracy"
"""The objective that is not a cost; higher is better."""

BASELINE = "baseline"
"""The limit that is what the base network costs on the same device."""

_MULTIPLE = re.compile(rf"(?:(\S+?)\s*\*\s*)?{BASELINE}")


def pick(cost: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """Return the named quantities of a cost.

    Raises:
        TargetError: One is missing, or not a finite number of at least 0.
    """
    picked = {name: cost.get(name, math.nan) for name in names}
    for name, value in picked.items():
        if not math.isfinite(value) or value < 0:
            raise TargetError(f"{name} is not known for this network (got {cost.get(name)})")
    return picked


def resolve(limit: float | str, baseline: float) -> float:
    """Return a limit as a number.

    Args:
        limit: A number, or relative to the base network.
        baseline: What the base network costs.
    """
    if isinstance(limit, float):
        return limit
    factor, _, _ = limit.rpartition("*")
    return float(factor or 1) * baseline


def check_names(names: Iterable[str], known: Collection[str] = QUANTITIES) -> None:
    """Refuse names that are no quantities.

    Raises:
        ValueError: A name is unknown; the message offers the nearest.
    """
    for name in names:
        if name not in known:
            raise ValueError(f"unknown quantity '{name}'; {hint(name, known)}")


def _read_limit(value: Any) -> float | str:
    """Return a limit in its one form: a float, ``baseline``, or ``0.8 * baseline``."""
    text = str(value).strip()
    match = _MULTIPLE.fullmatch(text)
    try:
        number = float((match[1] or 1) if match else text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"write a number of at least 0, {BASELINE}, or a multiple like 0.8*{BASELINE}")
    if not match:
        return number
    return BASELINE if number == 1 else f"{number} * {BASELINE}"


def _known(limits: Mapping[str, Any]) -> Mapping[str, Any]:
    if ACCURACY in limits:
        raise ValueError(f"{ACCURACY} is what the search maximises; limit a cost: {', '.join(QUANTITIES)}")
    check_names(limits)
    return limits


Limit = Annotated[float | str, BeforeValidator(_read_limit)]
"""A limit in a configuration."""

Limits = Annotated[Mapping[str, Limit], AfterValidator(_known)]
"""Limits by the names of their quantities."""
