"""Samples: contract, exactness of depth and normals, mirrored scenes, sizes and errors."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.exceptions import DataError
from ednas.scenes import (
    SCENES,
    VOID,
    Indoor,
    Scene,
    Shape,
    Street,
    describe_scene,
    disparity_scale,
    render,
    render_scene,
)
from ednas.scenes.tracing import see

SIZE = (64, 128)
CLASSES = {"streets": len(Street), "rooms": len(Indoor)}


def depth_in_metres(scene: Scene, depth: np.ndarray) -> np.ndarray:
    if scene.name == "rooms":
        return depth
    return np.where(depth > 0, disparity_scale(scene.camera.focal) / np.maximum(depth, 1e-9), 0)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("seed", range(6))
def test_sample_keeps_the_contract(name: str, seed: int) -> None:
    sample = render(name, seed, SIZE)
    assert sample.image.dtype == np.uint8
    assert sample.image.shape == (*SIZE, 3)
    label, depth, normals = sample.labels, sample.depth, sample.normals
    assert (label.dtype, label.shape) == (np.uint8, SIZE)
    assert (depth.dtype, depth.shape) == (np.float32, SIZE)
    assert (normals.dtype, normals.shape) == (np.float32, (*SIZE, 3))
    assert all(np.ascontiguousarray(array) is array for array in (sample.image, label, depth, normals))
    assert ((label < CLASSES[name]) | (label == VOID)).all()
    assert np.isfinite(depth).all()
    assert (depth >= 0).all()
    length = np.linalg.norm(normals, axis=-1)
    valid = depth > 0
    assert np.allclose(length[valid], 1, atol=1e-5)
    assert (length[~valid] == 0).all()
    rays = describe_scene(name, seed).camera.rays(SIZE)
    assert (np.sum(normals * rays, -1)[valid] < 0).all()
    if name == "streets":
        assert ((label == Street.SKY) == ~valid).all()
    else:
        assert valid.all()
        assert label.max() <= Indoor.OTHER_PROP


@pytest.mark.parametrize("name", SCENES)
def test_depth_and_normals_agree_on_planes(name: str) -> None:
    """Normals recomputed from the depth map by back-projection."""
    size = (96, 192)
    angles = []
    for seed in range(6):
        scene = describe_scene(name, seed)
        sample = render_scene(scene, size)
        points = scene.camera.rays(size) * depth_in_metres(scene, sample.depth)[..., None]
        across = points[1:-1, 2:] - points[1:-1, :-2]
        down = points[2:, 1:-1] - points[:-2, 1:-1]
        estimate = np.cross(down, across)
        estimate /= np.maximum(np.linalg.norm(estimate, axis=-1, keepdims=True), 1e-12)
        hits = see(scene, size)
        part = np.where(hits.primitive >= 0, hits.primitive * 8 + hits.face, -1).reshape(size)
        flat = np.isin(scene.primitives.shape[hits.primitive], (Shape.BOX, Shape.ROOM)).reshape(size) & (part >= 0)
        inner = flat[1:-1, 1:-1]
        for rows, columns in ((slice(2, None), slice(1, -1)), (slice(None, -2), slice(1, -1))):
            inner = inner & (part[rows, columns] == part[1:-1, 1:-1])
            inner = inner & (part[columns, rows] == part[1:-1, 1:-1])
        cosine = np.sum(estimate * sample.normals[1:-1, 1:-1], -1)[inner]
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    angles = np.concatenate(angles)
    assert len(angles) > 20_000
    assert np.median(angles) < 0.5
    assert np.percentile(angles, 95) < 2


@pytest.mark.parametrize("name", SCENES)
def test_magnified_view_scales_depth_as_its_kind_says(name: str) -> None:
    """Focal length times two: distance stays the same at a point, normalised disparity doubles."""
    scene = describe_scene(name, 4)
    close = dataclasses.replace(scene, camera=dataclasses.replace(scene.camera, focal=2 * scene.camera.focal))
    wide, zoomed = render_scene(scene, (64, 128)), render_scene(close, (64, 128))
    # Pixels of the zoomed image have middles that the wide image, at twice the size, also has.
    detail = render_scene(scene, (128, 256)).depth[32:96, 64:192]
    factor = 2 if name == "streets" else 1
    assert np.isclose(zoomed.depth, factor * detail, rtol=1e-3).mean() > 0.99
    assert wide.depth.shape == (64, 128)


@pytest.mark.parametrize("name", SCENES)
def test_size_changes_the_grid_and_not_the_scene(name: str) -> None:
    small, large = render(name, 9, (32, 64)), render(name, 9, (96, 192))
    middle = large.labels[1::3, 1::3]
    assert (small.labels == middle).mean() > 0.999
    assert np.isclose(small.depth, large.depth[1::3, 1::3], rtol=1e-3).mean() > 0.999


@given(
    name=st.sampled_from(SCENES), seed=st.integers(0, 2**63 - 1), height=st.integers(32, 90), width=st.integers(32, 90)
)
@settings(max_examples=examples(40))
def test_every_seed_and_size_renders_without_warnings(name: str, seed: int, height: int, width: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample = render(name, seed, (height, width))
    assert sample.image.shape == (height, width, 3)
    depth = sample.depth
    # Upright pictures look down at the road before the bumper: disparities above those of real files.
    assert (depth < 3).all() if name == "streets" else (depth < 12).all()
    # No lens cap: something is to be seen.
    assert sample.image.std() > 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("forest", 0, SIZE), ["forest", "streets, rooms"]),
        (("rooms", -1, SIZE), ["-1"]),
        (("rooms", 1.5, SIZE), ["1.5"]),
        (("rooms", True, SIZE), ["True"]),
        (("rooms", 0, (31, 64)), ["31", "32"]),
        (("rooms", 0, (64, 5000)), ["5000", "4096"]),
        (("rooms", 0, (64.0, 64)), ["64.0"]),
        (("rooms", 0, (64,)), ["(64,)"]),
        (("rooms", 0, 64), ["64"]),
    ],
)
def test_wrong_arguments_say_what_is_wrong(arguments: tuple, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        render(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words)
