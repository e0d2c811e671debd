"""Frames that furniture, cars and whole scenes are described in; they collect solids and surfaces."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from ednas.scenes.camera import Camera
from ednas.scenes.dice import Color, Dice, darker
from ednas.scenes.primitives import Primitives, Shape
from ednas.scenes.scene import Sensor, Surfaces
from ednas.scenes.textures import Pattern

Vector = tuple[float, float, float]

Matrix = tuple[float, float, float, float, float, float, float, float, float]
"""A rotation, row by row."""

Skin = int | tuple[int, int, int, int, int, int]
"""One surface for a whole solid, or one for each :class:`~ednas.scenes.primitives.Face`."""

Range = tuple[float, float]
"""Smallest and largest value of something drawn."""

QUARTER = math.pi / 2

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


@dataclass(frozen=True)
class Frame:
    """A place where things stand: x to its right, z forward, heights in metres above its base.

    A new frame is the world's; all frames that are made of it add to the same scene.

    Attributes:
        dice: Source of what is random in the scene, the surfaces' phases among it.
        x: World position.
        z: World position.
        base: Height of the origin above the ground.
        rotation: The frame's axes in the world.
    """

    dice: Dice
    x: float = 0.0
    z: float = 0.0
    base: float = 0.0
    rotation: Matrix = UPRIGHT
    _solids: list[tuple[float, ...]] = field(default_factory=list)
    _surfaces: list[tuple[float, ...]] = field(default_factory=list)

    def at(self, x: float, z: float, up: float = 0.0, yaw: float = 0.0) -> Frame:
        """Return a frame with its origin at (x, z) of this one, ``up`` above it and turned by ``yaw``."""
        world_x, _, world_z = self._world(x, up, z)
        rotation = compose(self.rotation, turn(yaw)) if yaw else self.rotation
        return replace(self, x=world_x, z=world_z, base=self.base + up, rotation=rotation)

    def surface(
        self,
        label: int,
        color: Color,
        pattern: Pattern = Pattern.PLAIN,
        second: Color | float = 1.0,
        params: tuple[float, ...] = (),
        *,
        gloss: float = 0.0,
        glow: float = 0.0,
    ) -> int:
        """Add a surface and return its row.

        Args:
            label: Class id.
            color: First colour.
            pattern: How the colours mix.
            second: Second colour, or the factor that makes it of the first.
            params: The pattern's numbers; those left out are 0.
            gloss: Strength of the highlight.
            glow: Light given off, as a multiple of the colour.
        """
        values = (*params, 0.0, 0.0, 0.0, 0.0)[:4]
        phase = 256 * self.dice.unit()
        other = second if isinstance(second, tuple) else darker(color, second)
        self._surfaces.append((label, pattern, *color, *other, *values, phase, gloss, glow))
        return len(self._surfaces) - 1

    def solid(
        self, shape: Shape, middle: Vector, size: Vector, skin: Skin, rotation: Matrix = UPRIGHT, *, casts: bool = True
    ) -> None:
        """Add a solid around ``middle`` = (x, height, z) with full ``size`` = (width, height, length)."""
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self._add(shape, self._world(*middle), half, skin, compose(self.rotation, rotation), casts)

    def box(
        self,
        x: float,
        bottom: float,
        z: float,
        size: Vector,
        skin: Skin,
        *,
        rotation: Matrix = UPRIGHT,
        casts: bool = True,
    ) -> None:
        """Add a box that stands at height ``bottom``; (x, z) is the middle of its footprint."""
        self.solid(Shape.BOX, (x, bottom + size[1] / 2, z), size, skin, rotation, casts=casts)

    def ball(self, middle: Vector, size: Vector, skin: Skin, rotation: Matrix = UPRIGHT) -> None:
        """Add an ellipsoid around ``middle`` = (x, height, z) with full ``size``."""
        self.solid(Shape.ELLIPSOID, middle, size, skin, rotation)

    def post(self, foot: Vector, radius: float, height: float, skin: Skin) -> None:
        """Add an upright cylinder that stands on ``foot`` = (x, height, z)."""
        x, bottom, z = foot
        self.solid(Shape.CYLINDER, (x, bottom + height / 2, z), (2 * radius, height, 2 * radius), skin)

    def wheel(self, x: float, z: float, radius: float, width: float, skin: Skin) -> None:
        """Add a cylinder with its axis along x that stands on the base."""
        size = (2 * radius, width, 2 * radius)
        self.solid(Shape.CYLINDER, (x, radius, z), size, skin, lean(QUARTER))

    def tube(self, start: Vector, end: Vector, radius: float, skin: Skin) -> None:
        """Add a cylinder between two points (x, height, z)."""
        a, b = self._world(*start), self._world(*end)
        x, y, z = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        length = math.sqrt(x * x + y * y + z * z)
        middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2)
        rotation = _along(x / length, y / length, z / length)
        self._add(Shape.CYLINDER, middle, (radius, length / 2, radius), skin, rotation)

    def primitives(self) -> Primitives:
        """Return the solids of the scene, sorted by shape (the order among equals stays)."""
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
        """Return the table of the scene's surfaces."""
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

    def _world(self, x: float, up: float, z: float) -> Vector:
        r = self.rotation
        return self.x + r[0] * x + r[2] * z, -(self.base + up), self.z + r[6] * x + r[8] * z

    def _add(
        self, shape: Shape, center: Vector, half: Vector, skin: Skin, rotation: Matrix, casts: bool = True
    ) -> None:
        """Add a solid in world coordinates (y down, metres)."""
        faces = (skin,) * 6 if isinstance(skin, int) else skin
        self._solids.append((shape, *center, *half, *rotation, *faces, casts))


def look(yaw: float, pitch: float, roll: float, position: Vector, focal: float) -> Camera:
    """Return the camera at a world ``position`` that looks along z, then is rolled, raised and turned."""
    rotation = compose(compose(turn(yaw), tilt(pitch)), lean(roll))
    return Camera(np.array(position, np.float32), np.array(rotation, np.float32).reshape(3, 3), focal)


def draw_sensor(dice: Dice, tint: float, *, gain: Range, noise: Range, blur: Range, vignette: Range) -> Sensor:
    """Draw a sensor whose white balance is off by a standard deviation of ``tint``."""
    balance = np.array([1 + dice.normal(tint), 1, 1 + dice.normal(tint)], np.float32)
    return Sensor(
        gain=balance * np.float32(dice.uniform(*gain)),
        noise=dice.uniform(*noise),
        blur=dice.uniform(*blur),
        vignette=dice.uniform(*vignette),
    )
