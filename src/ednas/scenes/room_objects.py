"""Furniture: each function describes one piece in its own frame (back against z = 0, front towards +z)."""

from __future__ import annotations

import math

from ednas.scenes.classes import Indoor
from ednas.scenes.dice import Color, Dice, darker
from ednas.scenes.frame import Frame, tilt
from ednas.scenes.primitives import Shape
from ednas.scenes.textures import Pattern

_WHITE: Color = (0.78, 0.78, 0.76)
_BLACK: Color = (0.02, 0.02, 0.022)
_STEEL: Color = (0.45, 0.46, 0.47)
_WOODS: tuple[Color, ...] = (
    (0.38, 0.22, 0.1),
    (0.22, 0.11, 0.05),
    (0.52, 0.36, 0.19),
    (0.1, 0.055, 0.03),
    (0.6, 0.5, 0.36),
)


def wood(frame: Frame, dice: Dice, label: int) -> int:
    """Add a wooden, or less often painted, surface."""
    if dice.chance(0.25):
        return frame.surface(label, dice.choice((_WHITE, dice.gray(0.05, 0.6), dice.color(0.1, 0.5))), gloss=0.1)
    color = dice.near(dice.choice(_WOODS), 0.3)
    params = (dice.uniform(0.12, 0.5), dice.uniform(0.5, 1.2))
    return frame.surface(label, color, Pattern.WOOD, 0.6, params, gloss=0.12)


def fabric(frame: Frame, dice: Dice, label: int) -> int:
    """Add a plain, checked, striped or mottled cloth."""
    color = dice.choice((dice.color(0.08, 0.65, 0.8), dice.gray(0.06, 0.7)))
    second = dice.color(0.08, 0.7, 0.8)
    kind, params = dice.choice(
        (
            (Pattern.CLOTH, (dice.uniform(0.15, 0.4), 0.0)),
            (Pattern.CLOTH, (dice.uniform(0.15, 0.4), 0.8)),
            (Pattern.STRIPES, (dice.uniform(0.1, 0.35), 0.4, dice.chance(0.5))),
            (Pattern.NOISE, (dice.uniform(0.25, 0.7), 2.2)),
        ),
        (4, 1.5, 1, 1.5),
    )
    return frame.surface(label, color, kind, second, params)


def _legs(frame: Frame, skin: int, size: tuple[float, float], height: float, thick: float) -> None:
    wide, deep = size
    for x in (-wide / 2 + thick, wide / 2 - thick):
        for z in (thick, deep - thick):
            frame.box(x, 0, z, (thick, height, thick), skin)


def bed(frame: Frame, dice: Dice, wide: float) -> None:
    """A bed with its head at the wall, blanket and pillows."""
    label, long = Indoor.BED, dice.uniform(1.95, 2.1)
    timber = wood(frame, dice, label)
    sheet, cover = frame.surface(label, dice.gray(0.5, 0.85)), fabric(frame, dice, label)
    frame.box(0, 0.08, long / 2, (wide, 0.24, long), timber)
    frame.box(0, 0, 0.04, (wide + 0.06, dice.uniform(0.8, 1.25), 0.07), timber)
    frame.box(0, 0.32, long / 2 + 0.03, (wide - 0.04, 0.22, long - 0.08), sheet)
    fold = dice.uniform(0.45, 0.8)
    frame.box(0, 0.25, (long + fold) / 2, (wide + 0.05, 0.32, long - fold), cover)
    if dice.chance(0.4):
        frame.box(0, 0.26, long * 0.82, (wide + 0.09, 0.335, long * 0.22), fabric(frame, dice, label))
    count = 2 if wide > 1.25 else 1
    for index in range(count):
        x = (index - (count - 1) / 2) * wide * 0.48
        frame.ball((x, 0.64, 0.34), (0.6, 0.24, 0.44), fabric(frame, dice, Indoor.PILLOW), tilt(-0.5))


def night_stand(frame: Frame, dice: Dice) -> None:
    """A small cupboard with, mostly, a lamp on it."""
    timber = dice.near(dice.choice(_WOODS), 0.3)
    label, high = Indoor.NIGHT_STAND, dice.uniform(0.45, 0.62)
    front = frame.surface(label, timber, Pattern.PANELS, 0.4, (1, 2, 0.04))
    side = frame.surface(label, timber, Pattern.WOOD, 0.6, (0.3, 0.8))
    frame.box(0, 0, 0.23, (0.48, high, 0.42), (side, side, side, side, side, front))
    if dice.chance(0.75):
        table_lamp(frame.at(0, 0.23, high), dice)


def _shade(frame: Frame, dice: Dice) -> int:
    """Add the surface of a lamp's glowing or dark shade."""
    return frame.surface(Indoor.LAMP, dice.near((0.8, 0.72, 0.55), 0.2), glow=dice.choice((0.0, 0.7)))


def table_lamp(frame: Frame, dice: Dice) -> None:
    """A lamp that stands on the frame's base."""
    foot = frame.surface(Indoor.LAMP, dice.color(0.05, 0.5), gloss=0.5)
    shade, high = _shade(frame, dice), dice.uniform(0.2, 0.32)
    frame.ball((0, high / 2, 0), (0.15, high * 1.1, 0.15), foot)
    frame.post((0, high, 0), dice.uniform(0.12, 0.17), 0.2, shade)


def floor_lamp(frame: Frame, dice: Dice) -> None:
    """A standing lamp."""
    metal = frame.surface(Indoor.LAMP, dice.choice((_BLACK, _STEEL, (0.4, 0.28, 0.1))), gloss=0.6)
    shade, high = _shade(frame, dice), dice.uniform(1.25, 1.6)
    frame.post((0, 0, 0.25), 0.15, 0.03, metal)
    frame.post((0, 0, 0.25), 0.018, high, metal)
    frame.post((0, high - 0.02, 0.25), dice.uniform(0.17, 0.24), 0.28, shade)


def dresser(frame: Frame, dice: Dice, wide: float) -> None:
    """A chest of drawers with things on top."""
    label, high = Indoor.DRESSER, dice.uniform(0.75, 1.15)
    timber = dice.near(dice.choice((*_WOODS, _WHITE)), 0.25)
    params = (dice.choice((1, 2)), dice.choice((3, 4)), 0.035)
    front = frame.surface(label, timber, Pattern.PANELS, 0.35, params, gloss=0.1)
    side = frame.surface(label, timber, Pattern.WOOD, 0.65, (0.5, 0.8), gloss=0.1)
    frame.box(0, 0.06, 0.24, (wide, high - 0.06, 0.46), (side, side, side, side, side, front))
    frame.box(0, 0, 0.24, (wide - 0.08, 0.06, 0.4), side)
    clutter(frame.at(0, 0.24, high), dice, wide * 0.8, 0.3)


def wardrobe(frame: Frame, dice: Dice, wide: float) -> None:
    """A tall cabinet, sometimes with clothes hanging on its door."""
    label, high, deep = Indoor.CABINET, dice.uniform(1.7, 2.25), dice.uniform(0.4, 0.62)
    timber = dice.near(dice.choice((*_WOODS, _WHITE)), 0.25)
    params = (max(round(wide / 0.5), 1), dice.choice((1, 2)), 0.025)
    front = frame.surface(label, timber, Pattern.PANELS, 0.45, params, gloss=0.1)
    side = frame.surface(label, timber, Pattern.WOOD, 0.65, (0.6, 1.0, 1.0), gloss=0.1)
    frame.box(0, 0, deep / 2, (wide, high, deep), (side, side, side, side, side, front))
    if dice.chance(0.3):
        for index in range(dice.integer(1, 3)):
            cloth = fabric(frame, dice, Indoor.CLOTHES)
            x = dice.uniform(-0.4, 0.4) * wide + 0.05 * index
            frame.box(x, high - dice.uniform(0.9, 1.3), deep + 0.05 + 0.03 * index, (0.4, 0.85, 0.07), cloth)


def bookshelf(frame: Frame, dice: Dice, wide: float, *, label: int = Indoor.BOOKSHELF) -> None:
    """Shelves with books and a few other things."""
    high, deep = dice.uniform(1.3, 2.2), 0.3
    timber = wood(frame, dice, label)
    frame.box(0, 0, 0.02, (wide, high, 0.03), timber)
    for x in (-wide / 2, wide / 2):
        frame.box(x, 0, deep / 2, (0.03, high, deep), timber)
    levels = max(int(high / 0.38), 2)
    step = high / levels
    for level in range(levels + 1):
        frame.box(0, min(level * step, high - 0.03), deep / 2, (wide, 0.03, deep), timber)
    for level in range(levels):
        run = dice.uniform(0.4, 0.95) * (wide - 0.06)
        tall = min(dice.uniform(0.2, 0.32), step - 0.05)
        left = dice.choice((-1, 1)) * (wide - 0.06 - run) / 2
        if dice.chance(0.85):
            params = (dice.uniform(0.025, 0.06),)
            dark, light = dice.color(0.02, 0.15), dice.color(0.4, 0.75)
            spines = frame.surface(Indoor.BOOKS, dark, Pattern.BOOKS, light, params)
            frame.box(left, level * step + 0.03, 0.13, (run, tall, 0.2), spines)
        if dice.chance(0.4):
            clutter(frame.at(-left, 0.15, level * step + 0.03), dice, 0.2, 0.1, count=1)


def wall_shelf(frame: Frame, dice: Dice, wide: float) -> None:
    """One or two boards on the wall, with things on them."""
    timber = wood(frame, dice, Indoor.SHELVES)
    for level in range(dice.integer(1, 3)):
        up = 1.2 + 0.35 * level
        frame.box(0, up, 0.12, (wide, 0.03, 0.24), timber)
        clutter(frame.at(0, 0.12, up + 0.03), dice, wide * 0.8, 0.1)


def clutter(frame: Frame, dice: Dice, wide: float, deep: float, count: int | None = None) -> None:
    """Small things on a surface: vases, boxes, books, paper, a lamp."""
    surface = frame.surface
    for _ in range(dice.integer(0, 3) if count is None else count):
        at = frame.at(dice.uniform(-0.5, 0.5) * wide, dice.uniform(-0.5, 0.5) * deep, yaw=dice.uniform(-0.6, 0.6))
        kind = dice.choice(("vase", "box", "books", "paper", "pot", "bag"), (3, 1.5, 2, 1.5, 1.5, 0.7))
        if kind == "vase":
            color = surface(Indoor.OTHER_PROP, dice.color(0.05, 0.7, 0.9), gloss=0.7)
            high = dice.uniform(0.12, 0.32)
            at.ball((0, high / 2, 0), (dice.uniform(0.08, 0.18), high, 0.13), color)
        elif kind == "box":
            color = surface(Indoor.BOX, dice.choice(((0.4, 0.27, 0.15), dice.color(0.1, 0.6))))
            at.box(0, 0, 0, (dice.uniform(0.12, 0.28), dice.uniform(0.08, 0.2), 0.16), color)
        elif kind == "books":
            for level in range(dice.integer(1, 4)):
                color = surface(Indoor.BOOKS, dice.color(0.05, 0.6, 0.9))
                at.box(0, 0.035 * level, 0, (dice.uniform(0.17, 0.25), 0.034, 0.16), color)
        elif kind == "paper":
            sheet = surface(Indoor.PAPER, _WHITE, Pattern.STRIPES, (0.3, 0.3, 0.3), (0.02, 0.3))
            at.box(0, 0, 0, (0.21, 0.008, 0.297), sheet)
        elif kind == "pot":
            at.post((0, 0, 0), 0.06, 0.1, surface(Indoor.OTHER_PROP, dice.near((0.4, 0.18, 0.09))))
            leaves = surface(Indoor.OTHER_PROP, (0.03, 0.08, 0.02), Pattern.FOLIAGE, (0.1, 0.25, 0.05), (0.15,))
            at.ball((0, 0.2, 0), (0.2, 0.24, 0.2), leaves)
        else:
            bag(at, dice, 0.6)


def bag(frame: Frame, dice: Dice, scale: float = 1.0) -> None:
    """A soft bag with a handle."""
    cloth = fabric(frame, dice, Indoor.BAG)
    frame.ball((0, 0.2 * scale, 0), (0.42 * scale, 0.44 * scale, 0.26 * scale), cloth)
    frame.tube((-0.08 * scale, 0.38 * scale, 0), (0.08 * scale, 0.5 * scale, 0), 0.018, cloth)


def table(
    frame: Frame, dice: Dice, wide: float, deep: float = 0.5, *, label: int = Indoor.TABLE, high: float = 0.74
) -> None:
    """A table or desk with things on it; round ones stand on one leg."""
    top, leg = wood(frame, dice, label), wood(frame, dice, label)
    if label == Indoor.TABLE and dice.chance(0.25):
        radius = min(wide, deep) / 2
        frame.post((0, high - 0.04, deep / 2), radius, 0.04, top)
        frame.post((0, 0, deep / 2), 0.05, high - 0.04, leg)
        frame.post((0, 0, deep / 2), radius * 0.5, 0.03, leg)
    else:
        frame.box(0, high - 0.04, deep / 2, (wide, 0.04, deep), top)
        _legs(frame, leg, (wide, deep), high - 0.04, dice.uniform(0.04, 0.08))
    clutter(frame.at(0, deep / 2, high), dice, wide * 0.7, deep * 0.5)


def desk(frame: Frame, dice: Dice, wide: float) -> None:
    """A desk with drawers, a screen, and a chair before it."""
    table(frame, dice, wide, 0.65, label=Indoor.DESK)
    if dice.chance(0.6):
        timber = dice.near(dice.choice(_WOODS))
        front = frame.surface(Indoor.DESK, timber, Pattern.PANELS, 0.4, (1, 3, 0.04))
        frame.box(wide / 2 - 0.25, 0.02, 0.32, (0.42, 0.66, 0.58), front)
    if dice.chance(0.75):
        screen(frame.at(dice.uniform(-0.2, 0.1) * wide, 0.2, 0.74), dice, dice.uniform(0.45, 0.62))
    if dice.chance(0.85):
        chair(frame.at(-wide * 0.12, 0.75, yaw=math.pi + dice.normal(0.35)).at(0, -0.45), dice)


def screen(frame: Frame, dice: Dice, wide: float) -> None:
    """A television or monitor on its foot."""
    surface, label = frame.surface, Indoor.TELEVISION
    case = surface(label, _BLACK, gloss=0.4)
    if dice.chance(0.5):
        front = surface(label, (0.015, 0.015, 0.02), gloss=0.9)
    else:
        front = surface(label, dice.color(0.05, 0.3), Pattern.PICTURE, dice.color(0.4, 0.9), (0.03, 0.5), glow=0.8)
    frame.box(0, 0, 0, (wide * 0.35, 0.02, 0.18), case)
    frame.box(0, 0, -0.02, (0.06, 0.12, 0.04), case)
    frame.box(0, 0.09, 0.01, (wide, wide * 0.58, 0.05), (case, case, case, case, case, front))


def television(frame: Frame, dice: Dice, wide: float) -> None:
    """A large television on a low cabinet."""
    timber, high = dice.near(dice.choice((*_WOODS, _WHITE, _BLACK)), 0.25), dice.uniform(0.4, 0.6)
    front = frame.surface(Indoor.CABINET, timber, Pattern.PANELS, 0.4, (3, 1, 0.03), gloss=0.2)
    frame.box(0, 0, 0.22, (wide, high, 0.42), front)
    screen(frame.at(0, 0.2, high), dice, min(wide * 0.8, dice.uniform(0.8, 1.3)))


def chair(frame: Frame, dice: Dice) -> None:
    """A chair with its back at z = 0: wooden, upholstered or an office chair."""
    label = Indoor.CHAIR
    seat = fabric(frame, dice, label) if dice.chance(0.5) else wood(frame, dice, label)
    leg = frame.surface(label, dice.choice((_BLACK, _STEEL, dice.choice(_WOODS))), gloss=0.2)
    high = dice.uniform(0.42, 0.48)
    if dice.chance(0.25):
        frame.post((0, 0.08, 0.24), 0.03, high - 0.1, leg)
        for angle in (0.3, 0.3 + 2.1, 0.3 + 4.2):
            frame.tube((0, 0.1, 0.24), (0.28 * math.sin(angle), 0.04, 0.24 + 0.28 * math.cos(angle)), 0.025, leg)
        frame.box(0, high - 0.04, 0.25, (0.48, 0.09, 0.46), seat)
        frame.box(0, high + 0.12, 0.02, (0.44, 0.5, 0.07), seat, rotation=tilt(-0.12))
        return
    frame.box(0, high - 0.03, 0.23, (0.44, 0.06, 0.44), seat)
    _legs(frame, leg, (0.44, 0.44), high - 0.03, 0.035)
    if dice.chance(0.5):
        frame.box(0, high + 0.02, 0.02, (0.44, dice.uniform(0.4, 0.55), 0.035), seat)
    else:
        for x in (-0.19, 0.19):
            frame.box(x, high, 0.02, (0.04, 0.5, 0.035), leg)
        for up in (0.15, 0.3, 0.43):
            frame.box(0, high + up, 0.02, (0.36, 0.07, 0.025), seat)


def sofa(frame: Frame, dice: Dice, wide: float) -> None:
    """A sofa or armchair with cushions."""
    cloth, label = fabric(frame, dice, Indoor.SOFA), Indoor.SOFA
    foot = frame.surface(label, (0.05, 0.03, 0.02))
    deep, arm, back = dice.uniform(0.8, 0.95), dice.uniform(0.14, 0.24), dice.uniform(0.75, 0.95)
    frame.box(0, 0.08, deep / 2, (wide, 0.22, deep), cloth)
    frame.box(0, 0.3, 0.12, (wide, back - 0.3, 0.22), cloth, rotation=tilt(-0.08))
    for side in (-1, 1):
        frame.box(side * (wide - arm) / 2, 0.08, deep / 2 + 0.02, (arm, 0.52, deep - 0.02), cloth)
    seats = max(round((wide - 2 * arm) / 0.65), 1)
    each = (wide - 2 * arm) / seats
    for index in range(seats):
        x = (index - (seats - 1) / 2) * each
        frame.box(x, 0.29, deep / 2 + 0.1, (each - 0.02, 0.15, deep - 0.2), cloth)
    for _ in range(dice.integer(0, 3)):
        pillow = fabric(frame, dice, Indoor.PILLOW)
        x = dice.uniform(-0.4, 0.4) * (wide - 2 * arm)
        frame.ball((x, 0.62, 0.34), (0.44, 0.42, 0.2), pillow, tilt(-0.3))
    frame.box(0, 0, deep / 2, (wide - 0.1, 0.08, deep - 0.1), foot)


def counter(frame: Frame, dice: Dice, wide: float) -> None:
    """A kitchen unit: cupboards below and above, a worktop, a sink."""
    timber = dice.near(dice.choice((*_WOODS, _WHITE, dice.color(0.1, 0.4))), 0.2)
    doors = (max(round(wide / 0.5), 1), 1, 0.035)
    low = frame.surface(Indoor.CABINET, timber, Pattern.PANELS, 0.45, doors, gloss=0.15)
    frame.box(0, 0, 0.3, (wide, 0.86, 0.58), low)
    stone = dice.choice((dice.gray(0.05, 0.7), dice.near(dice.choice(_WOODS))))
    top = frame.surface(Indoor.COUNTER, stone, Pattern.NOISE, 0.6, (0.25, 1.5), gloss=0.4)
    frame.box(0, 0.86, 0.31, (wide + 0.02, 0.05, 0.62), top)
    tile, joint = dice.gray(0.4, 0.75), dice.gray(0.2, 0.5)
    splash = frame.surface(Indoor.WALL, tile, Pattern.TILES, joint, (0.15, 0.15, 0.06))
    frame.box(0, 0.91, 0.006, (wide, 0.5, 0.012), splash)
    if dice.chance(0.7):
        metal = frame.surface(Indoor.SINK, dice.choice((_STEEL, _WHITE)), gloss=0.8)
        x = dice.uniform(-0.25, 0.25) * wide
        frame.box(x, 0.905, 0.33, (0.55, 0.018, 0.42), metal)
        frame.tube((x, 0.9, 0.1), (x, 1.18, 0.12), 0.016, metal)
        frame.tube((x, 1.18, 0.12), (x, 1.14, 0.3), 0.014, metal)
    if dice.chance(0.75):
        upper = frame.surface(Indoor.CABINET, timber, Pattern.PANELS, 0.45, doors, gloss=0.15)
        frame.box(0, 1.45, 0.18, (wide, dice.uniform(0.6, 0.8), 0.34), upper)
    clutter(frame.at(0, 0.3, 0.91), dice, wide * 0.85, 0.3, count=dice.integer(1, 4))


def refrigerator(frame: Frame, dice: Dice) -> None:
    """A fridge."""
    label, color = Indoor.REFRIGERATOR, dice.choice((_WHITE, _STEEL, (0.05, 0.05, 0.055)), (4, 3, 1))
    front = frame.surface(label, color, Pattern.PANELS, 0.4, (1, 2, 0.012), gloss=0.5)
    side = frame.surface(label, darker(color, 0.9), gloss=0.2)
    high = dice.uniform(1.5, 1.85)
    frame.box(0, 0.02, 0.34, (0.68, high, 0.66), (side, side, side, side, side, front))
    handle = frame.surface(label, darker(color, 0.5), gloss=0.6)
    frame.box(-0.27, high * 0.6, 0.7, (0.03, 0.4, 0.04), handle)
    if dice.chance(0.4):
        paper = dice.near((0.7, 0.7, 0.5), 0.2)
        note = frame.surface(Indoor.PAPER, paper, Pattern.STRIPES, (0.3, 0.3, 0.3), (0.03, 0.3, 1))
        frame.box(dice.uniform(-0.1, 0.2), 1.1, 0.676, (0.16, 0.22, 0.012), note)


def toilet(frame: Frame, dice: Dice) -> None:
    """A toilet."""
    white = frame.surface(Indoor.TOILET, dice.near(_WHITE, 0.08), gloss=0.7)
    frame.box(0, 0.4, 0.1, (0.42, 0.4, 0.18), white)
    frame.post((0, 0, 0.4), 0.13, 0.36, white)
    frame.ball((0, 0.32, 0.44), (0.4, 0.3, 0.54), white)
    frame.solid(Shape.CYLINDER, (0, 0.43, 0.44), (0.4, 0.04, 0.52), white)


def wash_basin(frame: Frame, dice: Dice) -> None:
    """A basin on a foot or a cabinet, with a mirror and a towel."""
    white = frame.surface(Indoor.SINK, dice.near(_WHITE, 0.08), gloss=0.7)
    if dice.chance(0.5):
        timber = dice.near(dice.choice((*_WOODS, _WHITE)))
        front = frame.surface(Indoor.CABINET, timber, Pattern.PANELS, 0.4, (2, 1, 0.04))
        frame.box(0, 0, 0.24, (0.7, 0.74, 0.46), front)
        frame.box(0, 0.74, 0.25, (0.74, 0.09, 0.5), white)
    else:
        frame.post((0, 0, 0.2), 0.09, 0.72, white)
        frame.ball((0, 0.78, 0.24), (0.6, 0.22, 0.46), white)
    tap = frame.surface(Indoor.SINK, _STEEL, gloss=0.8)
    frame.tube((0, 0.8, 0.06), (0, 0.98, 0.14), 0.02, tap)
    mirror(frame.at(0, 0, 1.2), dice, dice.uniform(0.45, 0.8))
    if dice.chance(0.7):
        towel(frame.at(dice.choice((-1, 1)) * 0.62, 0), dice)


def mirror(frame: Frame, dice: Dice, wide: float) -> None:
    """A mirror on the wall; what it reflects is a vague gradient."""
    rim = wood(frame, dice, Indoor.MIRROR)
    gray, pale = (0.3, 0.33, 0.35), (0.55, 0.56, 0.55)
    glass = frame.surface(Indoor.MIRROR, gray, Pattern.NOISE, pale, (1.6, 1.6), gloss=0.9)
    high = wide * dice.uniform(1.0, 1.6)
    frame.box(0, 0, 0.015, (wide, high, 0.03), rim)
    frame.box(0, 0.03, 0.03, (wide - 0.06, high - 0.06, 0.02), glass)


def towel(frame: Frame, dice: Dice) -> None:
    """A towel on its rail."""
    cloth = fabric(frame, dice, Indoor.TOWEL)
    frame.box(0, dice.uniform(0.8, 1.0), 0.06, (dice.uniform(0.35, 0.5), dice.uniform(0.45, 0.7), 0.05), cloth)


def bathtub(frame: Frame, dice: Dice, long: float) -> None:
    """A bathtub along the wall, often behind a shower curtain."""
    white = frame.surface(Indoor.BATHTUB, dice.near(_WHITE, 0.08), gloss=0.6)
    inner = frame.surface(Indoor.BATHTUB, (0.5, 0.5, 0.5), gloss=0.5)
    frame.box(0, 0, 0.37, (long, 0.16, 0.74), inner)
    for z in (0.05, 0.7):
        frame.box(0, 0, z, (long, 0.56, 0.1), white)
    for x in (-1, 1):
        frame.box(x * (long / 2 - 0.06), 0, 0.37, (0.12, 0.56, 0.74), white)
    if dice.chance(0.65):
        color = dice.choice((dice.gray(0.5, 0.8), dice.color(0.2, 0.7)))
        second, params = darker(dice.near(color), 0.8), (dice.uniform(0.12, 0.3), 0.45)
        curtain = frame.surface(Indoor.SHOWER_CURTAIN, color, Pattern.STRIPES, second, params)
        part = long * dice.uniform(0.35, 0.6)
        frame.box(dice.choice((-1, 1)) * (long - part) / 2, 0.35, 0.78, (part, 1.65, 0.05), curtain)
        frame.tube((-long / 2, 2.02, 0.78), (long / 2, 2.02, 0.78), 0.015, white)


def person(frame: Frame, dice: Dice) -> None:
    """Somebody who stands in the room."""
    surface, label = frame.surface, Indoor.PERSON
    top, legs = fabric(frame, dice, label), surface(label, dice.choice(((0.05, 0.07, 0.15), dice.gray(0.03, 0.3))))
    skin = surface(label, dice.choice(((0.62, 0.42, 0.32), (0.3, 0.18, 0.12), (0.7, 0.5, 0.4))))
    hair = surface(label, dice.choice(((0.03, 0.02, 0.02), (0.25, 0.15, 0.07))))
    k = dice.uniform(0.9, 1.05)
    for side in (-1, 1):
        frame.tube((side * 0.1 * k, 0, 0), (side * 0.09 * k, 0.88 * k, 0), 0.085 * k, legs)
        elbow = (side * 0.28 * k, 1.12 * k, 0.02)
        frame.tube((side * 0.21 * k, 1.42 * k, 0), elbow, 0.055 * k, top)
        frame.tube(elbow, (side * 0.24 * k, 0.9 * k, 0.16 * k), 0.045 * k, skin)
    frame.ball((0, 1.17 * k, 0), (0.45 * k, 0.76 * k, 0.28 * k), top)
    frame.ball((0, 1.62 * k, 0), (0.18 * k, 0.25 * k, 0.21 * k), skin)
    frame.ball((0, 1.68 * k, -0.02 * k), (0.2 * k, 0.2 * k, 0.22 * k), hair)


def stool(frame: Frame, dice: Dice) -> None:
    """An ottoman, a crate or a stool: other furniture."""
    cloth = fabric(frame, dice, Indoor.OTHER_FURNITURE)
    high, wide = dice.uniform(0.3, 0.5), dice.uniform(0.4, 0.7)
    if dice.chance(0.5):
        frame.post((0, 0.03, wide / 2), wide / 2, high, cloth)
    else:
        frame.box(0, 0.03, wide / 2, (wide, high, wide), cloth)


def cartons(frame: Frame, dice: Dice) -> None:
    """One to three cardboard boxes, stacked."""
    up = 0.0
    for _ in range(dice.integer(1, 3)):
        color = dice.near((0.42, 0.29, 0.16), 0.25)
        skin = frame.surface(Indoor.BOX, color, Pattern.PANELS, 0.7, (1, 2, 0.02))
        high = dice.uniform(0.2, 0.4)
        size = (dice.uniform(0.3, 0.55), high, dice.uniform(0.3, 0.45))
        frame.at(dice.normal(0.04), 0.28, yaw=dice.normal(0.15)).box(0, up, 0, size, skin)
        up += high + 0.002


def ceiling_lamp(frame: Frame, dice: Dice) -> None:
    """A lamp that hangs from the frame's base (the ceiling)."""
    shade = frame.surface(Indoor.LAMP, (0.85, 0.8, 0.7), glow=1.2)
    cord = frame.surface(Indoor.LAMP, _BLACK)
    drop = dice.uniform(0.1, 0.6)
    frame.solid(Shape.CYLINDER, (0, -drop / 2, 0), (0.03, drop, 0.03), cord, casts=False)
    shape = dice.choice((Shape.CYLINDER, Shape.ELLIPSOID))
    wide = dice.uniform(0.25, 0.5)
    frame.solid(shape, (0, -drop - 0.08, 0), (wide, 0.18, wide), shade, casts=False)
