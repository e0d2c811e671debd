"""Ray-solid intersections against formulas that share nothing with the code under test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.scenes.dice import Dice
from ednas.scenes.frame import Frame, compose, lean, tilt, turn
from ednas.scenes.primitives import NEAR, Primitives, Shape, distance, face_and_normal
from ednas.scenes.textures import Pattern

RAYS = 64


class Solid(NamedTuple):
    """One solid of :class:`Primitives`."""

    shape: Shape
    center: np.ndarray
    half: np.ndarray
    rotation: np.ndarray


def reference_roots(a: float, b: float, c: float) -> list[float]:
    """Real roots of a t^2 + 2 b t + c."""
    discriminant = b * b - a * c
    if a == 0 or discriminant < 0:
        return []
    return [(-b - math.sqrt(discriminant)) / a, (-b + math.sqrt(discriminant)) / a]


def reference_candidates(solid: Solid, origin: np.ndarray, ray: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """All (t, outward world normal) where a line crosses the solid's surface, in float64 and world coordinates."""
    center, half, axes = (value.astype(np.float64) for value in (solid.center, solid.half, solid.rotation))
    found = []
    if solid.shape in (Shape.BOX, Shape.ROOM):
        for axis in range(3):
            for sign in (-1, 1):
                normal = sign * axes[:, axis]
                facing = normal @ ray
                if facing == 0:
                    continue
                t = normal @ (center + half[axis] * normal - origin) / facing
                place = axes.T @ (origin + t * ray - center)
                others = [other for other in range(3) if other != axis]
                if all(abs(place[other]) <= half[other] for other in others):
                    found.append((t, normal))
        return found
    # Quadrics as x^T M x = 1 with M built from the axes.
    used = (0, 1, 2) if solid.shape is Shape.ELLIPSOID else (0, 2)
    quadric = sum(np.outer(axes[:, k], axes[:, k]) / half[k] ** 2 for k in used)
    start = origin - center
    for t in reference_roots(ray @ quadric @ ray, ray @ quadric @ start, start @ quadric @ start - 1):
        point = start + t * ray
        if solid.shape is Shape.ELLIPSOID or abs(axes[:, 1] @ point) <= half[1]:
            found.append((t, quadric @ point))
    if solid.shape is Shape.CYLINDER:
        for sign in (-1, 1):
            normal = sign * axes[:, 1]
            t = (half[1] - normal @ start) / (normal @ ray)
            point = start + t * ray
            if point @ quadric @ point <= 1:
                found.append((t, normal))
    return found


def first(solids: Primitives) -> Solid:
    return Solid(Shape(int(solids.shape[0])), solids.center[0], solids.half[0], solids.rotation[0])


def random_solid(shape: Shape, generator: np.random.Generator) -> Solid:
    world = Frame(Dice(0))
    skin = world.surface(0, (0.5, 0.5, 0.5), Pattern.PLAIN)
    yaw, pitch, roll = generator.uniform(-3, 3, 3)
    rotation = compose(compose(turn(yaw), tilt(pitch)), lean(roll))
    size = tuple(2 * np.exp(generator.uniform(-2.5, 1.5, 3)))
    x, y, z = generator.uniform(-3, 3, 3)
    world.solid(shape, (x, -y, z), size, skin, rotation)
    return first(world.primitives())


def to_local(solid: Solid, vectors: np.ndarray) -> np.ndarray:
    return (solid.rotation.T @ vectors.T / solid.half[:, None]).astype(np.float32)


@pytest.mark.parametrize("shape", list(Shape))
@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(30))
def test_distance_and_normal_match_the_reference(shape: Shape, seed: int) -> None:
    generator = np.random.default_rng(seed)
    solid = random_solid(shape, generator)
    inside = shape is Shape.ROOM
    away = generator.normal(size=3)
    origin = solid.center + (0.2 * solid.half * solid.rotation[:, 0] if inside else 12 * away / np.linalg.norm(away))
    inner = generator.uniform(-1.2, 1.2, (RAYS, 3)) * solid.half @ solid.rotation.T
    rays = solid.center + inner - origin
    rays *= generator.uniform(0.05, 2, (RAYS, 1))
    local_origin = np.repeat(to_local(solid, (origin - solid.center)[None]), RAYS, axis=1)
    local_rays = to_local(solid, rays)
    t = distance(shape, local_origin, local_rays)

    hits = 0
    for index in range(RAYS):
        crossings = [
            (value, normal)
            for value, normal in reference_candidates(solid, origin.astype(np.float64), rays[index].astype(np.float64))
            if value > NEAR
        ]
        # Crossings of an edge or silhouette may go either way in float32.
        if len(crossings) == 1 and not inside:
            continue
        if not crossings:
            assert not np.isfinite(t[index]) or grazes(solid, origin, rays[index], float(t[index]))
            continue
        expected, outward = (max if inside else min)(crossings, key=lambda pair: pair[0])
        others = sorted(abs(value - expected) for value, _ in crossings)
        if len(others) > 1 and others[1] < 1e-3 * expected:
            continue
        hits += 1
        assert t[index] == pytest.approx(expected, rel=2e-4, abs=2e-5)
        column = slice(index, index + 1)
        _, normal = face_and_normal(shape, local_origin[:, column], local_rays[:, column], t[column])
        world = solid.rotation @ (normal[:, 0] / solid.half)
        world /= np.linalg.norm(world)
        outward = outward / np.linalg.norm(outward) * (-1 if inside else 1)
        assert world @ outward > 0.999
    assert hits > 0


def grazes(solid: Solid, origin: np.ndarray, ray: np.ndarray, t: float) -> bool:
    """Whether the point at t is within rounding of the solid's rim."""
    larger = solid._replace(half=solid.half * np.float32(1.002))
    return any(abs(value - t) < 0.05 * t for value, _ in reference_candidates(larger, origin, ray))


@pytest.mark.parametrize("shape", [Shape.BOX, Shape.ELLIPSOID, Shape.CYLINDER])
def test_solids_behind_or_beside_the_ray_are_not_hit(shape: Shape) -> None:
    origin = np.array([[0, 0, 3], [0, 0, -3], [5, 5, -3]], np.float32).T
    direction = np.array([[0, 0, 1]] * 3, np.float32).T
    assert np.isfinite(distance(shape, origin, direction)).tolist() == [False, True, False]


def test_small_far_solids_keep_their_outline() -> None:
    """A ball of 1 cm at 300 m: the usual discriminant in float32 would lose it."""
    radius, away = 0.01, 300.0
    offsets = np.linspace(-1.5, 1.5, 31)
    origin = np.zeros((3, 31), np.float32)
    origin[2] = -away / radius
    direction = np.zeros((3, 31), np.float32)
    direction[0], direction[2] = offsets / away, 1 / radius
    t = distance(Shape.ELLIPSOID, origin, direction)
    # The ray passes the centre at offset (in radii) x = 300 * offset / 300.
    assert (np.isfinite(t) == (np.abs(offsets) < 1)).all()
    assert np.allclose(t[np.isfinite(t)], away, rtol=1e-3)
