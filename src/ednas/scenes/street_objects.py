"""What moves and stands in streets: each function describes one object in its own frame (x right, z its back)."""

from __future__ import annotations

import math

from ednas.scenes.classes import VOID, Street
from ednas.scenes.dice import Color, Dice, darker
from ednas.scenes.frame import QUARTER, UPRIGHT, Frame, lean, tilt
from ednas.scenes.primitives import Shape
from ednas.scenes.textures import Pattern

_DARK: Color = (0.03, 0.03, 0.035)
_GLASS: Color = (0.05, 0.07, 0.09)
_SKINS: tuple[Color, ...] = ((0.62, 0.42, 0.32), (0.45, 0.28, 0.2), (0.25, 0.14, 0.09), (0.7, 0.5, 0.4))


def _paint(dice: Dice) -> Color:
    """A car's colour: mostly black, grey, silver, white, as on real streets."""
    kind = dice.choice(("gray", "dark", "white", "hue"), (3, 2, 2, 4))
    if kind == "hue":
        return dice.color(0.1, 0.55, 0.95)
    return dice.gray(*{"gray": (0.12, 0.45), "dark": (0.02, 0.06), "white": (0.6, 0.8)}[kind], 0.02)


def _wheels(frame: Frame, label: int, xs: tuple[float, ...], zs: tuple[float, ...], radius: float) -> None:
    tyre, rim = frame.surface(label, (0.02, 0.02, 0.02)), frame.surface(label, (0.3, 0.3, 0.32), gloss=0.3)
    for x in xs:
        for z in zs:
            frame.wheel(x, z, radius, 0.22, (tyre, tyre, rim, rim, tyre, tyre))


def car(frame: Frame, dice: Dice, *, detailed: bool = True) -> None:
    """A saloon, hatchback, estate or van; its rear looks along -z."""
    surface, label = frame.surface, Street.CAR
    kind = dice.choice(("saloon", "hatch", "estate", "van"), (4, 4, 3, 2))
    paint = _paint(dice)
    width, length = dice.uniform(1.68, 1.9), {"saloon": 4.6, "hatch": 3.9, "estate": 4.6, "van": 4.9}[kind]
    length *= dice.uniform(0.94, 1.06)
    belt = dice.uniform(0.9, 1.0) + (0.15 if kind == "van" else 0)
    top = {"saloon": 1.45, "hatch": 1.5, "estate": 1.6, "van": 1.95}[kind]
    body, dark = surface(label, paint, gloss=0.7), surface(label, _DARK)
    rear = surface(label, paint, Pattern.LIGHTS, (0.7, 0.03, 0.02), (0.55, 0.88, 0.17), gloss=0.4)
    front = surface(label, paint, Pattern.LIGHTS, (0.95, 0.95, 0.9), (0.5, 0.8, 0.2), gloss=0.5)
    frame.box(0, 0.28, 0, (width, belt - 0.28, length), (body, body, body, dark, rear, front))
    frame.box(0, 0.16, 0, (width * 0.92, 0.2, length * 0.94), dark)
    if kind in ("saloon", "hatch"):
        middle = -0.02 * length if kind == "saloon" else -0.1 * length
        run = length * (0.62 if kind == "saloon" else 0.68)
        # The roof is the upper part of a lying elliptic cylinder; its ends are the side windows.
        skin = surface(label, paint, Pattern.GLAZING, _GLASS, (0.0, 1.0, 0.5), gloss=0.8)
        sides = surface(label, _GLASS, gloss=0.8)
        size = (2 * (top - belt + 0.1), width * 0.86, run)
        skins = (skin, skin, sides, sides, skin, skin)
        frame.solid(Shape.CYLINDER, (0, belt - 0.1, middle), size, skins, lean(QUARTER))
        frame.box(0, top - 0.07, middle, (width * 0.8, 0.07, run * 0.45), body)
    else:
        glass = surface(label, paint, Pattern.GLAZING, _GLASS, (0.12, 0.85, 0.33), gloss=0.8)
        ends = surface(label, paint, Pattern.GLAZING, _GLASS, (0.15, 0.85, 1.0), gloss=0.8)
        run = length * (0.68 if kind == "estate" else 0.8)
        shift = -(length - run) / 2 + 0.08
        frame.box(0, belt, shift, (width * 0.88, top - belt, run), (glass, glass, body, body, ends, ends))
        screen = surface(label, _GLASS, gloss=0.9)
        frame.box(0, belt - 0.12, shift + run / 2 - 0.1, (width * 0.84, 0.7, 0.5), screen, rotation=tilt(-0.75))
    xs = (-width / 2 + 0.1, width / 2 - 0.1) if detailed else (0.0,)
    _wheels(frame, label, xs, (-length * 0.31, length * 0.31), 0.32)
    if detailed:
        plate = surface(label, (0.75, 0.75, 0.7))
        frame.box(0, 0.5, 0, (0.5, 0.12, length + 0.03), plate)
        frame.box(0, 0.3, 0, (width * 1.01, 0.14, length + 0.08), dark)
        for side in (-1, 1):
            frame.box(side * (width / 2 + 0.08), belt - 0.02, length * 0.16, (0.16, 0.12, 0.1), body)


def truck(frame: Frame, dice: Dice) -> None:
    """A lorry with a box, tarpaulin, tank or open bed."""
    surface, label = frame.surface, Street.TRUCK
    length, width, height = dice.uniform(5.5, 10), dice.uniform(2.3, 2.5), dice.uniform(2.7, 3.7)
    paint = _paint(dice)
    cab = surface(label, paint, gloss=0.4)
    front = surface(label, paint, Pattern.GLAZING, _GLASS, (0.5, 0.88, 1.0), gloss=0.6)
    side = surface(label, paint, Pattern.GLAZING, _GLASS, (0.5, 0.85, 1.0), gloss=0.4)
    dark = surface(label, _DARK)
    size = (width * 0.96, min(height, 2.9) - 0.6, 1.8)
    frame.box(0, 0.5, length / 2 - 0.9, size, (side, side, cab, dark, cab, front))
    frame.box(0, 0.55, 0, (width * 0.8, 0.4, length * 0.98), dark)
    cargo_length = length - 2.0
    middle = -length / 2 + cargo_length / 2
    kind = dice.choice(("box", "tarp", "tank", "open"), (4, 3, 1, 1))
    color = dice.choice((dice.gray(0.5, 0.8), dice.color(0.15, 0.6, 0.9)))
    if kind == "tank":
        size = (2.2, cargo_length, 2.2)
        frame.solid(Shape.CYLINDER, (0, 2.05, middle), size, surface(label, color, gloss=0.9), tilt(QUARTER))
    elif kind == "open":
        planks = surface(label, color, Pattern.PANELS, _DARK, (5, 1, 0.03))
        frame.box(0, 0.95, middle, (width, 0.7, cargo_length), planks)
        load = surface(label, dice.color(0.1, 0.4), Pattern.NOISE, _DARK, (0.8, 1.2))
        frame.ball((0, 1.5, middle), (width * 0.85, dice.uniform(0.6, 1.8), cargo_length * 0.9), load)
    else:
        second = dice.color(0.1, 0.7, 0.9)
        pattern, params = dice.choice(
            (
                (Pattern.PANELS, (6.0, 1.0, 0.02)),
                (Pattern.STRIPES, (height, dice.uniform(0.15, 0.4), 1.0)),
                (Pattern.PLAIN, (0.15,)),
            )
        )
        cargo = surface(label, color, pattern, second, params)
        doors = surface(label, color, Pattern.PANELS, _DARK, (2, 1, 0.03))
        frame.box(0, 0.95, middle, (width, height - 0.95, cargo_length), (cargo, cargo, cargo, dark, doors, cargo))
    lamps = surface(label, _DARK, Pattern.LIGHTS, (0.6, 0.02, 0.02), (0.2, 0.9, 0.15))
    frame.box(0, 0.6, -length / 2 - 0.03, (width * 0.95, 0.28, 0.08), lamps)
    _wheels(frame, label, (-width / 2 + 0.18, width / 2 - 0.18), (-length * 0.34, -length * 0.18, length * 0.33), 0.48)


def bus(frame: Frame, dice: Dice) -> None:
    """A city bus, sometimes a double-decker."""
    surface, label = frame.surface, Street.BUS
    length, width = dice.uniform(9, 12.5), 2.5
    double = dice.chance(0.15)
    height = 4.2 if double else dice.uniform(2.95, 3.2)
    paint = dice.choice((dice.color(0.25, 0.65, 0.95), dice.gray(0.5, 0.8)), (3, 1))
    low = 0.55 if double else 0.42
    side = surface(label, paint, Pattern.GLAZING, _GLASS, (low, 0.86, 0.14), gloss=0.5)
    end = surface(label, paint, Pattern.GLAZING, _GLASS, (0.4, 0.82, 1.0), gloss=0.5)
    roof, dark = surface(label, dice.gray(0.4, 0.8)), surface(label, _DARK)
    frame.box(0, 0.32, 0, (width, height - 0.32, length), (side, side, roof, dark, end, end))
    stripe = surface(label, dice.color(0.1, 0.6, 0.95))
    frame.box(0, 0.8, 0, (width + 0.02, 0.25, length * 0.98), stripe)
    display = surface(label, (0.05, 0.04, 0.02), Pattern.NOISE, (0.9, 0.6, 0.1), (0.5, 3.0), glow=0.4)
    frame.box(0, height - 0.4, 0, (1.5, 0.25, length + 0.04), display)
    lamps = surface(label, _DARK, Pattern.LIGHTS, (0.7, 0.05, 0.03), (0.1, 0.9, 0.12))
    frame.box(0, 0.5, -length / 2, (width * 0.96, 0.2, 0.06), lamps)
    _wheels(frame, label, (-width / 2 + 0.1, width / 2 - 0.1), (-length * 0.28, length * 0.32), 0.48)


def tram(frame: Frame, dice: Dice) -> None:
    """A tram of two cars; Cityscapes files it under train."""
    surface, label = frame.surface, Street.TRAIN
    paint = dice.choice((dice.color(0.3, 0.65, 0.95), (0.6, 0.1, 0.08), (0.65, 0.6, 0.45)))
    side = surface(label, paint, Pattern.GLAZING, _GLASS, (0.42, 0.8, 0.11), gloss=0.4)
    end = surface(label, paint, Pattern.GLAZING, _GLASS, (0.4, 0.85, 1.0), gloss=0.4)
    roof, dark = surface(label, dice.gray(0.3, 0.6)), surface(label, _DARK)
    for start in (-13.2, 0.4):
        frame.box(0, 0.3, start + 6.4, (2.4, 3.1, 12.8), (side, side, roof, dark, end, end))
        frame.box(0, 3.4, start + 6.4, (1.6, 0.35, 6), roof)
    frame.box(0, 0.5, 0, (2.1, 2.7, 2), dark)
    frame.tube((0, 3.6, -4), (0, 4.8, -5.5), 0.05, dark)


def person(frame: Frame, dice: Dice, *, label: int = Street.PERSON, detailed: bool = True) -> None:
    """Somebody who stands or walks."""
    surface = frame.surface
    k = (dice.uniform(1.5, 1.9) if dice.chance(0.9) else dice.uniform(1.0, 1.4)) / 1.75
    coat = dice.choice((dice.color(0.05, 0.6), dice.gray(0.02, 0.2)))
    top = surface(label, coat, dice.choice((Pattern.PLAIN, Pattern.CLOTH)), dice.color(0.05, 0.5), (0.25, 0.5))
    legs = surface(label, dice.choice(((0.05, 0.07, 0.15), dice.gray(0.02, 0.25), dice.color(0.05, 0.3))))
    skin = surface(label, dice.choice(_SKINS))
    hair = surface(label, dice.choice(((0.03, 0.02, 0.02), (0.2, 0.12, 0.05), (0.5, 0.4, 0.2), (0.4, 0.4, 0.4))))
    step = dice.uniform(-0.28, 0.28) * k
    wide = dice.uniform(0.42, 0.54) * k
    frame.tube((-0.1 * k, 0, -step), (-0.09 * k, 0.9 * k, 0), 0.085 * k, legs)
    frame.tube((0.1 * k, 0, step), (0.09 * k, 0.9 * k, 0), 0.085 * k, legs)
    frame.ball((0, 1.17 * k, 0), (wide * 0.88, 0.78 * k, 0.3 * k), top)
    frame.ball((0, 1.64 * k, 0), (0.19 * k, 0.26 * k, 0.22 * k), skin)
    if not detailed:
        return
    frame.ball((0, 1.69 * k, -0.02 * k), (0.205 * k, 0.22 * k, 0.23 * k), hair)
    for side in (-1, 1):
        elbow = (side * wide * 0.56, 1.1 * k, -side * step * 0.35)
        frame.tube((side * wide * 0.42, 1.42 * k, 0), elbow, 0.055 * k, top)
        frame.tube(elbow, (side * wide * 0.5, 0.85 * k, -side * step * 0.9 + 0.05), 0.045 * k, top)
    if dice.chance(0.25):
        bag = surface(label, dice.color(0.03, 0.5))
        frame.box(0, 0.95 * k, 0.2 * k, (0.3 * k, 0.42 * k, 0.18 * k), bag)


def _rider(frame: Frame, dice: Dice, saddle: float, reach: float) -> None:
    surface, label = frame.surface, Street.RIDER
    top = surface(label, dice.color(0.05, 0.65))
    legs = surface(label, dice.choice(((0.05, 0.07, 0.15), dice.gray(0.02, 0.2))))
    head = surface(label, dice.choice((*_SKINS, dice.color(0.1, 0.7), (0.05, 0.05, 0.05))))
    frame.ball((0, saddle + 0.4, 0.08), (0.42, 0.68, 0.34), top)
    frame.ball((0, saddle + 0.85, 0.2), (0.23, 0.27, 0.26), head)
    for side in (-1, 1):
        knee = (side * 0.13, saddle - 0.15 - 0.1 * side, 0.38)
        frame.tube((side * 0.1, saddle + 0.05, -0.05), knee, 0.085, legs)
        frame.tube(knee, (side * 0.12, max(saddle - 0.62 - 0.08 * side, 0.1), 0.12), 0.065, legs)
        frame.tube((side * 0.2, saddle + 0.62, 0.12), (side * 0.24, saddle + 0.25, reach), 0.05, top)


def bicycle(frame: Frame, dice: Dice, *, ridden: bool) -> None:
    """A bicycle along z, with or without its rider."""
    surface, label = frame.surface, Street.BICYCLE
    tyre = surface(label, (0.03, 0.03, 0.03))
    spokes = surface(label, (0.12, 0.12, 0.12), Pattern.STRIPES, (0.4, 0.4, 0.4), (0.09, 0.4))
    metal = surface(label, dice.color(0.05, 0.6, 0.95), gloss=0.4)
    for z in (-0.52, 0.52):
        frame.wheel(0, z, 0.34, 0.04, (tyre, tyre, spokes, spokes, tyre, tyre))
    frame.tube((0, 0.34, -0.52), (0, 0.85, -0.18), 0.025, metal)
    frame.tube((0, 0.8, -0.2), (0, 0.8, 0.38), 0.025, metal)
    frame.tube((0, 0.3, -0.02), (0, 0.8, 0.36), 0.025, metal)
    frame.tube((0, 0.34, 0.52), (0, 1.05, 0.34), 0.025, metal)
    frame.tube((-0.28, 1.02, 0.32), (0.28, 1.02, 0.32), 0.02, tyre)
    frame.box(0, 0.86, -0.22, (0.14, 0.07, 0.26), tyre)
    if ridden:
        _rider(frame, dice, 0.92, 0.34)


def motorcycle(frame: Frame, dice: Dice, *, ridden: bool) -> None:
    """A motorcycle or scooter along z, with or without its rider."""
    surface, label = frame.surface, Street.MOTORCYCLE
    tyre, paint = surface(label, (0.02, 0.02, 0.02)), surface(label, dice.color(0.05, 0.6, 0.95), gloss=0.8)
    metal = surface(label, (0.3, 0.3, 0.3), gloss=0.6)
    for z in (-0.68, 0.68):
        frame.wheel(0, z, 0.31, 0.16, tyre)
    frame.box(0, 0.32, -0.02, (0.3, 0.35, 0.7), metal)
    frame.ball((0, 0.82, 0.16), (0.34, 0.3, 0.66), paint)
    frame.box(0, 0.72, -0.4, (0.28, 0.12, 0.75), tyre)
    frame.ball((0, 0.86, -0.72), (0.24, 0.2, 0.4), paint)
    frame.tube((0, 0.32, 0.68), (0, 1.05, 0.42), 0.06, metal)
    frame.tube((-0.36, 1.06, 0.38), (0.36, 1.06, 0.38), 0.03, tyre)
    lamp = surface(label, (0.9, 0.9, 0.8), gloss=0.5)
    frame.ball((0, 0.92, 0.58), (0.2, 0.2, 0.16), lamp)
    frame.box(0, 0.78, -0.93, (0.14, 0.08, 0.04), surface(label, (0.7, 0.03, 0.02)))
    if ridden:
        _rider(frame, dice, 0.82, 0.4)


def foliage(frame: Frame, green: Color, size: float, *, shade: float = 0.3) -> int:
    """Add the surface of leaves in clusters of ``size`` metres."""
    return frame.surface(Street.VEGETATION, darker(green, shade), Pattern.FOLIAGE, green, (size,))


def tree(frame: Frame, dice: Dice, *, detailed: bool = True) -> None:
    """A broad-leaved tree, a poplar or a conifer."""
    brown, dark = dice.near((0.12, 0.08, 0.05), 0.4), (0.05, 0.04, 0.03)
    bark = frame.surface(Street.VEGETATION, brown, Pattern.NOISE, dark, (0.3, 1.5))
    season = dice.choice(((0.1, 0.2, 0.04), (0.16, 0.24, 0.05), (0.3, 0.2, 0.05), (0.05, 0.13, 0.05)), (5, 4, 1, 2))
    leaves = foliage(frame, dice.near(season, 0.35), dice.uniform(0.6, 1.5))
    kind = dice.choice(("broad", "slim", "fir"), (6, 2, 2))
    height = dice.uniform(5, 12)
    stem = {"broad": 0.35, "slim": 0.2, "fir": 0.12}[kind] * height
    frame.post((0, 0, 0), dice.uniform(0.1, 0.24), stem + 0.25 * height, bark)
    crown = height - stem
    if kind == "broad":
        spread = crown * dice.uniform(0.75, 1.0)
        frame.ball((0, stem + crown * 0.5, 0), (spread * 0.85, crown * 0.85, spread * 0.85), leaves)
        for index in range(6 if detailed else 3):
            angle = index * 2.4 + dice.unit()
            lump = spread * dice.uniform(0.42, 0.62)
            x, z = spread * 0.33 * math.sin(angle), spread * 0.33 * math.cos(angle)
            frame.ball((x, stem + crown * dice.uniform(0.3, 0.8), z), (lump, lump * 0.85, lump), leaves)
    elif kind == "slim":
        for index in range(3):
            wide = crown * (0.36 - 0.07 * index)
            middle = (dice.normal(0.1), stem + crown * (0.3 + 0.22 * index), dice.normal(0.1))
            frame.ball(middle, (wide, crown * 0.62, wide), leaves)
    else:
        for index in range(4):
            wide = crown * (0.55 - 0.12 * index)
            frame.ball((0, stem + crown * (0.12 + 0.23 * index), 0), (wide, crown * 0.42, wide), leaves)


def bush(frame: Frame, dice: Dice) -> None:
    """One to three round shrubs."""
    leaves = foliage(frame, dice.near((0.1, 0.2, 0.05), 0.4), 0.5)
    for _ in range(dice.integer(1, 3)):
        wide, high = dice.uniform(0.7, 1.9), dice.uniform(0.6, 1.6)
        frame.ball((dice.normal(0.5), high * 0.4, dice.normal(0.7)), (wide, high, wide), leaves)


def street_lamp(frame: Frame, dice: Dice, reach: float) -> None:
    """A lamp post whose arm reaches ``reach`` metres to its right (left if negative)."""
    metal = frame.surface(Street.POLE, dice.gray(0.08, 0.4), params=(0.3,))
    height = dice.uniform(5.5, 9)
    frame.post((0, 0, 0), 0.16, 0.9, metal)
    frame.post((0, 0, 0), dice.uniform(0.08, 0.13), height, metal)
    if dice.chance(0.7):
        frame.tube((0, height, 0), (reach, height + 0.4, 0), 0.05, metal)
        frame.box(reach, height + 0.32, 0, (0.7, 0.14, 0.3), metal)
    else:
        frame.ball((0, height + 0.2, 0), (0.45, 0.5, 0.45), metal)


def traffic_sign(frame: Frame, dice: Dice) -> None:
    """One or two signs on a thin pole, seen from -z."""
    surface = frame.surface
    pole = surface(Street.POLE, dice.gray(0.25, 0.5))
    back = surface(Street.TRAFFIC_SIGN, dice.gray(0.2, 0.4))
    top = dice.uniform(2.4, 3.2)
    frame.post((0, 0, 0), 0.045, top, pole)
    for index in range(dice.choice((1, 2), (3, 1))):
        kind = dice.choice(("ban", "order", "give way", "info", "priority"), (3, 2, 2, 2, 1))
        rim, inner = {
            "ban": ((0.65, 0.02, 0.03), (0.85, 0.85, 0.85)),
            "order": ((0.03, 0.12, 0.5), (0.05, 0.17, 0.6)),
            "give way": ((0.7, 0.03, 0.03), (0.85, 0.85, 0.8)),
            "info": ((0.03, 0.15, 0.55), (0.8, 0.82, 0.85)),
            "priority": ((0.8, 0.8, 0.75), (0.85, 0.6, 0.03)),
        }[kind]
        disc = kind in ("ban", "order")
        face = surface(Street.TRAFFIC_SIGN, rim, Pattern.SIGN, inner, (0.1, 0.3, disc), gloss=0.2)
        side = dice.uniform(0.7, 1.0)
        height = top - 0.45 - 0.85 * index
        if disc:
            skin = (back, back, face, back, back, back)
            frame.solid(Shape.CYLINDER, (0, height, -0.07), (side, 0.04, side), skin, tilt(QUARTER))
        else:
            turned, scale = (lean(math.pi / 4), 0.78) if kind != "info" else (UPRIGHT, 1.0)
            skin = (back, back, back, back, face, back)
            frame.solid(Shape.BOX, (0, height, -0.07), (side * scale, side * scale, 0.04), skin, turned)


def traffic_light(frame: Frame, dice: Dice, reach: float) -> None:
    """A traffic light seen from -z; with ``reach`` other than 0 a second one hangs over the road."""
    surface = frame.surface
    pole = surface(Street.POLE, dice.gray(0.1, 0.4))
    case = surface(Street.TRAFFIC_LIGHT, (0.02, 0.025, 0.02))
    lit = dice.choice((0, 1, 2), (4, 1, 4))
    face = surface(Street.TRAFFIC_LIGHT, (0.015, 0.015, 0.015), Pattern.SIGNAL, (1, 1, 1), (lit,), glow=1.3)
    skin = (case, case, case, case, face, case)
    frame.post((0, 0, 0), 0.08, 3.4, pole)
    frame.box(0, 2.3, -0.2, (0.42, 1.15, 0.26), skin)
    if reach:
        frame.post((0, 3.4, 0), 0.08, 2.6, pole)
        frame.tube((0, 5.9, 0), (reach, 5.9, 0), 0.06, pole)
        frame.box(reach, 5.0, -0.1, (0.45, 1.25, 0.26), skin)


def litter_bin(frame: Frame, dice: Dice) -> None:
    """A bin or a box: not one of the classes, so void."""
    color = frame.surface(VOID, dice.color(0.05, 0.4), params=(0.4,))
    if dice.chance(0.5):
        frame.post((0, 0, 0), dice.uniform(0.22, 0.35), dice.uniform(0.7, 1.1), color)
    else:
        frame.box(0, 0, 0, (dice.uniform(0.4, 1.1), dice.uniform(0.6, 1.3), dice.uniform(0.4, 0.8)), color)
