"""Convex solids and their intersection with rays.

Every solid is a *unit* solid (cube, ball, cylinder along y) that is scaled by its half sizes, rotated and moved. A ray
taken to the solid's own coordinates keeps its parameter ``t``, and lies inside a convex solid during one interval
``[near, far]``: three short formulas serve every primitive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating[Any]]
"""Arrays of float32: the stubs of some numpy versions call their products with Python numbers float64."""

Int = npt.NDArray[np.int64]

NEAR = 0.05
"""Nothing closer than this to the camera's plane is seen, in metres."""

NO_HIT = np.float32(np.inf)


MIRROR = np.array([-1, 1, 1], np.float32)
"""Factor of every vector's components when the world is mirrored (x -> -x)."""

_TINY = np.float32(1e-12)


def dot(a: Float, b: Float) -> Float:
    """Dot products of vectors ``(n, 3)``, ``(n,)``; much faster than a sum over the short axis."""
    return np.asarray(np.einsum("ni,ni->n", a, b))


class Shape(IntEnum):
    """Unit solids."""

    BOX = 0
    """``|x|, |y|, |z| <= 1``, seen from outside."""
    ELLIPSOID = 1
    """The unit ball."""
    CYLINDER = 2
    """``x^2 + z^2 <= 1, |y| <= 1``, with caps."""
    ROOM = 3
    """The cube seen from inside: walls, floor and ceiling."""


class Face(IntEnum):
    """Which side of a solid was hit, in the solid's own coordinates (y points down)."""

    LEFT = 0
    RIGHT = 1
    TOP = 2
    BOTTOM = 3
    FRONT = 4
    BACK = 5


@dataclass(frozen=True)
class Primitives:
    """All solids of a scene as arrays, sorted by shape.

    Attributes:
        shape: ``(N,)`` uint8, ascending.
        center: ``(N, 3)`` metres.
        half: ``(N, 3)`` metres.
        rotation: ``(N, 3, 3)`` own axes as columns.
        surfaces: ``(N, 6)`` rows of the surface table by :class:`Face`; a ball uses the first, a cylinder's side uses
            the first and its caps ``TOP`` and ``BOTTOM``.
        casts: ``(N,)`` bool: whether it throws shadows.
        handed: ``(N,)`` +1, or -1 if the solid is a mirrored copy (its textures run the other way along x).
    """

    shape: npt.NDArray[np.uint8]
    center: Float
    half: Float
    rotation: Float
    surfaces: npt.NDArray[np.int32]
    casts: npt.NDArray[np.bool_]
    handed: Float

    def __len__(self) -> int:
        return len(self.shape)

    @cached_property
    def to_local(self) -> Float:
        """``(N, 3, 3)``: world vectors to the unit solids' coordinates."""
        return np.ascontiguousarray(self.rotation.transpose(0, 2, 1) / self.half[:, :, None])

    @cached_property
    def corners(self) -> Float:
        """``(N, 8, 3)``: corners of the bounding boxes in the world; corner i has the signs of the bits of i."""
        signs = np.array([[1 - 2 * (i >> axis & 1) for axis in range(3)] for i in range(8)], np.float32)
        offsets = (signs * self.half[:, None, :]) @ self.rotation.transpose(0, 2, 1)
        return np.asarray(self.center[:, None, :] + offsets, np.float32)

    def mirrored(self) -> Primitives:
        """Return the same solids in a world mirrored at x = 0."""
        rotation = self.rotation * MIRROR[:, None] * MIRROR
        return replace(self, center=self.center * MIRROR, rotation=rotation, handed=-self.handed)


def _slab(origin: Float, direction: Float) -> tuple[Float, Float]:
    """Interval during which one coordinate stays within [-1, 1]."""
    inverse = 1 / np.where(np.abs(direction) < _TINY, _TINY, direction)
    middle = -origin * inverse
    reach = np.abs(inverse)
    return middle - reach, middle + reach


def _round(origin: Float, direction: Float) -> tuple[Float, Float]:
    """Interval during which the sum of the squared coordinates is at most 1.

    Measured from the ray's closest point, not from its origin: the usual discriminant cancels in float32 when the
    solid is much smaller than its distance.
    """
    squared = np.maximum((direction * direction).sum(0), _TINY)
    closest = -(origin * direction).sum(0) / squared
    foot = origin + closest * direction
    rest = 1 - (foot * foot).sum(0)
    reach = np.sqrt(np.maximum(rest, 0) / squared)
    missed = rest <= 0
    return np.where(missed, NO_HIT, closest - reach), np.where(missed, -NO_HIT, closest + reach)


def interval(shape: Shape, origin: Float, direction: Float) -> tuple[Float, Float]:
    """Return when rays enter and leave a unit solid.

    Args:
        shape: The solid.
        origin: ``(3, n)`` in the solid's coordinates.
        direction: ``(3, n)``, of any length.

    Returns:
        near, far: ``(n,)``; near > far where the line misses the solid.
    """
    if shape is Shape.ELLIPSOID:
        return _round(origin, direction)
    near, far = _slab(origin[1], direction[1])
    if shape is Shape.CYLINDER:
        others = [_round(origin[::2], direction[::2])]
    else:
        others = [_slab(origin[axis], direction[axis]) for axis in (0, 2)]
    for other_near, other_far in others:
        near, far = np.maximum(near, other_near), np.minimum(far, other_far)
    return near, far


def distance(shape: Shape, origin: Float, direction: Float, nearest: float = NEAR) -> Float:
    """Return the ray parameter of the visible surface: ``(n,)``, infinity where there is none beyond ``nearest``.

    Args:
        shape: The solid.
        origin: ``(3, n)`` in the solid's coordinates.
        direction: ``(3, n)``, of any length.
        nearest: Smallest parameter that counts.
    """
    near, far = interval(shape, origin, direction)
    t = far if shape is Shape.ROOM else near
    return np.where((near <= far) & (t > nearest), t, NO_HIT)


def face_and_normal(shape: Shape, origin: Float, direction: Float, t: Float) -> tuple[Int, Float]:
    """Return where on the solid a ray arrives.

    Args:
        shape: The solid.
        origin: ``(3, n)`` in the solid's coordinates.
        direction: ``(3, n)``.
        t: ``(n,)``, finite values of :func:`distance`.

    Returns:
        face: ``(n,)`` :class:`Face`.
        normal: ``(3, n)`` in unit coordinates, not of unit length, against the ray.
    """
    count = t.shape[0]
    if shape is Shape.ELLIPSOID:
        return np.zeros(count, np.int64), origin + t * direction
    columns = np.arange(count)
    if shape is Shape.CYLINDER:
        cap = _slab(origin[1], direction[1])[0] >= _round(origin[::2], direction[::2])[0]
        side = origin + t * direction
        side[1] = 0
        lid = np.zeros_like(side)
        lid[1] = -np.sign(direction[1])
        face = np.where(cap, np.where(direction[1] > 0, Face.TOP, Face.BOTTOM), Face.LEFT)
        return face.astype(np.int64), np.where(cap, lid, side)
    slabs = [_slab(origin[axis], direction[axis]) for axis in range(3)]
    if shape is Shape.ROOM:
        axis = np.argmin([far for _, far in slabs], axis=0)
    else:
        axis = np.argmax([near for near, _ in slabs], axis=0)
    ahead = direction[axis, columns] > 0
    normal = np.zeros_like(direction)
    normal[axis, columns] = np.where(ahead, -1, 1)
    return 2 * axis + (ahead == (shape is Shape.ROOM)), normal
