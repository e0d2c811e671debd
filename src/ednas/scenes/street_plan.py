"""The outline of a street: what its width, sidewalks and cross street are."""

from __future__ import annotations

from dataclasses import dataclass

from ednas.scenes.dice import Dice

BEHIND, END = -12.0, 260.0
"""Where the street begins (behind the camera) and ends along z, in metres."""

KERB = 0.13
"""Height of the sidewalks in metres."""


@dataclass(frozen=True)
class Plan:
    """The street's outline.

    Attributes:
        style: ``city``, ``suburb``, ``boulevard`` or ``arterial``.
        lanes: Lanes of both directions.
        lane: Width of a lane.
        sidewalk: Width of each sidewalk.
        crossing: Start and end of a cross street along z; beyond the end if there is none.
        eye: The camera's x and height.
    """

    style: str
    lanes: int
    lane: float
    sidewalk: float
    crossing: tuple[float, float]
    eye: tuple[float, float]

    @property
    def half(self) -> float:
        """Half the width of the road."""
        return self.lanes * self.lane / 2

    @property
    def edge(self) -> float:
        """Distance of the sidewalks' outer edge from the middle of the road."""
        return self.half + self.sidewalk

    def blocks(self, end: float = END) -> list[tuple[float, float]]:
        """Stretches along z outside the cross street."""
        start, stop = self.crossing
        if start >= end:
            return [(BEHIND, end)]
        return [(BEHIND, start), (stop, end)]

    def clear(self, z: float, margin: float = 1.5) -> bool:
        """Whether z lies outside the cross street."""
        return not self.crossing[0] - margin < z < self.crossing[1] + margin


def draw_plan(dice: Dice) -> Plan:
    """Draw the outline of a street."""
    style = dice.choice(("city", "suburb", "boulevard", "arterial"), (5, 3, 2.5, 1.8))
    city, boulevard = dice.choice((2, 3, 4), (5, 2, 2)), dice.choice((2, 4))
    lanes = {"city": city, "suburb": 2, "boulevard": boulevard, "arterial": 4}[style]
    lane = dice.uniform(3.0, 3.7)
    sidewalk = dice.uniform(1.6, 4.5) if style != "arterial" else dice.uniform(1.0, 2.2)
    crossing = (2 * END, 2 * END)
    if style != "arterial" and dice.chance(0.5):
        start = dice.uniform(11, 45)
        crossing = (start, start + dice.uniform(7, 13))
    position = dice.integer(0, lanes // 2 - 1) + 0.5 + dice.normal(0.1)
    return Plan(style, lanes, lane, sidewalk, crossing, (position * lane, dice.uniform(1.15, 1.75)))
