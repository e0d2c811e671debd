"""Guessing the unit of depth that nobody has named."""

from __future__ import annotations

_SHORTEST = 0.05
"""Metres: the mean depth of no usual scene is less."""

_UNITS = (("metres", 1.0, 100.0), ("centimetres", 0.01, 500.0), ("millimetres", 0.001, 1e6))
"""Name, metres, and the mean of stored values up to which it is the likely one: scenes of some metres are usual."""


def likely_unit(mean: float) -> tuple[str, float] | None:
    """Guess the unit of distances by their mean.

    Args:
        mean: Of the stored values.

    Returns:
        The unit's name and how many metres it has; None where no usual scene fits.
    """
    if not mean >= _SHORTEST:
        return None
    return next(((name, metres) for name, metres, largest in _UNITS if mean < largest), None)
