"""Where things may stand in a room: free stretches along its walls, free discs on its floor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ednas.scenes.frame import Frame

_GAP = 0.06
"""Half the distance in metres that things along a wall keep."""


@dataclass
class Wall:
    """One wall and what is still free along it.

    Attributes:
        frame: Origin at the middle of the wall's foot, z into the room.
        length: Its length in metres.
        low: Stretches (start, end) taken at the floor.
        high: Stretches taken at eye level.
    """

    frame: Frame
    length: float
    low: list[tuple[float, float]] = field(default_factory=list)
    high: list[tuple[float, float]] = field(default_factory=list)

    def find(self, width: float, *, floor: bool, eye: bool, margin: float = 0.05) -> Frame | None:
        """Return a frame at the middle of a free stretch, or None if there is none."""
        reach = (self.length - width) / 2 - margin
        if reach < 0:
            return None
        taken = (self.low if floor else []) + (self.high if eye else [])
        for _ in range(8):
            x = self.frame.dice.uniform(-reach, reach)
            start, end = x - width / 2 - _GAP, x + width / 2 + _GAP
            if all(end <= other_start or start >= other_end for other_start, other_end in taken):
                return self.frame.at(x, 0)
        return None

    def take(self, frame: Frame, width: float, *, floor: bool, eye: bool) -> None:
        """Mark the stretch around a frame of :meth:`find` as taken."""
        axis_x, axis_z = self.frame.rotation[0], self.frame.rotation[6]
        x = (frame.x - self.frame.x) * axis_x + (frame.z - self.frame.z) * axis_z
        for used, stretches in ((floor, self.low), (eye, self.high)):
            if used:
                stretches.append((x - width / 2 - _GAP, x + width / 2 + _GAP))

    def place(self, width: float, *, floor: bool, eye: bool, margin: float = 0.05) -> Frame | None:
        """Find a free stretch and take it."""
        if frame := self.find(width, floor=floor, eye=eye, margin=margin):
            self.take(frame, width, floor=floor, eye=eye)
        return frame


@dataclass
class Room:
    """The room while it is being furnished.

    Attributes:
        world: The middle of its floor.
        kind: What the room is for.
        size: Width (x), height and length (z) in metres.
        eye: The camera's x and z.
        walls: Far, left, right, near; the camera stands near the last.
        middle: Discs (x, z, radius) taken away from the walls.
    """

    world: Frame
    kind: str
    size: tuple[float, float, float]
    eye: tuple[float, float]
    walls: list[Wall]
    middle: list[tuple[float, float, float]] = field(default_factory=list)

    def along(
        self, width: float, depth: float, walls: tuple[int, ...] = (0, 1, 2), *, tall: bool = False
    ) -> Frame | None:
        """Find a place for a piece of furniture with its back to a wall.

        Args:
            width: Along the wall.
            depth: Into the room.
            walls: Which walls may be used, most wanted first.
            tall: Whether it also takes the wall at eye level.
        """
        for index in walls:
            wall = self.walls[index]
            if depth > (self.size[0] if index else self.size[2]) - 1.0:
                continue
            for _ in range(3):
                frame = wall.find(width, floor=True, eye=tall)
                if frame is None:
                    break
                center = frame.at(0, depth / 2)
                discs = self._discs(frame, width, depth)
                near_eye = math.hypot(center.x - self.eye[0], center.z - self.eye[1]) < max(width, depth) / 2 + 0.7
                if not near_eye and all(self._free(*disc) for disc in discs):
                    wall.take(frame, width, floor=True, eye=tall)
                    self.middle += discs
                    return frame
        return None

    def open(self, radius: float) -> tuple[float, float] | None:
        """Find a free disc on the floor, in front of the camera."""
        dice, (wide, _, long) = self.world.dice, self.size
        for _ in range(10):
            x = dice.uniform(-1, 1) * (wide / 2 - radius - 0.1)
            z = dice.uniform(-1, 1) * (long / 2 - radius - 0.1)
            clear = math.hypot(x - self.eye[0], z - self.eye[1]) > radius + 0.75
            if clear and self._free(x, z, radius):
                self.middle.append((x, z, radius))
                return x, z
        return None

    @staticmethod
    def _discs(frame: Frame, width: float, depth: float) -> list[tuple[float, float, float]]:
        """Cover a footprint against a wall with discs (x, z, radius) as wide as its shorter side."""
        radius = min(width, depth) / 2
        count = max(math.ceil(max(width, depth) / (2 * radius)), 1)
        discs = []
        for index in range(count):
            share = (index + 0.5) / count
            spot = frame.at((share - 0.5) * width, depth / 2) if width >= depth else frame.at(0, share * depth)
            discs.append((spot.x, spot.z, radius))
        return discs

    def _free(self, x: float, z: float, radius: float) -> bool:
        return all(math.hypot(x - a, z - b) > radius + r for a, b, r in self.middle)
