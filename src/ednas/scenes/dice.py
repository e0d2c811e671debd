"""Random choices of the scene builders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Color = tuple[float, float, float]

_BLOCK = 4096


def darker(color: Color, factor: float) -> Color:
    """Return the colour with every channel multiplied."""
    return color[0] * factor, color[1] * factor, color[2] * factor


class Dice:
    """A stream of random choices.

    Draws uniform numbers in blocks: a scene takes some thousand, and one call of the generator each would cost more
    than all ray casting.

    Args:
        seed: Seed of the stream.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._block: list[float] = []

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def uniform(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.unit() < probability

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return low + int((high - low + 1) * self.unit())

    def choice(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Return one of ``options``, drawn by ``weights`` (any positive scale) if given."""
        if weights is None:
            return options[int(len(options) * self.unit())]
        left = self.unit() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        return options[-1]

    def normal(self, scale: float) -> float:
        """Return a bell-shaped number with standard deviation ``scale``, never beyond 3.5 of them."""
        return scale * (sum(self.unit() for _ in range(4)) - 2) * math.sqrt(3)

    def gray(self, low: float, high: float, tint: float = 0.03) -> Color:
        """Return a nearly grey colour between ``low`` and ``high``."""
        value = self.uniform(low, high)
        return (max(value + self.uniform(-tint, tint), 0.01), value, max(value + self.uniform(-tint, tint), 0.01))

    def color(self, low: float = 0.05, high: float = 0.6, saturation: float = 0.7) -> Color:
        """Return a colour of any hue.

        Args:
            low: Smallest brightness of the strongest channel.
            high: Its largest brightness.
            saturation: Largest saturation, 0..1.
        """
        value, hue, pale = self.uniform(low, high), self.unit() * 6, self.unit() * saturation
        channels = [abs(((hue + shift) % 6) - 3) - 1 for shift in (0, 4, 2)]
        red, green, blue = (value * (1 - pale + pale * min(max(channel, 0), 1)) for channel in channels)
        return red, green, blue

    def near(self, color: Color, spread: float = 0.25) -> Color:
        """Return a colour like ``color``: brightness and each channel vary by up to ``spread`` of the value."""
        level = 1 + self.uniform(-spread, spread)
        red, green, blue = (min(channel * level * (1 + self.uniform(-spread, spread) / 2), 0.95) for channel in color)
        return red, green, blue
