"""The fast renderer's hits against slow ones, and shadows against a ray by ray search."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ednas.scenes import SCENES, Camera, describe_scene, trace
from ednas.scenes.frame import compose, lean, tilt, turn
from ednas.scenes.primitives import Shape, distance
from ednas.scenes.tracing import see, shadowed

SIZES = [(64, 128), (33, 47), (96, 40)]


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("seed", range(4))
def test_culled_hits_equal_those_of_all_solids(name: str, seed: int) -> None:
    scene = describe_scene(name, seed)
    for size in SIZES:
        fast = see(scene, size)
        slow = trace(scene, scene.camera.rays(size).reshape(-1, 3))
        same = fast.primitive == slow.primitive
        # Rounding may decide differently where two surfaces meet.
        assert same.mean() > 0.999
        finite = same & np.isfinite(slow.t)
        assert np.allclose(fast.t[finite], slow.t[finite], rtol=1e-4)
        assert np.allclose(fast.normal[finite], slow.normal[finite], atol=1e-3)
        assert (fast.label[same] == slow.label[same]).all()


@pytest.mark.parametrize("name", SCENES)
def test_culling_holds_from_inside_the_crowd(name: str) -> None:
    """Odd cameras: solids cross the image plane, lie behind, or fill the view."""
    scene = describe_scene(name, 5)
    generator = np.random.default_rng(3)
    for _ in range(6):
        rotation = compose(compose(turn(generator.uniform(-3, 3)), tilt(generator.uniform(-1, 1))), lean(0.4))
        camera = Camera(
            np.array([generator.uniform(-1, 1), -generator.uniform(0.6, 2), generator.uniform(-1, 1)], np.float32),
            np.array(rotation, np.float32).reshape(3, 3),
            focal=generator.uniform(0.3, 1.5),
            center=(0.4, 0.7),
        )
        moved = dataclasses.replace(scene, camera=camera)
        fast, slow = see(moved, (40, 56)), trace(moved, camera.rays((40, 56)).reshape(-1, 3))
        assert (fast.primitive == slow.primitive).mean() > 0.998


@pytest.mark.parametrize("name", SCENES)
def test_hits_lie_on_their_solids(name: str) -> None:
    scene = describe_scene(name, 2)
    hits = see(scene, (48, 96))
    rows = np.flatnonzero((hits.primitive >= 0) & (scene.primitives.shape[hits.primitive] == Shape.BOX))
    share = np.abs(hits.local[rows]) / scene.primitives.half[hits.primitive[rows]]
    assert np.allclose(share.max(1), 1, atol=0.02)
    assert len(rows) > 100
    # The face that a hit reports is the one it lies on.
    axis = hits.face[rows] // 2
    on_face = hits.local[rows, axis] * np.where(hits.face[rows] % 2, 1, -1)
    assert np.allclose(on_face, scene.primitives.half[hits.primitive[rows], axis], atol=1e-2)


def test_rays_of_any_shape_and_length() -> None:
    scene = describe_scene("rooms", 1)
    rays = scene.camera.rays((32, 40))
    hits, longer = trace(scene, rays), trace(scene, 2 * rays)
    assert hits.t.shape == hits.label.shape == (32, 40)
    assert hits.normal.shape == (32, 40, 3)
    assert np.allclose(hits.t, 2 * longer.t, rtol=1e-4)
    assert (hits.primitive == longer.primitive).mean() > 0.999


@pytest.mark.parametrize("name", SCENES)
def test_shadows_equal_a_search_through_all_solids(name: str) -> None:
    scene = describe_scene(name, 7)
    light = scene.lights[0].position
    hits = see(scene, (24, 48))
    rows = np.flatnonzero(hits.primitive >= 0)
    rays = scene.camera.rays((24, 48)).reshape(-1, 3)[rows] * hits.t[rows, None]
    points = scene.camera.position + rays @ scene.camera.rotation.T
    points += 0.02 * hits.normal[rows] @ scene.camera.rotation.T
    dark = shadowed(scene.primitives, points, light, points.mean(0))

    expected = np.zeros(len(rows), bool)
    solids = scene.primitives
    for index in np.flatnonzero(solids.casts):
        start = solids.to_local[index] @ (points - solids.center[index]).T
        goal = solids.to_local[index] @ (light - solids.center[index])
        t = distance(Shape(int(solids.shape[index])), start, goal[:, None] - start, 0)
        expected |= t < 1
    if name == "rooms":
        # Points above the lamp count as lit.
        below = points[:, 1] > light[1] + 0.3
        assert (dark == expected)[below].mean() > 0.99
    else:
        assert (dark == expected).mean() > 0.99
    assert 0.02 < expected.mean() < 0.98
