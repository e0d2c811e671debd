"""A mirrored scene renders the mirrored sample."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ednas.scenes import (
    SCENES,
    describe_scene,
    mirrored,
    render_scene,
)

SIZE = (64, 128)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("seed", range(5))
def test_mirrored_scene_gives_the_mirrored_sample(name: str, seed: int) -> None:
    scene = describe_scene(name, seed)
    scene = dataclasses.replace(scene, camera=dataclasses.replace(scene.camera, center=(0.375, 0.5)))
    straight, turned = render_scene(scene, SIZE), render_scene(mirrored(scene), SIZE)
    assert (straight.labels == turned.labels[:, ::-1]).all()
    assert np.allclose(straight.depth, turned.depth[:, ::-1], rtol=1e-4)
    flipped = turned.normals[:, ::-1] * np.array([-1, 1, 1], np.float32)
    assert np.allclose(straight.normals, flipped, atol=1e-4)
    # Textures, shadows, clouds and noise are mirrored too; a rounding may tip a single texel.
    difference = np.abs(straight.image.astype(int) - turned.image[:, ::-1])
    assert (difference <= 1).mean() > 0.995


def test_mirroring_twice_changes_nothing() -> None:
    scene = describe_scene("rooms", 3)
    again = render_scene(mirrored(mirrored(scene)), SIZE)
    assert (again.image == render_scene(scene, SIZE).image).all()
