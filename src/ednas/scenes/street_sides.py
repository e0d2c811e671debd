"""What lines and closes a street: buildings, houses, walls, fences, hedges, trees."""

from __future__ import annotations

import math

from ednas.scenes.classes import Street
from ednas.scenes.dice import Color, Dice, darker
from ednas.scenes.frame import QUARTER, Frame, compose, lean, turn
from ednas.scenes.primitives import Shape
from ednas.scenes.street_objects import bush, foliage, tree
from ednas.scenes.street_plan import BEHIND, END, Plan
from ednas.scenes.textures import Pattern

_WALLS: tuple[Color, ...] = (
    (0.45, 0.4, 0.32),
    (0.55, 0.52, 0.47),
    (0.32, 0.16, 0.11),
    (0.5, 0.36, 0.2),
    (0.25, 0.25, 0.26),
    (0.6, 0.58, 0.5),
    (0.4, 0.24, 0.18),
)


def _building(world: Frame, dice: Dice, place: tuple[int, float, float], width: float, tall: float) -> None:
    """A block of flats or offices from z to z + width; ``place`` = (side, distance of its front from x = 0, z)."""
    side, inner, z = place
    label = Street.BUILDING
    wall = dice.near(dice.choice(_WALLS), 0.3)
    glass = dice.choice(((0.05, 0.07, 0.1), (0.16, 0.2, 0.25), (0.03, 0.03, 0.03)))
    pitch, storey = dice.uniform(1.8, 3.6), dice.uniform(2.8, 3.8)
    modern = dice.chance(0.25)
    share = (0.92, 0.75) if modern else (dice.uniform(0.35, 0.6), dice.uniform(0.4, 0.65))
    front = world.surface(label, wall, Pattern.FACADE, glass, (pitch, storey, *share), gloss=0.25 if modern else 0.0)
    blind = world.surface(label, wall, Pattern.BRICK, 0.8, (0.9, 0.3))
    roof = world.surface(label, dice.near(dice.choice(((0.1, 0.1, 0.11), (0.25, 0.09, 0.05), (0.16, 0.13, 0.11))), 0.2))
    deep = dice.uniform(9, 15)
    ends = front if dice.chance(0.5) else blind
    frame = world.at(side * (inner + deep / 2), z + width / 2)
    frame.box(0, -0.5, 0, (deep, tall + 0.5, width), (front, front, roof, roof, ends, ends))
    face = -side * deep / 2
    trim = world.surface(label, dice.near(wall, 0.4))
    if dice.chance(0.5):
        frame.box(face, tall - 0.3, 0, (0.7, 0.4, width + 0.1), trim)
    if dice.chance(0.35):
        frame.box(face, storey - 0.15, 0, (0.4, 0.3, width * 0.98), trim)
    if dice.chance(0.35):
        color = dice.color(0.1, 0.6, 0.95)
        awning = world.surface(label, color, Pattern.STRIPES, dice.choice((color, (0.7, 0.7, 0.68))), (0.6, 0.5))
        x, along, size = face - side * 0.6, dice.uniform(-0.25, 0.25) * width, (1.3, 0.12, width * 0.35)
        frame.box(x, 2.4, along, size, awning, rotation=lean(side * 0.25))
    if tall < 14 and dice.chance(0.45):
        # A gable roof: a square prism on its edge, half sunk into the house.
        diagonal = deep / math.sqrt(2)
        frame.solid(Shape.BOX, (0, tall - deep * 0.14, 0), (diagonal, diagonal, width * 0.99), roof, lean(math.pi / 4))
    elif dice.chance(0.3):
        frame.box(0, tall, 0, (deep * 0.6, 2.8, width * 0.6), blind)
    for _ in range(dice.choice((0, 2, 4), (4, 1, 1))):
        level = dice.integer(1, max(int(tall / storey) - 1, 1)) * storey
        frame.box(face - side * 0.5, level, dice.uniform(-0.4, 0.4) * width, (1.0, 0.9, 2.2), trim)


def _house(world: Frame, dice: Dice, side: int, inner: float, z: float) -> float:
    """A detached house; returns its width along z."""
    label = Street.BUILDING
    wide, deep, tall = dice.uniform(7, 12), dice.uniform(7, 10), dice.uniform(2.8, 6)
    wall = dice.near(dice.choice(_WALLS), 0.3)
    params = (dice.uniform(2.2, 3.2), 2.8, 0.45, 0.5)
    front = world.surface(label, wall, Pattern.FACADE, (0.07, 0.08, 0.1), params)
    brick = world.surface(label, wall, Pattern.BRICK, 0.75, (0.7, 0.25))
    tiles = dice.near(dice.choice(((0.3, 0.1, 0.05), (0.12, 0.12, 0.13), (0.2, 0.13, 0.09))), 0.25)
    roof = world.surface(label, tiles, Pattern.TILES, 0.5, (0.5, 0.5, 0.12))
    frame = world.at(side * (inner + deep / 2), z + wide / 2)
    frame.box(0, -0.4, 0, (deep, tall + 0.4, wide), (front, front, roof, roof, brick, front))
    run, across = (wide, deep) if dice.chance(0.6) else (deep, wide)
    diagonal = across / math.sqrt(2)
    rotation = lean(math.pi / 4) if across == deep else compose(turn(QUARTER), lean(math.pi / 4))
    frame.solid(Shape.BOX, (0, tall - across * 0.1, 0), (diagonal, diagonal, run * 1.04), roof, rotation)
    if dice.chance(0.6):
        frame.box(dice.uniform(-1, 1), tall, dice.uniform(-2, 2), (0.7, across * 0.5 + 0.6, 0.7), brick)
    return wide


def _barrier(world: Frame, dice: Dice, x: float, near: float, far: float) -> None:
    """A wall, fence or hedge along z."""
    kind = dice.choice(("fence", "wall", "hedge", "rail"), (4, 4, 2.5, 1.5))
    frame, length = world.at(x, (near + far) / 2), far - near
    if kind == "wall":
        color = dice.near(dice.choice(_WALLS), 0.3)
        pattern, params = dice.choice(
            ((Pattern.BRICK, (0.5, 0.2)), (Pattern.NOISE, (1.2, 1.0)), (Pattern.TILES, (2.0, 1.0, 0.03)))
        )
        high = dice.uniform(1.0, 3.2)
        frame.box(0, -0.3, 0, (0.3, high + 0.3, length), frame.surface(Street.WALL, color, pattern, 0.6, params))
        frame.box(0, high, 0, (0.42, 0.1, length), frame.surface(Street.WALL, darker(color, 0.6)))
    elif kind == "hedge":
        green, high = dice.near((0.08, 0.17, 0.04), 0.35), dice.uniform(0.9, 2.2)
        frame.box(0, -0.2, 0, (0.9, high + 0.2, length), foliage(frame, green, 0.6))
    else:
        color = dice.choice((dice.gray(0.1, 0.6), dice.near((0.25, 0.15, 0.08)), dice.near((0.06, 0.15, 0.08))))
        high = dice.uniform(0.9, 2.0) if kind == "fence" else dice.uniform(0.7, 1.0)
        params = (dice.uniform(0.15, 0.5), dice.uniform(0.35, 0.7), kind == "rail")
        bars = frame.surface(Street.FENCE, darker(color, 0.3), Pattern.STRIPES, color, params)
        frame.box(0, -0.2, 0, (0.1, high + 0.2, length), bars)
        posts = frame.surface(Street.FENCE, color)
        for index in range(min(int(length / 3), 8)):
            world.box(x, 0, near + 1.5 + 3 * index, (0.16, high + 0.1, 0.16), posts)


def line_side(world: Frame, plan: Plan, dice: Dice, side: int) -> None:
    """What lines one side of the street, block by block."""
    garden = {"city": dice.choice((0.0, 0.0, 2.5)), "suburb": 5.0, "boulevard": 4.0, "arterial": 9.0}[plan.style]
    setback = plan.edge + garden
    storeys = dice.uniform(3, 9)
    open_block = dice.chance({"city": 0.12, "suburb": 0.15, "boulevard": 0.3, "arterial": 0.55}[plan.style])
    fenced = dice.chance({"city": 0.25, "suburb": 0.75, "boulevard": 0.4, "arterial": 0.8}[plan.style])
    for near, far in plan.blocks(170.0):
        if fenced:
            stop = min(far, near + dice.uniform(20, 90))
            _barrier(world, dice, side * (plan.edge + 0.3), max(near, BEHIND + 1), stop)
        z = near
        while z < far - 4:
            if open_block or dice.chance(0.06):
                gap = dice.uniform(8, 20)
                for _ in range(2 if z < 80 else 1):
                    frame = world.at(side * (setback + dice.uniform(2, 9)), z + dice.uniform(0, gap))
                    tree(frame, dice, detailed=z < 50)
                z += gap
                if open_block and dice.chance(0.12):
                    open_block = False
                continue
            if plan.style == "suburb":
                width = _house(world, dice, side, setback + dice.uniform(0, 3), z)
                z += width + dice.uniform(2, 7)
                if dice.chance(0.5):
                    bush(world.at(side * (plan.edge + dice.uniform(1, 3)), z - dice.uniform(2, 8)), dice)
            else:
                width = min(dice.uniform(9, 26) * (1 if z < 60 else 1.8), far - z)
                tall = max(storeys * 3.2 + dice.normal(5), 5)
                _building(world, dice, (side, setback + dice.uniform(0, 0.6), z), width, tall)
                z += width + (dice.uniform(2, 8) if dice.chance(0.2) else 0)


def close_view(world: Frame, plan: Plan, dice: Dice) -> None:
    """What closes the view: houses, trees or the open horizon."""
    kind = dice.choice(("building", "trees", "open"), (4, 5, 2))
    if kind == "building":
        for index in range(3):
            wall = dice.near(dice.choice(_WALLS))
            front = world.surface(Street.BUILDING, wall, Pattern.FACADE, (0.1, 0.1, 0.12), (3.0, 3.5, 0.5, 0.5))
            high = dice.uniform(8, 30)
            world.box(-24 + 24 * index, -1, 200 + dice.uniform(-10, 10), (24, high, 12), front)
    leaves = foliage(world, dice.near((0.09, 0.17, 0.05)), 3.0, shade=0.4)
    if kind == "trees":
        for index in range(6):
            wide, z = dice.uniform(14, 24), 190 + dice.uniform(-12, 12)
            world.ball((-40 + 16 * index, 3, z), (wide, dice.uniform(10, 20), wide), leaves)
    if plan.style != "city" or plan.crossing[0] < END:
        for side in (-1, 1):
            x, z = side * (150 + dice.uniform(0, 30)), dice.uniform(80, 120)
            world.ball((x, 2, z), (30, dice.uniform(12, 24), 260), leaves)
