"""The pinhole camera and the image regions that solids may cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ednas.scenes.primitives import MIRROR, NEAR, Float, Int, Primitives, Shape

_EDGES = np.array([(i, i | 1 << axis) for i in range(8) for axis in range(3) if not i >> axis & 1])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels.

    Attributes:
        position: World position in metres, ``(3,)`` float32.
        rotation: ``(3, 3)`` float32; its columns are the camera's axes (right, down, forward) in the world.
        focal: Focal length divided by the image's width.
        center: Principal point as fractions of (width, height).
    """

    position: Float
    rotation: Float
    focal: float
    center: tuple[float, float] = (0.5, 0.5)

    def intrinsics(self, size: tuple[int, int]) -> tuple[float, float, float]:
        """Return (focal length, principal column, principal row) in pixels; pixel (r, c) has its middle at +0.5."""
        height, width = size
        return self.focal * width, self.center[0] * width, self.center[1] * height

    def axes(self, size: tuple[int, int]) -> tuple[Float, Float]:
        """Return the rays' x for every column ``(W,)`` and y for every row ``(H,)``; z is 1."""
        focal, column, row = self.intrinsics(size)
        height, width = size
        x = (np.arange(width) + 0.5 - column) / focal
        y = (np.arange(height) + 0.5 - row) / focal
        return x.astype(np.float32), y.astype(np.float32)

    def rays(self, size: tuple[int, int]) -> Float:
        """Return the ray of every pixel in the camera frame, ``(H, W, 3)``, z = 1: ``t`` is depth along the axis."""
        x, y = self.axes(size)
        rays = np.ones((*size, 3), np.float32)
        rays[..., 0] = x
        rays[..., 1] = y[:, None]
        return rays

    def mirrored(self) -> Camera:
        """Return the camera of the world mirrored at x = 0; it sees the mirrored picture."""
        rotation = self.rotation * MIRROR[:, None] * MIRROR
        return Camera(self.position * MIRROR, rotation, self.focal, (1 - self.center[0], self.center[1]))


def view_bounds(position: Float, rotation: Float, primitives: Primitives) -> tuple[Float, Float]:
    """Bound the solids in the plane z = 1 of a viewer.

    Args:
        position: The viewer, ``(3,)``.
        rotation: ``(3, 3)``, the viewer's axes (right, down, forward) as columns.
        primitives: N solids.

    Returns:
        bounds: ``(4, N)``: smallest x, largest x, smallest y, largest y of the part in front of the viewer; smallest >
            largest where the whole solid is behind.
        nearest: ``(N,)``: smallest z of the bounding box.
    """
    corners = np.ascontiguousarray(((primitives.corners - position) @ rotation).transpose(2, 1, 0))
    nearest = corners[2].min(0)
    x, y = corners[:2] / np.maximum(corners[2], NEAR)
    bounds = np.stack([x.min(0), x.max(0), y.min(0), y.max(0)])
    cut = np.flatnonzero(nearest < NEAR)
    if len(cut):
        bounds[:, cut] = _cut_bounds(corners[:, :, cut])
    return bounds, nearest


def _cut_bounds(corners: Float) -> Float:
    """Bounds ``(4, n)`` of boxes that cross the viewer's plane, from their corners ``(3, 8, n)``."""
    start, end = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    run = end[2] - start[2]
    run = np.where(np.abs(run) < 1e-9, np.float32(1e-9), run)
    # Both ends of every edge, pulled along the edge to the near plane where they lie behind it.
    crossing = start + (end - start) * np.clip((NEAR - start[2]) / run, 0, 1)
    points = np.concatenate([np.where(side[2] < NEAR, crossing, side) for side in (start, end)], 1)
    hidden = np.maximum(start[2], end[2]) < NEAR
    hidden = np.concatenate([hidden, hidden])
    x, y = points[:2] / np.maximum(points[2], NEAR)
    lowest = [np.where(hidden, np.float32(np.inf), side).min(0) for side in (x, y)]
    highest = [np.where(hidden, np.float32(-np.inf), side).max(0) for side in (x, y)]
    return np.stack([lowest[0], highest[0], lowest[1], highest[1]])


def pixel_rectangles(camera: Camera, primitives: Primitives, size: tuple[int, int]) -> tuple[Int, Int, Int, Int]:
    """Return the image rectangle that each solid may cover: first row, rows, first column, columns, each ``(N,)``."""
    height, width = size
    focal, column, row = camera.intrinsics(size)
    (left, right, top, bottom), _ = view_bounds(camera.position, camera.rotation, primitives)
    inside = primitives.shape == Shape.ROOM

    def span(low: Float, high: Float, middle: float, limit: int) -> tuple[Int, Int]:
        # A margin of 0.01 pixels covers rounding; a pixel counts when its middle may be covered.
        first = np.ceil(np.clip(low * focal + middle - 0.51, 0, limit))
        last = np.floor(np.clip(high * focal + middle - 0.49, -1, limit - 1))
        first, last = np.where(inside, 0, first), np.where(inside, limit - 1, last)
        return first.astype(np.int64), np.maximum(last - first + 1, 0).astype(np.int64)

    first_row, rows = span(top, bottom, row, height)
    first_column, columns = span(left, right, column, width)
    return first_row, rows, first_column, columns
