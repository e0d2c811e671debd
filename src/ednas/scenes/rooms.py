"""Builds indoor scenes: a furnished room seen from one of its sides."""

from __future__ import annotations

import math

import numpy as np

from ednas.scenes import room_objects as furniture
from ednas.scenes.classes import Indoor
from ednas.scenes.dice import Color, Dice, darker
from ednas.scenes.frame import QUARTER, Frame, draw_sensor, look
from ednas.scenes.primitives import Shape
from ednas.scenes.room_furnishing import KINDS, furnish_middle, furnish_walls
from ednas.scenes.room_plan import Room, Wall
from ednas.scenes.scene import Air, Light, Scene
from ednas.scenes.textures import Pattern
from ednas.seeding import derive_seed


def _shell(room: Room) -> None:
    """Walls, floor, ceiling, skirting and beams."""
    world = room.world
    dice = world.dice
    wide, high, long = room.size
    paints = (dice.gray(0.45, 0.75), dice.near((0.6, 0.54, 0.42), 0.2), dice.color(0.25, 0.6, 0.6))
    paint = dice.choice(paints, (4, 3, 3))
    tiled = room.kind in ("bathroom", "kitchen") and dice.chance(0.6)
    base = dice.near(dice.choice(((0.36, 0.21, 0.1), (0.5, 0.34, 0.18), (0.2, 0.11, 0.06))), 0.25)
    ground = _floor(room, base, tiled=tiled)
    above = world.surface(Indoor.CEILING, dice.gray(0.6, 0.85, 0.01), params=(0.1,))
    left, right, near, far = (_wall_surface(room, paint, tiled=tiled) for _ in range(4))
    world.solid(Shape.ROOM, (0, high / 2, 0), room.size, (left, right, above, ground, near, far), casts=False)
    if dice.chance(0.5):
        board = world.surface(Indoor.WALL, dice.choice((dice.gray(0.6, 0.8), darker(base, 0.7))))
        for wall in room.walls[:3]:
            wall.frame.box(0, 0, 0.01, (wall.length, dice.uniform(0.07, 0.13), 0.02), board)
    if dice.chance(0.25):
        column = world.surface(Indoor.OTHER_STRUCTURE, dice.near(paint, 0.15))
        side = dice.choice((-1, 1))
        thick = dice.uniform(0.2, 0.5)
        x, z = side * (wide - thick) / 2, (long - thick) / 2
        world.box(x, 0, z, (thick, high - 0.001, thick), column)
        room.middle.append((x, z, thick * 0.8))
    elif dice.chance(0.2):
        beam = world.surface(Indoor.OTHER_STRUCTURE, darker(base, 0.8), Pattern.WOOD, darker(base, 0.5), (0.3, 1.0))
        for z in (-0.2, 0.25):
            world.box(0, high - 0.18, z * long, (wide - 0.01, 0.17, 0.16), beam)


def _floor(room: Room, wood: Color, *, tiled: bool) -> int:
    """Add the surface of the floor: planks of ``wood`` or something else."""
    dice = room.world.dice
    kind = dice.choice(("planks", "tiles", "carpet", "checker"), (1, 4, 0.5, 1) if tiled else (5, 1.5, 3, 0.5))
    pale = dice.gray(0.2, 0.6)
    floors: dict[str, tuple[Color, Pattern, Color | float, tuple[float, ...], float]] = {
        "planks": (wood, Pattern.WOOD, 0.65, (dice.uniform(0.1, 0.25), 1.0, dice.chance(0.5)), 0.2),
        "tiles": (pale, Pattern.TILES, 0.5, (0.4, 0.4, 0.04), 0.25),
        "carpet": (dice.color(0.1, 0.45, 0.6), Pattern.NOISE, dice.gray(0.1, 0.4), (0.5, 0.8), 0.0),
        "checker": (dice.gray(0.04, 0.15), Pattern.CHECKER, dice.gray(0.4, 0.7), (0.35,), 0.25),
    }
    color, pattern, second, params, gloss = floors[kind]
    return room.world.surface(Indoor.FLOOR, color, pattern, second, params, gloss=gloss)


def _wall_surface(room: Room, paint: Color, *, tiled: bool) -> int:
    """Add the surface of one wall: tiles, brick, a striped paper or paint."""
    surface, dice = room.world.surface, room.world.dice
    if tiled:
        side = dice.uniform(0.15, 0.35)
        return surface(Indoor.WALL, paint, Pattern.TILES, 0.65, (side, side, 0.05), gloss=0.15)
    if dice.chance(0.12):
        return surface(Indoor.WALL, dice.near((0.4, 0.2, 0.14)), Pattern.BRICK, (0.4, 0.38, 0.35), (0.24, 0.08))
    if dice.chance(0.15):
        params = (dice.uniform(0.1, 0.4), 0.4)
        return surface(Indoor.WALL, paint, Pattern.STRIPES, dice.near(paint), params)
    return surface(Indoor.WALL, dice.near(paint, 0.06), params=(0.2,))


def _window(room: Room, wall: Wall) -> None:
    """A window with daylight, often with a curtain or blinds."""
    dice = room.world.dice
    wide, high = dice.uniform(0.8, 1.9), dice.uniform(0.9, 1.35)
    frame = wall.place(wide + 0.4, floor=False, eye=True)
    if frame is None:
        return
    bottom = dice.uniform(0.8, 1.0)
    rim = frame.surface(Indoor.WINDOW, dice.choice(((0.75, 0.75, 0.73), (0.25, 0.14, 0.07))))
    bright = dice.choice((0.0, 0.9, 1.8), (1, 3, 3))
    sky, green = (0.45, 0.6, 0.8) if bright else (0.02, 0.02, 0.04), (0.3, 0.45, 0.3)
    view = frame.surface(Indoor.WINDOW, sky, Pattern.NOISE, green, (2.0, 2.0), glow=bright, gloss=0.5)
    frame.box(0, bottom, 0.02, (wide, high, 0.04), rim)
    panes = dice.choice((1, 2, 3))
    each = (wide - 0.06) / panes
    for index in range(panes):
        frame.box((index - (panes - 1) / 2) * each, bottom + 0.05, 0.03, (each - 0.05, high - 0.1, 0.03), view)
    frame.box(0, bottom - 0.05, 0.08, (wide + 0.1, 0.04, 0.16), rim)
    dressing = dice.choice(("curtains", "blinds", "none"), (5, 4, 2))
    if dressing == "curtains":
        color = dice.choice((dice.color(0.1, 0.7, 0.8), dice.gray(0.4, 0.75)))
        cloth = frame.surface(Indoor.CURTAIN, color, Pattern.STRIPES, 0.6, (dice.uniform(0.08, 0.2), 0.5))
        part = dice.uniform(0.2, 0.45) * wide
        length = dice.choice((high + 0.3, bottom + high))
        for side in (-1, 1):
            x = side * (wide / 2 + 0.1 - part / 2)
            frame.box(x, bottom + high + 0.1 - length, 0.12, (part, length, 0.08), cloth)
        up = bottom + high + 0.12
        frame.tube((-wide / 2 - 0.2, up, 0.13), (wide / 2 + 0.2, up, 0.13), 0.015, rim)
    elif dressing == "blinds":
        color, params = dice.gray(0.5, 0.8), (dice.uniform(0.05, 0.1), 0.35, 1.0)
        slats = frame.surface(Indoor.BLINDS, color, Pattern.STRIPES, 0.5, params, glow=bright / 5)
        drop = high * dice.uniform(0.35, 1.0)
        frame.box(0, bottom + high - drop + 0.03, 0.07, (wide + 0.04, drop, 0.03), slats)


def _door(room: Room, wall: Wall) -> None:
    dice = room.world.dice
    frame = wall.place(1.0, floor=True, eye=True, margin=0.3)
    if frame is None:
        return
    color = dice.choice((dice.near((0.7, 0.69, 0.65), 0.1), dice.near((0.35, 0.2, 0.1), 0.3)))
    leaf = frame.surface(Indoor.DOOR, color, Pattern.PANELS, 0.7, (1, dice.choice((1, 2, 3)), 0.1))
    rim = frame.surface(Indoor.DOOR, darker(color, 0.85))
    frame.box(0, 0, 0.025, (0.98, 2.06, 0.05), rim)
    frame.box(0, 0, 0.035, (0.84, 2.0, 0.05), leaf)
    frame.ball((0.34, 1.0, 0.08), (0.12, 0.04, 0.06), frame.surface(Indoor.DOOR, (0.5, 0.45, 0.3), gloss=0.9))


def _on_walls(room: Room) -> None:
    """Windows, a door, pictures, boards, mirrors, shelves."""
    surface, dice = room.world.surface, room.world.dice
    walls = room.walls[:3]

    def hang(width: float) -> Frame | None:
        return dice.choice(walls).place(width, floor=False, eye=True)

    for _ in range(dice.integer(1, 2)):
        _window(room, dice.choice(walls))
    if dice.chance(0.6):
        _door(room, dice.choice(walls))
    if room.kind == "office" and dice.chance(0.6):
        wide = dice.uniform(1.0, 2.0)
        if frame := hang(wide):
            rim = surface(Indoor.WHITEBOARD, (0.4, 0.4, 0.42))
            white, worn = (0.82, 0.83, 0.84), (0.74, 0.76, 0.8)
            board = surface(Indoor.WHITEBOARD, white, Pattern.NOISE, worn, (0.8, 1.0), gloss=0.3)
            frame.box(0, 0.95, 0.015, (wide, 1.0, 0.03), rim)
            frame.box(0, 0.98, 0.02, (wide - 0.06, 0.94, 0.03), board)
    for _ in range(dice.integer(1, 5)):
        wide, high = dice.uniform(0.3, 1.0), dice.uniform(0.3, 0.8)
        if frame := hang(wide):
            params = (dice.uniform(0.04, 0.1), dice.uniform(0.2, 0.8))
            dark, light = dice.color(0.02, 0.4, 0.9), dice.color(0.3, 0.9, 0.9)
            motif = surface(Indoor.PICTURE, dark, Pattern.PICTURE, light, params)
            frame.box(0, dice.uniform(1.25, 1.5), 0.015, (wide, high, 0.03), motif)
    if dice.chance(0.3) and (frame := hang(1.0)):
        furniture.wall_shelf(frame, dice, 0.95)
    if room.kind in ("bedroom", "living room") and dice.chance(0.3) and (frame := hang(0.8)):
        furniture.mirror(frame.at(0, 0, 0.9), dice, dice.uniform(0.4, 0.75))


def _light(room: Room) -> tuple[tuple[Light, ...], Air]:
    """A lamp at the ceiling and daylight or a second lamp."""
    dice = room.world.dice
    wide, high, long = room.size
    x, z = dice.uniform(-0.3, 0.3) * wide, dice.uniform(-0.3, 0.3) * long
    if dice.chance(0.6):
        furniture.ceiling_lamp(room.world.at(x, z, high), dice)
    warm = dice.uniform(-0.1, 0.45)
    tint = np.array([1 + 0.2 * warm, 1 - 0.1 * warm, 1 - 0.6 * warm], np.float32)
    strength = dice.uniform(0.45, 0.95)
    lamp = Light(np.array([x, -high + 0.22, z], np.float32), tint * np.float32(strength), reach=0.6 * max(wide, long))
    fill = dice.uniform(0.05, 0.35)
    side = dice.choice((-1, 1))
    day = np.array([0.9, 1.0, 1.15], np.float32) * np.float32(fill)
    position = np.array([side * wide * 0.47, -1.5, dice.uniform(-0.3, 0.3) * long], np.float32)
    ambient = dice.uniform(0.3, 0.6)
    above = (np.float32(0.6) + np.float32(0.4) * tint) * np.float32(ambient)
    air = Air(above=above, below=above * np.float32(0.8), zenith=above, horizon=above)
    return (lamp, Light(position, day, reach=0.8 * wide, shadows=False)), air


def build_room(seed: int) -> Scene:
    """Build the indoor scene of a seed, for ``rendering.describe_scene``."""
    dice = Dice(derive_seed(seed, "synthetic", "rooms"))
    world = Frame(dice)
    kind = dice.choice(KINDS, (4, 4, 3, 3, 2, 2))
    small = kind in ("bathroom", "kitchen")
    wide, long = dice.uniform(2.6, 4.0 if small else 5.5), dice.uniform(3.0, 4.2 if small else 7.0)
    high = dice.uniform(2.4, 3.1)
    eye = (dice.uniform(-0.5, 0.5) * (wide - 1.3), -long / 2 + dice.uniform(0.25, 0.7))
    walls = [
        Wall(world.at(0, long / 2, yaw=math.pi), wide),
        Wall(world.at(-wide / 2, 0, yaw=QUARTER), long),
        Wall(world.at(wide / 2, 0, yaw=-QUARTER), long),
    ]
    room = Room(world, kind, (wide, high, long), eye, walls)
    _shell(room)
    furnish_walls(room)
    _on_walls(room)
    furnish_middle(room)
    lights, air = _light(room)

    # Look at the middle of the far half of the room, more or less.
    aim = math.atan2(dice.uniform(-0.3, 0.3) * wide - eye[0], 0.25 * long - eye[1])
    camera = look(
        aim + dice.normal(0.16),
        dice.uniform(-0.42, 0.06),
        dice.normal(0.03),
        position=(eye[0], -dice.uniform(1.1, 1.75), eye[1]),
        focal=dice.uniform(0.5, 0.8),
    )
    sensor = draw_sensor(dice, 0.06, gain=(0.65, 1.6), noise=(0.004, 0.02), blur=(0.03, 0.15), vignette=(0.05, 0.35))
    return Scene("rooms", seed, camera, world.primitives(), world.surfaces(), lights, air, sensor)
