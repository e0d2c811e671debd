"""Builds driving scenes: a road along z with what lines it, seen from a car."""

from __future__ import annotations

import math

import numpy as np

from ednas.scenes.classes import Street
from ednas.scenes.dice import Color, Dice
from ednas.scenes.frame import QUARTER, Frame, draw_sensor, look
from ednas.scenes.scene import Air, Light, Scene
from ednas.scenes.street_objects import (
    bicycle,
    bus,
    car,
    litter_bin,
    motorcycle,
    person,
    street_lamp,
    traffic_light,
    traffic_sign,
    tram,
    tree,
    truck,
)
from ednas.scenes.street_plan import BEHIND, END, KERB, Plan, draw_plan
from ednas.scenes.street_sides import close_view, line_side
from ednas.scenes.textures import Pattern
from ednas.seeding import derive_seed

_SUN_DISTANCE = 2000.0
_ASPHALT = (0.075, 0.077, 0.085)


def _ground(world: Frame, plan: Plan, dice: Dice) -> None:
    """Road, markings, sidewalks, and what lies beyond them."""
    surface = world.surface
    soil = dice.near(dice.choice(((0.09, 0.17, 0.04), (0.17, 0.2, 0.07), (0.22, 0.17, 0.1)), (4, 2, 1)), 0.3)
    far_label, far_color = (Street.TERRAIN, soil) if plan.style != "city" else (Street.SIDEWALK, dice.gray(0.15, 0.35))
    ground = surface(far_label, far_color, Pattern.NOISE, 0.6, (3.0, 1.3))
    world.box(0, -1.04, 0, (900, 1, 900), ground, casts=False)
    asphalt = dice.near(dice.choice((_ASPHALT, (0.14, 0.14, 0.14), (0.2, 0.19, 0.18)), (5, 3, 1)), 0.22)
    paint = dice.choice(((0.75, 0.75, 0.72), (0.5, 0.5, 0.48), (0.7, 0.5, 0.1)), (5, 3, 1))
    marked = plan.style != "suburb" or dice.chance(0.4)
    solid = dice.chance(0.3)
    params = (plan.lane, 2 * plan.half, dice.uniform(5, 9), solid)
    road = surface(Street.ROAD, asphalt, Pattern.ROAD, paint if marked else dice.near(asphalt), params, gloss=0.04)
    length = END - BEHIND
    world.box(0, -0.5, BEHIND + length / 2, (2 * plan.half, 0.5, length), road, casts=False)
    plain = surface(Street.ROAD, asphalt, Pattern.NOISE, dice.near(asphalt, 0.2), (1.5, 1.0))
    start, stop = plan.crossing
    if start < END:
        world.box(0, -0.495, (start + stop) / 2, (300, 0.5, stop - start), plain, casts=False)
        if dice.chance(0.7):
            zebra = surface(Street.ROAD, asphalt, Pattern.STRIPES, dice.near((0.65, 0.65, 0.62), 0.2), (1.0, 0.5))
            for z in (start - 3, stop + 3):
                world.box(0, -0.49, z, (2 * plan.half - 0.3, 0.5, 3), zebra, casts=False)
            bar = surface(Street.ROAD, (0.65, 0.65, 0.62))
            world.box(plan.half / 2, -0.49, start - 5.3, (plan.half - 0.3, 0.5, 0.4), bar, casts=False)
    for _ in range(dice.integer(0, 3)):
        patch = surface(Street.ROAD, dice.near(asphalt, 0.4), Pattern.NOISE, dice.near(asphalt, 0.2), (0.8, 1.0))
        size = (dice.uniform(0.6, 2.5), 0.5, dice.uniform(0.6, 6))
        world.box(dice.uniform(-0.7, 0.7) * plan.half, -0.496, dice.uniform(4, 40), size, patch, casts=False)

    paving = dice.near(dice.choice(((0.3, 0.29, 0.27), (0.22, 0.21, 0.21), (0.34, 0.22, 0.17), (0.4, 0.38, 0.33))), 0.2)
    tile = dice.uniform(0.3, 0.9)
    walk = surface(Street.SIDEWALK, paving, Pattern.TILES, dice.gray(0.08, 0.2), (tile, tile, 0.06))
    kerb = surface(Street.SIDEWALK, dice.gray(0.25, 0.45), Pattern.TILES, (0.1, 0.1, 0.1), (1.0, 1.0, 0.02))
    strip = dice.uniform(1.0, 2.5) if plan.style in ("boulevard", "arterial") else 0.0
    grass = surface(Street.TERRAIN, soil, Pattern.NOISE, dice.near((0.06, 0.12, 0.03)), (0.6, 1.6))
    for near, far in plan.blocks():
        for side in (-1, 1):
            frame, length = world.at(side * plan.half, (near + far) / 2), far - near
            frame.box(side * 0.09, -0.4, 0, (0.18, 0.4 + KERB, length), kerb)
            if strip:
                frame.box(side * (0.18 + strip / 2), -0.4, 0, (strip, 0.39 + KERB, length), grass, casts=False)
            wide = plan.sidewalk - 0.18 - strip
            if wide > 0.4:
                x, size = side * (plan.sidewalk - wide / 2), (wide, 0.395 + KERB, length)
                frame.box(x, -0.4, 0, size, walk, casts=False)


def _furniture(world: Frame, plan: Plan, dice: Dice) -> None:
    """Lamps, trees, signs, lights and bins along the kerb."""
    for side in (-1, 1):
        kerb = plan.half + 0.55
        if dice.chance(0.85):
            spacing, z = dice.uniform(16, 30), dice.uniform(4, 16)
            while z < 110:
                if plan.clear(z):
                    street_lamp(world.at(side * kerb, z, KERB), dice, -side * dice.uniform(0.8, 2))
                z += spacing
        if dice.chance({"city": 0.4, "suburb": 0.35, "boulevard": 0.95, "arterial": 0.3}[plan.style]):
            spacing, z = dice.uniform(7, 16), dice.uniform(8, 18)
            while z < 100:
                if plan.clear(z):
                    tree(world.at(side * (kerb + 0.5), z), dice, detailed=z < 35)
                z += spacing * dice.uniform(0.8, 1.3)
        for _ in range(dice.choice((0, 1, 2, 3), (1, 3, 3, 1))):
            z = dice.uniform(6, 32)
            if plan.clear(z):
                facing = 0.0 if side > 0 or dice.chance(0.3) else math.pi
                x = side * (kerb + dice.uniform(-0.1, 0.4))
                traffic_sign(world.at(x, z, KERB, facing + dice.normal(0.15)), dice)
        for _ in range(dice.integer(0, 2)):
            litter_bin(world.at(side * (plan.half + dice.uniform(0.5, 1.2)), dice.uniform(6, 40), KERB), dice)
        if dice.chance(0.2):
            near = dice.uniform(3, 20)
            if plan.clear(near) and plan.clear(near + 10):
                dark, light = (0.08, 0.08, 0.08), dice.gray(0.3, 0.6)
                rail = world.surface(Street.FENCE, dark, Pattern.STRIPES, light, (0.14, 0.35))
                world.box(side * (plan.half + 0.3), KERB, near + 5, (0.06, 1.0, 10), rail)
    start, stop = plan.crossing
    if start < END and dice.chance(0.75):
        reach = -dice.uniform(2, 4) if dice.chance(0.5) else 0.0
        traffic_light(world.at(plan.half + 0.6, start - 1.2, KERB), dice, reach)
        for x in (plan.half + 0.6, -plan.half - 0.6):
            traffic_light(world.at(x, stop + 1.2, KERB), dice, 0.0)


def _traffic(world: Frame, plan: Plan, dice: Dice) -> None:
    """Parked and moving vehicles."""
    park = {"city": 0.65, "suburb": 0.5, "boulevard": 0.4, "arterial": 0.05}[plan.style]
    for side in (-1, 1):
        if not dice.chance(park):
            continue
        z, stop = dice.uniform(5.5, 15), dice.uniform(25, 90)
        while z < stop:
            if plan.clear(z, 4) and dice.chance(0.75):
                yaw = (0.0 if side > 0 else math.pi) + dice.normal(0.04)
                x = side * (plan.half - 0.95) if plan.lanes > 2 or side < 0 else plan.half + 0.2
                car(world.at(x + dice.normal(0.08), z, yaw=yaw), dice, detailed=z < 30)
            z += dice.uniform(5.2, 7.5)
    kinds = ("car", "truck", "bus", "tram", "motorcycle", "bicycle")
    weights = (6, 1.6, 1.3, 0.7, 1.2, 1.3)
    for number in range(plan.lanes):
        x = -plan.half + (number + 0.5) * plan.lane
        own = abs(x - plan.eye[0]) < plan.lane * 0.6
        z = dice.uniform(8, 45) if own else dice.uniform(5, 50)
        while z < 120:
            kind = dice.choice(kinds, weights)
            half_length = {"truck": 5, "bus": 6, "tram": 14}.get(kind, 0)
            frame = world.at(x + dice.normal(0.2), z + half_length, yaw=0 if x > 0 else math.pi)
            if kind == "car":
                car(frame, dice, detailed=z < 30)
            elif kind == "truck":
                truck(frame, dice)
            elif kind == "bus":
                bus(frame, dice)
            elif kind == "tram":
                tram(frame, dice)
                z += 14
            elif kind == "motorcycle":
                motorcycle(frame, dice, ridden=True)
            else:
                bicycle(frame.at(plan.lane * 0.3, 0), dice, ridden=True)
            z += dice.uniform(9, 60)
    start, stop = plan.crossing
    if start < END and dice.chance(0.6):
        direction = dice.choice((-1, 1))
        x = dice.uniform(-9, 9)
        frame = world.at(x, (start + stop) / 2 - direction * 1.8, yaw=direction * QUARTER)
        dice.choice((car, car, car, bus, truck))(frame, dice)


def _people(world: Frame, plan: Plan, dice: Dice) -> None:
    """Pedestrians, and two-wheelers left at the kerb."""
    busy = {"city": 10, "suburb": 6, "boulevard": 8, "arterial": 3}[plan.style]
    for _ in range(dice.integer(0, busy)):
        z = dice.uniform(5, 45) if dice.chance(0.55) else dice.uniform(5, 13)
        side = dice.choice((-1, 1))
        x = side * (plan.half + dice.uniform(0.5, max(plan.sidewalk - 0.4, 0.8)))
        if abs(x - plan.eye[0]) < 1.5 and z < 6:
            continue
        frame = world.at(x, z, KERB if plan.clear(z, 0) else 0.0, dice.uniform(-math.pi, math.pi))
        person(frame, dice, detailed=z < 25)
        if dice.chance(0.3):
            person(frame.at(0.6, 0.1, yaw=dice.normal(0.2)), dice, detailed=z < 25)
    if plan.crossing[0] < 40 or dice.chance(0.15):
        for _ in range(dice.integer(0, 4)):
            z = plan.crossing[0] - 3 + dice.normal(0.6) if plan.crossing[0] < 40 else dice.uniform(12, 35)
            person(world.at(dice.uniform(-plan.half, plan.half), z, yaw=dice.choice((-1, 1)) * QUARTER), dice)
    for _ in range(dice.choice((0, 1, 2, 4), (2.5, 3, 3, 2))):
        side, z = dice.choice((-1, 1)), dice.uniform(4.5, 20)
        if not plan.clear(z):
            continue
        x, yaw = side * (plan.half + dice.uniform(0.5, 1.3)), dice.uniform(-0.6, 0.6) + dice.choice((0, QUARTER))
        frame = world.at(x, z, KERB, yaw)
        dice.choice((bicycle, bicycle, motorcycle))(frame, dice, ridden=False)


_SKIES: dict[str, tuple[float, float, float, Color, Color]] = {
    "clear": (2.3, 0.5, 0.35, (0.16, 0.36, 0.78), (0.7, 0.8, 0.92)),
    "cloudy": (1.6, 0.65, 0.2, (0.3, 0.48, 0.8), (0.75, 0.8, 0.86)),
    "overcast": (0.5, 1.1, 0.04, (0.75, 0.78, 0.82), (0.88, 0.89, 0.9)),
    "dusk": (1.5, 0.5, 0.2, (0.2, 0.26, 0.45), (0.95, 0.6, 0.36)),
}
"""Strength of the sun, strength and blueness of the ambient light, and the colours of zenith and horizon."""


def _weather(dice: Dice) -> tuple[tuple[Light, ...], Air]:
    """Sun, sky and fog."""
    kind = dice.choice(tuple(_SKIES), (4, 3, 3, 1.5))
    strength, level, blue, zenith, horizon = _SKIES[kind]
    azimuth = dice.uniform(-math.pi, math.pi)
    clear, cloudy, dusk = dice.uniform(25, 65), dice.uniform(25, 65), dice.uniform(9, 20)
    elevation = math.radians({"clear": clear, "cloudy": cloudy, "overcast": 82, "dusk": dusk}[kind])
    across, ahead = math.cos(elevation) * math.sin(azimuth), math.cos(elevation) * math.cos(azimuth)
    direction = np.array([across, -math.sin(elevation), ahead])
    warm = dice.uniform(0, 0.25) + (0.35 if kind == "dusk" else 0)
    tint = np.array([1 + 0.1 * warm, 1 - 0.3 * warm, 1 - 0.9 * warm], np.float32)
    sun = Light((direction * _SUN_DISTANCE).astype(np.float32), tint * np.float32(strength * dice.uniform(0.8, 1.2)))
    level *= dice.uniform(0.85, 1.15)
    above = np.array([1 - blue, 1 - 0.4 * blue, 1 + 0.3 * blue], np.float32) * np.float32(level)
    air = Air(
        above=above,
        below=above * np.float32(0.35),
        zenith=np.array(dice.near(zenith, 0.15), np.float32),
        horizon=np.array(dice.near(horizon, 0.1), np.float32),
        clouds={"clear": dice.uniform(0, 0.35), "cloudy": dice.uniform(0.4, 0.7), "overcast": 0.9, "dusk": 0.4}[kind],
        visibility=dice.choice((dice.uniform(700, 2500), dice.uniform(140, 500)), (4, 1)),
        phase=dice.uniform(0, 32),
    )
    return (sun,), air


def build_street(seed: int) -> Scene:
    """Build the street scene of a seed, for ``rendering.describe_scene``."""
    dice = Dice(derive_seed(seed, "synthetic", "streets"))
    world = Frame(dice)
    plan = draw_plan(dice)
    _ground(world, plan, dice)
    for side in (-1, 1):
        line_side(world, plan, dice, side)
    for build in (close_view, _furniture, _traffic, _people):
        build(world, plan, dice)
    lights, air = _weather(dice)
    camera = look(
        dice.normal(0.06) if dice.chance(0.8) else dice.uniform(-0.45, 0.45),
        dice.normal(0.025) - 0.02,
        dice.normal(0.012),
        position=(plan.eye[0], -plan.eye[1], 0),
        focal=dice.uniform(0.85, 1.2),
    )
    sensor = draw_sensor(dice, 0.05, gain=(0.6, 1.45), noise=(0.003, 0.018), blur=(0.02, 0.14), vignette=(0, 0.3))
    return Scene("streets", seed, camera, world.primitives(), world.surfaces(), lights, air, sensor)
