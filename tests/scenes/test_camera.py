"""The camera: where a pixel looks, where a point is seen, and the mirrored picture."""

from __future__ import annotations

import numpy as np
import pytest

from ednas.scenes import SCENES, describe_scene
from ednas.scenes.camera import Camera, pixel_rectangles
from ednas.scenes.frame import compose, lean, turn
from ednas.scenes.tracing import trace

SIZE = (24, 40)
CAMERA = Camera(
    np.array([1.0, -2.0, 0.5], np.float32),
    np.array(compose(turn(0.3), lean(-0.2)), np.float32).reshape(3, 3),
    0.7,
    (0.45, 0.6),
)


def project(camera: Camera, points: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in pixels of world points ``(..., 3)``."""
    seen = (points - camera.position) @ camera.rotation
    column = seen[..., 0] / seen[..., 2] * camera.focal * size[1] + camera.center[0] * size[1]
    row = seen[..., 1] / seen[..., 2] * camera.focal * size[1] + camera.center[1] * size[0]
    return row, column


def test_a_point_along_a_pixels_ray_is_seen_in_its_middle() -> None:
    depth = np.random.default_rng(0).uniform(0.5, 50, (*SIZE, 1))
    points = CAMERA.position + (CAMERA.rays(SIZE) * depth) @ CAMERA.rotation.T
    row, column = project(CAMERA, points, SIZE)
    np.testing.assert_allclose(row, np.broadcast_to(np.arange(SIZE[0])[:, None] + 0.5, SIZE), atol=1e-3)
    np.testing.assert_allclose(column, np.broadcast_to(np.arange(SIZE[1]) + 0.5, SIZE), atol=1e-3)


def test_the_mirrored_camera_sees_the_mirrored_point_in_the_mirrored_place() -> None:
    points = CAMERA.position + (CAMERA.rays(SIZE) * 3) @ CAMERA.rotation.T
    row, column = project(CAMERA, points, SIZE)
    other_row, other_column = project(CAMERA.mirrored(), points * [-1, 1, 1], SIZE)
    np.testing.assert_allclose(other_row, row, atol=1e-3)
    np.testing.assert_allclose(other_column, SIZE[1] - column, atol=1e-3)


@pytest.mark.parametrize("name", SCENES)
def test_solids_are_seen_within_their_rectangles(name: str) -> None:
    scene = describe_scene(name, 2)
    first_row, rows, first_column, columns = pixel_rectangles(scene.camera, scene.primitives, SIZE)
    hits = trace(scene, scene.camera.rays(SIZE))  # of all solids, without rectangles
    row, column = (places.ravel() for places in np.indices(SIZE))
    solid = hits.primitive.ravel()
    hit = solid >= 0
    assert hit.mean() > 0.3
    row, column, solid = row[hit], column[hit], solid[hit]
    assert ((row >= first_row[solid]) & (row < first_row[solid] + rows[solid])).all()
    assert ((column >= first_column[solid]) & (column < first_column[solid] + columns[solid])).all()
