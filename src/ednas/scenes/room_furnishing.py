"""Puts furniture into a room: what each kind of room wants, and where it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ednas.scenes import room_objects as furniture
from ednas.scenes.classes import Indoor
from ednas.scenes.dice import Dice
from ednas.scenes.frame import Frame, Range
from ednas.scenes.room_objects import fabric
from ednas.scenes.room_plan import Room


@dataclass(frozen=True)
class _Piece:
    """A piece of furniture that a room may want against a wall.

    Attributes:
        build: Adds it to a frame, so wide.
        width: Smallest and largest width along the wall, in metres.
        depth: How far it reaches into the room.
        odds: Probability that the room wants it.
        tall: Whether it also covers the wall at eye level.
    """

    build: Callable[[Frame, Dice, float], None]
    width: Range
    depth: float
    odds: float
    tall: bool = False


def _plain(build: Callable[[Frame, Dice], None]) -> Callable[[Frame, Dice, float], None]:
    """Adapt a piece that has one width only."""
    return lambda frame, dice, _: build(frame, dice)


_WANTED: dict[str, tuple[_Piece, ...]] = {
    "bedroom": (
        _Piece(furniture.bed, (1.0, 1.95), 2.15, 1.0),
        _Piece(_plain(furniture.night_stand), (0.5, 0.5), 0.5, 0.85),
        _Piece(furniture.dresser, (0.8, 1.3), 0.5, 0.75),
        _Piece(furniture.wardrobe, (0.9, 1.5), 0.65, 0.5, tall=True),
        _Piece(furniture.desk, (1.0, 1.3), 1.2, 0.3),
    ),
    "living room": (
        _Piece(furniture.sofa, (1.5, 2.1), 1.0, 0.95),
        _Piece(furniture.sofa, (0.85, 1.0), 1.0, 0.5),
        _Piece(furniture.television, (1.2, 1.7), 0.5, 0.6, tall=True),
        _Piece(furniture.bookshelf, (0.7, 1.2), 0.35, 0.6, tall=True),
    ),
    "kitchen": (
        _Piece(_plain(furniture.refrigerator), (0.72, 0.72), 0.7, 0.85, tall=True),
        _Piece(furniture.counter, (1.6, 2.8), 0.65, 1.0, tall=True),
        _Piece(furniture.counter, (1.0, 1.8), 0.65, 0.4, tall=True),
    ),
    "office": (
        _Piece(furniture.desk, (1.2, 1.6), 1.3, 1.0),
        _Piece(furniture.desk, (1.1, 1.4), 1.3, 0.5),
        _Piece(furniture.bookshelf, (0.8, 1.2), 0.35, 0.8, tall=True),
        _Piece(partial(furniture.bookshelf, label=Indoor.SHELVES), (0.7, 1.0), 0.35, 0.4, tall=True),
        _Piece(furniture.wardrobe, (0.8, 1.2), 0.6, 0.4, tall=True),
    ),
    "bathroom": (
        _Piece(furniture.bathtub, (1.5, 1.75), 0.85, 0.85, tall=True),
        _Piece(_plain(furniture.toilet), (0.6, 0.6), 0.75, 0.95),
        _Piece(_plain(furniture.wash_basin), (0.85, 0.85), 0.5, 0.95, tall=True),
        _Piece(_plain(furniture.towel), (0.6, 0.6), 0.15, 0.6, tall=True),
    ),
    "dining room": (
        _Piece(furniture.dresser, (0.9, 1.5), 0.5, 0.5),
        _Piece(furniture.wardrobe, (0.9, 1.5), 0.6, 0.6, tall=True),
        _Piece(furniture.bookshelf, (0.8, 1.2), 0.35, 0.4, tall=True),
    ),
}

_ANYWHERE_DRY = (
    _Piece(furniture.bookshelf, (0.7, 1.1), 0.35, 0.4, tall=True),
    _Piece(furniture.wardrobe, (0.8, 1.1), 0.6, 0.3, tall=True),
    _Piece(furniture.dresser, (0.7, 1.1), 0.5, 0.4),
    _Piece(furniture.table, (0.8, 1.3), 0.6, 0.5),
    _Piece(_plain(furniture.floor_lamp), (0.5, 0.5), 0.5, 0.4),
)

_ANYWHERE = (
    _Piece(_plain(furniture.cartons), (0.6, 0.6), 0.6, 0.3),
    _Piece(_plain(furniture.stool), (0.7, 0.7), 0.7, 0.3),
    _Piece(lambda frame, dice, _: furniture.bag(frame.at(0, 0.2), dice), (0.45, 0.45), 0.4, 0.35),
    _Piece(_plain(furniture.chair), (0.5, 0.5), 0.5, 0.5),
)

KINDS = tuple(_WANTED)
"""Kinds of room."""


def furnish_walls(room: Room) -> None:
    """Put the large pieces against the walls that the camera sees."""
    dice = room.world.dice
    pieces = _WANTED[room.kind] + (() if room.kind == "bathroom" else _ANYWHERE_DRY) + _ANYWHERE
    for piece in pieces:
        width = dice.uniform(*piece.width)
        first = dice.integer(0, 2)
        order = (first, (first + 1) % 3, (first + 2) % 3)
        if dice.chance(piece.odds) and (frame := room.along(width, piece.depth, order, tall=piece.tall)):
            piece.build(frame, dice, width - 0.05)


def _dine(room: Room) -> None:
    """A table with chairs around it."""
    dice = room.world.dice
    wide, deep = dice.uniform(0.9, 1.5), dice.uniform(0.7, 0.95)
    if not (spot := room.open(wide * 0.75)):
        return
    frame = room.world.at(*spot, yaw=dice.uniform(-math.pi, math.pi))
    furniture.table(frame.at(0, -deep / 2), dice, wide, deep)
    for index in range(dice.integer(1, 4)):
        side = -1 if index % 2 else 1
        x, yaw = (index // 2 - 0.5) * wide * 0.5, math.pi if side > 0 else 0.0
        furniture.chair(frame.at(x, side * (deep / 2 + 0.3), yaw=yaw + dice.normal(0.2)), dice)


def furnish_middle(room: Room) -> None:
    """Put mats, tables with chairs, people and bags on the open floor."""
    world = room.world
    dice = world.dice
    if dice.chance(0.6):
        size = (dice.uniform(0.8, 0.55 * room.size[0]), 0.012, dice.uniform(0.8, 0.55 * room.size[2]))
        mat = fabric(world, dice, Indoor.FLOOR_MAT)
        world.at(dice.normal(0.3), dice.normal(0.3), yaw=dice.normal(0.2)).box(0, 0, 0, size, mat, casts=False)
    if room.kind in ("dining room", "kitchen") or dice.chance(0.15):
        _dine(room)
    if room.kind == "living room" and dice.chance(0.85) and (spot := room.open(0.55)):
        frame = world.at(*spot, yaw=dice.uniform(-0.5, 0.5))
        furniture.table(frame.at(0, -0.3), dice, 1.0, 0.6, high=dice.uniform(0.38, 0.48))
    for odds, radius, piece in (
        (0.12, 0.3, furniture.person),
        (0.2, 0.3, furniture.bag),
        (0.2, 0.35, furniture.stool),
        (0.3, 0.35, furniture.chair),
        (0.15, 0.35, furniture.cartons),
    ):
        if dice.chance(odds) and (spot := room.open(radius)):
            piece(world.at(*spot, yaw=dice.uniform(-math.pi, math.pi)), dice)
    if dice.chance(0.2) and (spot := room.open(0.25)):
        cloth = fabric(world, dice, Indoor.CLOTHES)
        world.at(*spot, yaw=dice.unit()).ball((0, 0.06, 0), (dice.uniform(0.4, 0.7), 0.2, 0.4), cloth)
