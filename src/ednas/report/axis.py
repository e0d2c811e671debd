"""Where values are along a side of a picture, and at which round ones it is marked."""

from __future__ import annotations

import math
from dataclasses import dataclass

_TOLERANCE = 1e-9
"""A tick this far beyond an end, in steps, is still on the axis."""


@dataclass(frozen=True)
class Axis:
    """An axis between two ends.

    Attributes:
        first: The value at its start; on a logarithmic axis its logarithm to base 10, as :attr:`last`.
        last: The value at its end.
        start: Where its start is in the picture, pixels.
        end: Where its end is.
        is_logarithmic: Whether it is logarithmic.
    """

    first: float
    last: float
    start: float
    end: float
    is_logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value is, pixels."""
        scaled = math.log10(value) if self.is_logarithmic else value
        return self.start + (scaled - self.first) / (self.last - self.first) * (self.end - self.start)

    def multiples(self, step: float) -> range:
        """Return which multiples of ``step`` are on the axis; of 1, on a logarithmic axis: which powers of ten."""
        first, last = self.first / step - _TOLERANCE, self.last / step + _TOLERANCE
        return range(math.ceil(first), math.floor(last) + 1)

    def ticks(self) -> list[float]:
        """Return a few values at round numbers."""
        if not self.is_logarithmic:
            step = axis_step((self.last - self.first) / 5)
            return [number * step for number in self.multiples(step)]
        decades = self.multiples(1)
        if len(decades) > 2:
            return [10.0**decade for decade in decades[:: -(-len(decades) // 6)]]
        fine = [factor * 10.0**decade for decade in range(decades.start - 1, decades.stop) for factor in (1, 2, 5)]
        return [value for value in fine if self.first <= math.log10(value) <= self.last]


def axis_step(value: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, ... (times a power of ten) that is not below ``value``, which is above 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= value * (1 - 1e-9))
