"""What rays meet: one primitive at a time (:func:`trace`), or all pixels at once (:func:`see`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.scenes.camera import pixel_rectangles, view_bounds
from ednas.scenes.classes import VOID
from ednas.scenes.primitives import NEAR, NO_HIT, Float, Int, Primitives, Shape, distance, dot, face_and_normal
from ednas.scenes.scene import Scene

_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Hits:
    """What each ray meets first; ``...`` is the rays' shape.

    Attributes:
        t: ``(...)`` float32: the ray's parameter, infinity for the sky; with ``Camera.rays`` the depth along the
            optical axis in metres.
        primitive: ``(...)`` int64: which solid; -1 for the sky.
        face: ``(...)`` int64: which :class:`~ednas.scenes.primitives.Face` of it; 0 for the sky.
        normal: ``(..., 3)`` float32: unit, camera frame, against the ray; zero for the sky.
        label: ``(...)`` uint8: class id; ``VOID`` where nothing is hit (``render`` calls it sky in streets).
        local: ``(..., 3)`` float32: the point in metres along the solid's own axes, as its texture sees it.
    """

    t: Float
    primitive: Int
    face: Int
    normal: Float
    label: npt.NDArray[np.uint8]
    local: Float


def _matrices(scene: Scene) -> tuple[Float, Float]:
    """Camera to unit solids: the camera's position ``(N, 3)`` and its axes ``(N, 3, 3)``."""
    camera, solids = scene.camera, scene.primitives
    origin = np.einsum("nij,nj->ni", solids.to_local, camera.position - solids.center)
    return origin.astype(np.float32), np.asarray(solids.to_local @ camera.rotation, np.float32)


def _hits(scene: Scene, rays: Float, t: Float, primitive: Int) -> Hits:
    """Complete the hits of ``n`` rays ``(n, 3)`` whose solid and distance are known."""
    solids = scene.primitives
    all_origins, all_axes = _matrices(scene)
    rows = np.flatnonzero(primitive >= 0)
    which = primitive[rows]
    rays_hit, t_hit = rays[rows], t[rows]
    origin = np.ascontiguousarray(all_origins[which].T)
    direction = np.einsum("nij,nj->in", all_axes[which], rays_hit)
    face = np.zeros(len(rows), np.int64)
    normal = np.zeros((3, len(rows)), np.float32)
    shapes = solids.shape[which]
    for shape in Shape:
        mine = np.flatnonzero(shapes == shape)
        if len(mine):
            face[mine], normal[:, mine] = face_and_normal(shape, origin[:, mine], direction[:, mine], t_hit[mine])
    local = (origin + t_hit * direction).T * solids.half[which]
    # A mirrored copy wears its texture the other way round, so left and right change places.
    flipped = solids.handed[which] < 0
    local[:, 0] *= solids.handed[which]
    face = np.where(flipped & (face < 2) & (shapes != Shape.CYLINDER) & (shapes != Shape.ELLIPSOID), 1 - face, face)
    # Normals go to the camera by the inverse transpose of the map from camera to unit solid.
    facing = np.einsum("nij,in->nj", all_axes[which], normal)
    facing /= np.maximum(np.sqrt(dot(facing, facing)), 1e-20)[:, None]
    # Rounding can turn a silhouette's normal away from the camera by a hair.
    unit = rays_hit / np.sqrt(dot(rays_hit, rays_hit))[:, None]
    away = np.maximum(dot(facing, unit) + np.float32(1e-6), 0)
    facing -= 2 * away[:, None] * unit

    def everywhere(values: npt.NDArray[Any], empty: int) -> npt.NDArray[Any]:
        found = np.full((len(rays), *values.shape[1:]), empty, values.dtype)
        found[rows] = values
        return found

    label = scene.surfaces.label[solids.surfaces[which, face]]
    return Hits(t, primitive, everywhere(face, 0), everywhere(facing, 0), everywhere(label, VOID), everywhere(local, 0))


def trace(scene: Scene, rays: Float) -> Hits:
    """Follow arbitrary rays from the scene's camera, trying every solid: slow and simple.

    Args:
        scene: The scene; replace its camera to look from elsewhere.
        rays: ``(..., 3)`` directions in the camera frame, of any length; ``t`` counts in their lengths.

    Returns:
        The first hits, of the rays' shape.
    """
    shape = rays.shape[:-1]
    flat = np.asarray(rays, np.float32).reshape(-1, 3)
    origins, axes = _matrices(scene)
    best = np.full(len(flat), NO_HIT, np.float32)
    primitive = np.full(len(flat), -1, np.int64)
    for index, kind in enumerate(scene.primitives.shape):
        t = distance(Shape(int(kind)), origins[index][:, None], axes[index] @ flat.T)
        closer = t < best
        best[closer], primitive[closer] = t[closer], index
    hits = _hits(scene, flat, best, primitive)
    return Hits(*(values.reshape(*shape, *values.shape[1:]) for values in vars(hits).values()))


def _pair_distances(shapes: npt.NDArray[np.uint8], origin: Float, direction: Float, nearest: float) -> Float:
    """Distances of pairs (ray, solid) that are sorted by the solid's shape: ``(n,)`` for ``(3, n)`` inputs."""
    result = np.empty(len(shapes), np.float32)
    borders = np.searchsorted(shapes, np.arange(len(Shape) + 1))
    for shape in Shape:
        part = slice(borders[shape], borders[shape + 1])
        if part.start < part.stop:
            result[part] = distance(shape, origin[:, part], direction[:, part], nearest)
    return result


def see(scene: Scene, size: tuple[int, int]) -> Hits:
    """Return what every pixel of the camera meets first, ``(H * W,)`` in row order.

    Tests each solid only inside the rectangle that its bounding box covers, all pairs (pixel, solid) in one batch.
    """
    height, width = size
    solids, camera = scene.primitives, scene.camera
    first_row, rows, first_column, columns = pixel_rectangles(camera, solids, size)
    counts = rows * columns
    total = int(counts.sum())
    solid = np.repeat(np.arange(len(solids)), counts)
    place = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    down = place // np.repeat(np.maximum(columns, 1), counts)
    row = down + np.repeat(first_row, counts)
    column = place - down * np.repeat(columns, counts) + np.repeat(first_column, counts)

    origins, axes = _matrices(scene)
    x, y = camera.axes(size)
    ray_x, ray_y = x[column], y[row]
    origin = np.empty((3, total), np.float32)
    direction = np.empty((3, total), np.float32)
    for axis in range(3):
        origin[axis] = np.repeat(origins[:, axis], counts)
        right, below, ahead = (np.repeat(axes[:, axis, k], counts) for k in range(3))
        direction[axis] = right * ray_x + below * ray_y + ahead
    t = _pair_distances(np.repeat(solids.shape, counts), origin, direction, NEAR)

    # The bits of positive floats sort like the floats, so one integer minimum finds distance and solid.
    hit = np.flatnonzero(t < NO_HIT)
    key = t[hit].view(np.uint32).astype(np.uint64) << np.uint64(32) | solid[hit].astype(np.uint64)
    best = np.full(height * width, _EMPTY)
    np.minimum.at(best, row[hit] * width + column[hit], key)
    empty = best == _EMPTY
    primitive = np.where(empty, -1, (best & np.uint64(0xFFFFFFFF)).astype(np.int64))
    depth = np.where(empty, NO_HIT, (best >> np.uint64(32)).astype(np.uint32).view(np.float32))
    return _hits(scene, camera.rays(size).reshape(-1, 3), depth, primitive)


def _looking(direction: Float) -> Float:
    """Axes of a viewer who looks along ``direction``, as columns."""
    forward = direction / np.sqrt((direction * direction).sum())
    helper = np.array([0, 0, 1] if abs(forward[2]) < 0.9 else [0, 1, 0], np.float32)
    right = np.cross(helper, forward)
    right /= np.sqrt((right * right).sum())
    return np.stack([right, np.cross(forward, right), forward], 1).astype(np.float32)


def shadowed(primitives: Primitives, points: Float, light: Float, toward: Float) -> npt.NDArray[np.bool_]:
    """Return which points a lamp does not reach.

    Args:
        primitives: The solids; those that cast no shadow are left out.
        points: World positions ``(n, 3)``, already lifted off their own surface.
        light: World position of the lamp, ``(3,)``.
        toward: World position that the lamp looks at; points behind the lamp count as lit.

    Returns:
        ``(n,)`` bool.
    """
    dark = np.zeros(len(points), np.bool_)
    casters = np.flatnonzero(primitives.casts)
    if not len(casters) or not len(points):
        return dark
    rotation = _looking(toward - light)
    bounds, nearest = view_bounds(light, rotation, primitives)
    left, right, top, bottom = (side[casters, None] for side in bounds)
    seen = (points - light) @ rotation
    depth = np.maximum(seen[:, 2], NEAR)
    x, y = seen[:, 0] / depth, seen[:, 1] / depth
    behind = (x > left) & (x < right) & (y > top) & (y < bottom) & (depth > nearest[casters, None])
    behind &= seen[:, 2] > NEAR
    caster, point = np.divmod(np.flatnonzero(behind), len(points))
    solid = casters[caster]
    # Towards the lamp, so that a parameter below 1 lies between the point and the lamp.
    start = np.einsum("nij,nj->in", primitives.to_local[solid], points[point] - primitives.center[solid])
    lamp = np.einsum("nij,nj->in", primitives.to_local, light - primitives.center)
    goal = lamp[:, solid]
    t = _pair_distances(primitives.shape[solid], start, goal - start, 0)
    dark[point[t < 1]] = True
    return dark
