"""Where solids come to lie, and what surfaces are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ednas.scenes.dice import Dice
from ednas.scenes.frame import Frame


def test_tubes_join_their_end_points() -> None:
    world = Frame(Dice(1))
    skin = world.surface(0, (0.5, 0.5, 0.5))
    world.at(2, 3, yaw=0.7).tube((0.1, 0.2, 0.3), (0.5, 1.4, -0.2), 0.05, skin)
    tubes = world.primitives()
    center, half, rotation = tubes.center[0], tubes.half[0], tubes.rotation[0]
    cos, sin = math.cos(0.7), math.sin(0.7)
    ends = {
        (round(2 + cos * x + sin * z, 4), round(-up, 4), round(3 - sin * x + cos * z, 4))
        for x, up, z in ((0.1, 0.2, 0.3), (0.5, 1.4, -0.2))
    }
    found = {tuple(round(float(v), 4) for v in center + sign * half[1] * rotation[:, 1]) for sign in (-1, 1)}
    assert {tuple(np.round(end, 3)) for end in ends} == {tuple(np.round(end, 3)) for end in found}
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)


def test_frames_within_frames_share_one_scene() -> None:
    world = Frame(Dice(2))
    inner = world.at(1, 2, up=0.5, yaw=math.pi / 2).at(3, 0)
    world.box(0, 0, 0, (1, 1, 1), world.surface(0, (0.5, 0.5, 0.5)))
    inner.box(0, 0, 0, (2, 4, 6), inner.surface(1, (0.1, 0.2, 0.4), second=0.5))
    solids, surfaces = world.primitives(), world.surfaces()
    assert np.allclose(solids.center, [[0, -0.5, 0], [1, -2.5, -1]], atol=1e-6)
    assert np.allclose(solids.half[1], [1, 2, 3])
    assert surfaces.label.tolist() == [0, 1]
    assert np.allclose(surfaces.second, [[0.5, 0.5, 0.5], [0.05, 0.1, 0.2]])
