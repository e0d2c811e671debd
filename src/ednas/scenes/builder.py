"""Collects the solids and surfaces of a scene, in frames that furniture and cars are described in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ednas.scenes.dice import Color, Dice
from ednas.scenes.primitives import Primitives, Shape
from ednas.scenes.scene import Surfaces
from ednas.scenes.textures import Pattern

Matrix = tuple[float, float, float, float, float, float, float, float, float]
"""A rotation, row by row."""

Skin = int | tuple[int, int, int, int, int, int]
"""One surface for a whole solid, or one for each :class:`~ednas.scenes.primitives.Face`."""

UPRIGHT: Matrix = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def turn(yaw: float) -> Matrix:
    """Rotation about the vertical: the z axis goes towards x."""
    cos, sin = math.cos(yaw), math.sin(yaw)
    return (cos, 0, sin, 0, 1, 0, -sin, 0, cos)


def tilt(pitch: float) -> Matrix:
    """Rotation about x: the z axis goes up."""
    cos, sin = math.cos(pitch), math.sin(pitch)
    return (1, 0, 0, 0, cos, -sin, 0, sin, cos)


def lean(roll: float) -> Matrix:
    """Rotation about z: the x axis goes down."""
    cos, sin = math.cos(roll), math.sin(roll)
    return (cos, -sin, 0, sin, cos, 0, 0, 0, 1)


def compose(a: Matrix, b: Matrix) -> Matrix:
    """Return the rotation that applies ``b``, then ``a``."""
    if b is UPRIGHT:
        return a
    a0, a1, a2, a3, a4, a5, a6, a7, a8 = a
    b0, b1, b2, b3, b4, b5, b6, b7, b8 = b
    return (
        a0 * b0 + a1 * b3 + a2 * b6,
        a0 * b1 + a1 * b4 + a2 * b7,
        a0 * b2 + a1 * b5 + a2 * b8,
        a3 * b0 + a4 * b3 + a5 * b6,
        a3 * b1 + a4 * b4 + a5 * b7,
        a3 * b2 + a4 * b5 + a5 * b8,
        a6 * b0 + a7 * b3 + a8 * b6,
        a6 * b1 + a7 * b4 + a8 * b7,
        a6 * b2 + a7 * b5 + a8 * b8,
    )


def _along(x: float, y: float, z: float) -> Matrix:
    """A rotation whose y axis is the unit vector (x, y, z)."""
    length = math.hypot(x, z)
    if length < 1e-6:
        return UPRIGHT
    side_x, side_z = z / length, -x / length
    # Third axis = first x second.
    return (side_x, x, -side_z * y, 0, y, side_z * x - side_x * z, side_z, z, side_x * y)


class SceneBuilder:
    """Rows of solids and surfaces, in lists until :meth:`primitives` and :meth:`surfaces` make arrays of them.

    Args:
        dice: Source of the surfaces' phases.
    """

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self._solids: list[tuple[float, ...]] = []
        self._surfaces: list[tuple[float, ...]] = []

    def surface(
        self,
        label: int,
        color: Color,
        pattern: Pattern = Pattern.PLAIN,
        second: Color | None = None,
        params: tuple[float, ...] = (),
        *,
        gloss: float = 0.0,
        glow: float = 0.0,
    ) -> int:
        """Add a surface and return its row; see :class:`~ednas.scenes.scene.Surfaces` for the values."""
        values = (*params, 0.0, 0.0, 0.0, 0.0)[:4]
        phase = 256 * self.dice.unit()
        self._surfaces.append((label, pattern, *color, *(second or color), *values, phase, gloss, glow))
        return len(self._surfaces) - 1

    def add(
        self,
        shape: Shape,
        center: tuple[float, float, float],
        half: tuple[float, float, float],
        skin: Skin,
        rotation: Matrix = UPRIGHT,
        *,
        casts: bool = True,
    ) -> None:
        """Add a solid in world coordinates (y down, metres)."""
        faces = (skin,) * 6 if isinstance(skin, int) else skin
        self._solids.append((shape, *center, *half, *rotation, *faces, casts))

    def frame(self, x: float, z: float, yaw: float = 0.0, base: float = 0.0) -> Frame:
        """Return a frame with its origin at (x, z), ``base`` metres above the ground."""
        return Frame(self, x, z, base, turn(yaw))

    def primitives(self) -> Primitives:
        """Return the solids, sorted by shape (the order among equals stays)."""
        rows = np.array(self._solids)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        values = rows.astype(np.float32)
        return Primitives(
            shape=rows[:, 0].astype(np.uint8),
            center=np.ascontiguousarray(values[:, 1:4]),
            half=np.ascontiguousarray(values[:, 4:7]),
            rotation=np.ascontiguousarray(values[:, 7:16]).reshape(-1, 3, 3),
            surfaces=rows[:, 16:22].astype(np.int32),
            casts=rows[:, 22] > 0,
            handed=np.ones(len(rows), np.float32),
        )

    def surfaces(self) -> Surfaces:
        """Return the table of surfaces."""
        rows = np.array(self._surfaces)
        values = rows.astype(np.float32)
        return Surfaces(
            label=rows[:, 0].astype(np.uint8),
            pattern=rows[:, 1].astype(np.uint8),
            color=values[:, 2:5],
            second=values[:, 5:8],
            params=values[:, 8:12],
            phase=values[:, 12],
            gloss=values[:, 13],
            glow=values[:, 14],
        )


@dataclass(frozen=True)
class Frame:
    """A place where an object stands: x to its right, z forward, heights in metres above its base.

    Attributes:
        builder: Where the solids go.
        x: World position.
        z: World position.
        base: Height of the origin above the ground.
        rotation: The frame's axes in the world.
    """

    builder: SceneBuilder
    x: float
    z: float
    base: float
    rotation: Matrix

    def _world(self, x: float, up: float, z: float) -> tuple[float, float, float]:
        r = self.rotation
        return self.x + r[0] * x + r[2] * z, -(self.base + up), self.z + r[6] * x + r[8] * z

    def at(self, x: float, z: float, up: float = 0.0, yaw: float = 0.0) -> Frame:
        """Return a frame with its origin at (x, z) of this one, ``up`` above it and turned by ``yaw``."""
        world_x, _, world_z = self._world(x, up, z)
        rotation = compose(self.rotation, turn(yaw)) if yaw else self.rotation
        return Frame(self.builder, world_x, world_z, self.base + up, rotation)

    def solid(
        self,
        shape: Shape,
        middle: tuple[float, float, float],
        size: tuple[float, float, float],
        skin: Skin,
        rotation: Matrix = UPRIGHT,
        *,
        casts: bool = True,
    ) -> None:
        """Add a solid around ``middle`` = (x, height, z) with full ``size`` = (width, height, length)."""
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self.builder.add(shape, self._world(*middle), half, skin, compose(self.rotation, rotation), casts=casts)

    def box(
        self,
        x: float,
        bottom: float,
        z: float,
        size: tuple[float, float, float],
        skin: Skin,
        *,
        rotation: Matrix = UPRIGHT,
        casts: bool = True,
    ) -> None:
        """Add a box that stands at height ``bottom``; (x, z) is the middle of its footprint."""
        self.solid(Shape.BOX, (x, bottom + size[1] / 2, z), size, skin, rotation, casts=casts)

    def ball(self, middle: tuple[float, float, float], size: tuple[float, float, float], skin: Skin) -> None:
        """Add an ellipsoid around ``middle`` = (x, height, z) with full ``size``."""
        self.solid(Shape.ELLIPSOID, middle, size, skin)

    def post(self, foot: tuple[float, float, float], radius: float, height: float, skin: Skin) -> None:
        """Add an upright cylinder that stands on ``foot`` = (x, height, z)."""
        x, bottom, z = foot
        self.solid(Shape.CYLINDER, (x, bottom + height / 2, z), (2 * radius, height, 2 * radius), skin)

    def wheel(self, x: float, z: float, radius: float, width: float, skin: Skin) -> None:
        """Add a cylinder with its axis along x that stands on the base."""
        size = (2 * radius, width, 2 * radius)
        self.solid(Shape.CYLINDER, (x, radius, z), size, skin, lean(math.pi / 2))

    def tube(
        self, start: tuple[float, float, float], end: tuple[float, float, float], radius: float, skin: Skin
    ) -> None:
        """Add a cylinder between two points (x, height, z)."""
        a, b = self._world(*start), self._world(*end)
        x, y, z = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        length = math.sqrt(x * x + y * y + z * z)
        middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2)
        rotation = _along(x / length, y / length, z / length)
        self.builder.add(Shape.CYLINDER, middle, (radius, length / 2, radius), skin, rotation)
