"""From hits to light on the sensor: textures, lamps, shadows, highlights, fog and sky."""

from __future__ import annotations

import numpy as np

from ednas.scenes.primitives import Float, Int, Shape, dot
from ednas.scenes.scene import Light, Scene
from ednas.scenes.textures import Pattern, Points, mix, noise
from ednas.scenes.tracing import Hits, shadowed

_LIFT = 0.01
"""Distance in metres by which shadow rays start off their surface."""


def _points(scene: Scene, hits: Hits, rows: Int, surface: Int, footprint: Float) -> tuple[Points, Float]:
    """Texture coordinates of the hits in ``rows``, and their distance in metres to the nearest edge of the face."""
    which = hits.primitive[rows]
    half = scene.primitives.half[which]
    shape = scene.primitives.shape[which]
    x, y, z = hits.local[rows].T
    half_x, half_y, half_z = half.T
    sideways, flat = hits.face[rows] < 2, hits.face[rows] // 2 == 1
    u = np.where(sideways, z + half_z, x + half_x)
    v = np.where(flat, z + half_z, half_y - y)
    wide = 2 * np.where(sideways, half_z, half_x)
    tall = 2 * np.where(flat, half_z, half_y)
    for kind in (Shape.CYLINDER, Shape.ELLIPSOID):
        bent = np.flatnonzero((shape == kind) & ~flat)
        if len(bent):
            angle = np.arctan2(x[bent] / half_x[bent], -z[bent] / half_z[bent]) + np.float32(np.pi)
            u[bent] = angle * half_x[bent]
            wide[bent] = 2 * np.float32(np.pi) * half_x[bent]
    points = Points(
        u=u,
        v=v,
        across=u / wide,
        up=v / tall,
        footprint=footprint,
        params=scene.surfaces.params[surface],
        phase=scene.surfaces.phase[surface],
    )
    return points, np.minimum(np.minimum(u, wide - u), np.minimum(v, tall - v))


def _albedo(scene: Scene, points: Points, surface: Int) -> Float:
    """Linear RGB of every point, ``(n, 3)``."""
    patterns = scene.surfaces.pattern[surface]
    color, second = scene.surfaces.color[surface], scene.surfaces.second[surface]
    for pattern in np.unique(patterns):
        mine = np.flatnonzero(patterns == pattern)
        weight, shade = mix(Pattern(int(pattern)), points.take(mine))
        weight = weight.reshape(len(mine), -1)
        color[mine] = (color[mine] + (second[mine] - color[mine]) * weight) * shade[:, None]
    return color


def _lamp(
    scene: Scene, light: Light, *, position: Float, normal: Float, view: Float, gloss: Float
) -> tuple[Float, Float]:
    """Diffuse light ``(n,)`` and highlight ``(n,)`` that one lamp adds, as multiples of its colour."""
    toward = light.position - position
    squared = dot(toward, toward)
    toward /= np.sqrt(squared)[:, None]
    facing = dot(toward, normal)
    lit = np.flatnonzero(facing > 0)
    if light.shadows:
        raised = position[lit] + _LIFT * normal[lit]
        lit = lit[~shadowed(scene.primitives, raised, light.position, position.mean(0))]
    diffuse = np.zeros(len(position), np.float32)
    diffuse[lit] = facing[lit]
    if light.reach:
        diffuse *= 2 / (1 + squared / np.float32(light.reach**2))
    shiny = lit[gloss[lit] > 0]
    highlight = np.zeros_like(diffuse)
    between = toward[shiny] - view[shiny]
    between /= np.sqrt(dot(between, between))[:, None]
    highlight[shiny] = gloss[shiny] * np.maximum(dot(between, normal[shiny]), 0) ** 32
    return diffuse, highlight


def sky(scene: Scene, directions: Float) -> Float:
    """Return the colour of the sky, linear RGB ``(n, 3)``, for unit world directions ``(n, 3)``."""
    air = scene.air
    height = np.clip(-directions[:, 1:2], 0, 1)
    color = air.horizon + (air.zenith - air.horizon) * np.sqrt(height)
    if air.clouds:
        flat = directions[:, 1] * -1 + 0.12
        x = directions[:, 0] * np.float32(scene.handed) / flat
        cover = noise(x * 0.9 + np.float32(air.phase), directions[:, 2] / flat * 0.9)
        weight = np.clip((cover - 1 + air.clouds) * 4, 0, 1)[:, None] * 0.85
        color = color + (np.float32(1.1) * air.above.max() - color) * weight
    return color.astype(np.float32)


def radiance(scene: Scene, hits: Hits, rays: Float, pixel: float) -> Float:
    """Return the light that arrives along every ray.

    Args:
        scene: The scene.
        hits: What ``n`` rays meet.
        rays: ``(n, 3)`` camera frame.
        pixel: Angle that a ray stands for, in radians; textures finer than that fade.

    Returns:
        Linear RGB, ``(n, 3)``.
    """
    length = np.sqrt(dot(rays, rays))[:, None]
    view = (rays / length) @ scene.camera.rotation.T
    image = np.empty((len(rays), 3), np.float32)
    empty = np.flatnonzero(hits.primitive < 0)
    image[empty] = sky(scene, view[empty])
    rows = np.flatnonzero(hits.primitive >= 0)
    if not len(rows):
        return image

    surface = scene.primitives.surfaces[hits.primitive[rows], hits.face[rows]].astype(np.int64)
    depth = hits.t[rows]
    view = view[rows]
    normal = hits.normal[rows] @ scene.camera.rotation.T
    away = depth * length[rows, 0]
    position = scene.camera.position + view * away[:, None]
    slant = np.maximum(-dot(view, normal), 0.1)
    points, border = _points(scene, hits, rows, surface, away * np.float32(pixel) / np.sqrt(slant))
    albedo = _albedo(scene, points, surface)

    air, gloss = scene.air, scene.surfaces.gloss[surface]
    light = air.below + (air.above - air.below) * (0.5 - 0.5 * normal[:, 1:2])
    # Corners between walls, floor and ceiling see less of the room.
    walls = scene.primitives.shape[hits.primitive[rows]] == Shape.ROOM
    light *= np.where(walls, 0.62 + 0.38 * np.clip(border / 0.7, 0, 1), 1)[:, None]
    shine = np.zeros_like(light)
    for lamp in scene.lights:
        diffuse, highlight = _lamp(scene, lamp, position=position, normal=normal, view=view, gloss=gloss)
        light += diffuse[:, None] * lamp.color
        shine += highlight[:, None] * lamp.color
    grazing = gloss * (1 - slant) ** 3
    shine += grazing[:, None] * 0.6 * air.above
    result = albedo * (light + scene.surfaces.glow[surface][:, None]) + shine
    if air.visibility:
        clear = np.exp(-away / np.float32(air.visibility))[:, None]
        result = result * clear + air.horizon * (1 - clear)
    image[rows] = result
    return image
