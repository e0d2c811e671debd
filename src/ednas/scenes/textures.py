"""Procedural patterns: how a surface mixes its two colours.

A pattern returns a *weight* (0 = first colour, 1 = second; ``(n,)``, or ``(n, 3)`` where every channel mixes by itself)
and a *shade* that multiplies the result. Patterns fade where a pixel covers more than a period, instead of aliasing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np

from ednas.scenes.primitives import Float, Int

_TABLE = 256

Pattern = IntEnum(
    "Pattern",
    "PLAIN NOISE BRICK FACADE ROAD TILES CHECKER WOOD STRIPES FOLIAGE SIGN LIGHTS SIGNAL PICTURE BOOKS CLOTH GLAZING "
    "PANELS",
    start=0,
)
"""Kinds of pattern. The arguments of the function of that name are what ``Surfaces.params`` mean; sizes in metres."""


@dataclass(frozen=True)
class Points:
    """Where on their surfaces the patterns are wanted, ``n`` points.

    Attributes:
        u: Metres along the face.
        v: Metres up the face (along it where it lies flat).
        across: ``u`` as a share of the face's width.
        up: ``v`` as a share of the face's height.
        footprint: Metres that a pixel covers.
        params: ``(n, 4)``.
        phase: Random offsets.
    """

    u: Float
    v: Float
    across: Float
    up: Float
    footprint: Float
    params: Float
    phase: Float

    def take(self, rows: Int) -> Points:
        """Return some of the points."""
        return Points(*(values[rows] for values in vars(self).values()))


Mix = tuple[Float, Float]


@lru_cache(maxsize=1)
def _tables() -> tuple[Float, Float]:
    """A tileable cloud texture ``(256, 256)`` with values spread over 0..1, and 4096 random numbers."""
    generator = np.random.default_rng(20)
    total = np.zeros((_TABLE, _TABLE), np.float32)
    for octave in range(2, 8):
        cells = 1 << octave
        lattice = generator.random((cells, cells)).astype(np.float32)
        position = np.arange(_TABLE) * cells / _TABLE
        cell = position.astype(int)
        part = (position - cell).astype(np.float32)
        part = part * part * (3 - 2 * part)
        following = (cell + 1) % cells
        rows = lattice[cell] * (1 - part[:, None]) + lattice[following] * part[:, None]
        total += (rows[:, cell] * (1 - part) + rows[:, following] * part) / np.float32(octave)
    ranks = np.empty(total.size, np.float32)
    ranks[np.argsort(total, axis=None, kind="stable")] = np.linspace(0, 1, total.size, dtype=np.float32)
    return ranks, np.asarray(generator.random(4096), np.float32)


def noise(x: Float, y: Float) -> Float:
    """Smooth random values in 0..1 with details down to a sixteenth of a unit; repeats every 32 units."""
    table, _ = _tables()
    x, y = x * np.float32(8), y * np.float32(8)
    column, row = np.floor(x), np.floor(y)
    part_x, part_y = x - column, y - row
    left, top = column.astype(np.int32) & 255, row.astype(np.int32) & 255
    right, bottom = (left + 1) & 255, (top + 1) & 255
    top, bottom = top * 256, bottom * 256
    upper = table[top + left] * (1 - part_x) + table[top + right] * part_x
    lower = table[bottom + left] * (1 - part_x) + table[bottom + right] * part_x
    return np.asarray(upper * (1 - part_y) + lower * part_y, np.float32)


def scatter(column: Float, row: Float, phase: Float) -> Float:
    """One random value in 0..1 for every cell (column, row) of a pattern."""
    _, numbers = _tables()
    index = column.astype(np.int32) * 73 + row.astype(np.int32) * 179 + (phase * 16).astype(np.int32)
    return np.asarray(numbers[index & 4095])


def _fade(points: Points, period: Float) -> Float:
    """1 where the pattern's period is resolved, 0 where a pixel covers it."""
    return np.asarray(np.clip(1.6 - 1.6 * points.footprint / np.maximum(period, 1e-3), 0, 1))


def _band(position: Float, low: Float | float, high: Float | float, soft: Float) -> Float:
    """1 between ``low`` and ``high``, with edges as wide as ``soft``."""
    soft = np.maximum(soft, 1e-4)
    return np.asarray(np.clip(np.minimum(position - low, high - position) / soft + 0.5, 0, 1))


def _cells(position: Float, period: Float) -> tuple[Float, Float]:
    """Number of the cell and place in it, 0..1."""
    scaled = position / np.maximum(period, 1e-3)
    cell = np.floor(scaled)
    return cell, scaled - cell


def _grain(points: Points, size: float = 0.4) -> Float:
    return noise(points.u / np.float32(size) + points.phase, points.v / np.float32(size))


def _plain(points: Points, strength: Float, *_: Float) -> Mix:
    grain = noise(points.u * 0.7 + points.phase, points.v * 0.7)
    return np.zeros_like(points.u), 1 + strength * (grain - 0.5)


def _noise(points: Points, size: Float, contrast: Float, *_: Float) -> Mix:
    value = noise(points.u / size + points.phase, points.v / size)
    return np.clip((value - 0.5) * contrast * _fade(points, size) + 0.5, 0, 1), 0.9 + 0.2 * _grain(points, 0.15)


def _brick(points: Points, length: Float, height: Float, *_: Float) -> Mix:
    row, y = _cells(points.v, height)
    column, x = _cells(points.u + np.where(row % 2 > 0.5, length / 2, 0), length)
    fade = _fade(points, height)
    soft = points.footprint / height
    joint = 1 - np.minimum(_band(y, 0.08, 0.92, soft), _band(x, 0.04, 0.96, soft / 2))
    shade = 1 + 0.45 * fade * (scatter(column, row, points.phase) - 0.5)
    return joint * fade + 0.15 * (1 - fade), shade * (0.9 + 0.2 * _grain(points, 2.0))


def _facade(points: Points, pitch: Float, storey: Float, wide: Float, tall: Float) -> Mix:
    """Windows every ``pitch`` metres in each ``storey``, and the shares of both that they cover."""
    column, x = _cells(points.u, pitch)
    row, y = _cells(points.v, storey)
    shop = row < 0.5
    wide = np.where(shop, np.minimum(wide * 1.5, 0.9), wide)
    soft = points.footprint / storey
    sill = np.where(shop, 0.08, 0.5 - tall / 2)
    window = np.minimum(
        _band(x, 0.5 - wide / 2, 0.5 + wide / 2, soft), _band(y, sill, np.where(shop, 0.8, 0.5 + tall / 2), soft)
    )
    frame = np.abs(x - 0.5) < 0.02
    fade = _fade(points, 0.6 * np.minimum(pitch, storey))
    window = window * fade + (1 - fade) * wide * tall
    pane = 0.45 + 1.3 * scatter(column, row, points.phase) ** 2 + 0.3 * y
    wall = 0.85 + 0.3 * _grain(points, 3.0)
    return window * (1 - 0.5 * frame * fade), wall + (pane - wall) * np.clip(window, 0, 1) * fade


def _road(points: Points, lane: Float, width: Float, dash: Float, solid: Float) -> Mix:
    """Lanes on a road ``width`` metres wide; ``dash`` is the marks' period, ``solid`` = 1 a full middle line."""
    number, x = _cells(points.u, lane)
    lanes = np.rint(width / lane)
    off = np.minimum(x, 1 - x) * lane
    line = np.rint(points.u / lane)
    edge = (line < 0.5) | (line > lanes - 0.5)
    middle = np.abs(line - lanes / 2) < 0.25
    along = _cells(points.v + points.phase, dash)[1]
    drawn = edge | (middle & (solid > 0.5)) | (along < 0.45)
    off = np.where(edge, np.abs(off - 0.25), off)
    soft = np.maximum(points.footprint, 0.02)
    mark = np.clip((0.09 - off) / soft + 0.5, 0, 1) * np.minimum(1, 0.2 / soft) * drawn
    wear = 0.55 + 0.45 * noise(points.u * 2 + points.phase, points.v * 2)
    ruts = 1 - 0.08 * np.abs(x - 0.5) - 0.05 * (scatter(number, np.zeros_like(number), points.phase) - 0.5)
    patches = 0.82 + 0.36 * noise(points.u / 4 + points.phase, points.v / 9)
    return mark * wear, patches * ruts * (0.93 + 0.14 * _grain(points, 0.08))


def _tiles(points: Points, length: Float, width: Float, joint: Float, *_: Float) -> Mix:
    """``joint`` is a share of the tile."""
    column, x = _cells(points.u, length)
    row, y = _cells(points.v, width)
    fade = _fade(points, width)
    line = 1 - np.minimum(
        _band(x, joint / 2, 1 - joint / 2, points.footprint / length),
        _band(y, joint / 2, 1 - joint / 2, points.footprint / width),
    )
    shade = 1 + 0.25 * fade * (scatter(column, row, points.phase) - 0.5)
    return line * fade + 1.5 * joint * (1 - fade), shade * (0.88 + 0.24 * _grain(points, 1.5))


def _checker(points: Points, side: Float, *_: Float) -> Mix:
    column = _cells(points.u, side)[0]
    row = _cells(points.v, side)[0]
    fade = _fade(points, side)
    return ((column + row) % 2) * fade + 0.5 * (1 - fade), 0.94 + 0.12 * _grain(points)


def _wood(points: Points, plank: Float, streak: Float, upright: Float, *_: Float) -> Mix:
    """Planks ``plank`` metres wide with a grain ``streak`` long; they run up if ``upright`` = 1."""
    run = np.where(upright > 0.5, points.v, points.u)
    side = np.where(upright > 0.5, points.u, points.v)
    number, x = _cells(side, plank)
    start = scatter(number, np.zeros_like(number), points.phase)
    grain = noise(run / streak + 31 * start + points.phase, side * 14 / streak)
    gap = 1 - _band(x, 0.03, 0.97, points.footprint / plank)
    shade = (0.82 + 0.36 * start * _fade(points, plank)) * (1 - 0.5 * gap * _fade(points, plank))
    return np.clip(1.6 * grain - 0.3, 0, 1), shade


def _stripes(points: Points, period: Float, share: Float, level: Float, *_: Float) -> Mix:
    """``share`` is the second colour's; the stripes lie if ``level`` = 1."""
    position = np.where(level > 0.5, points.v, points.u)
    x = _cells(position, period)[1]
    fade = _fade(points, period)
    stripe = _band(x, 0.5 - share / 2, 0.5 + share / 2, np.maximum(points.footprint / period, 0.02))
    return stripe * fade + share * (1 - fade), 0.9 + 0.2 * _grain(points, 0.6)


def _foliage(points: Points, size: Float, *_: Float) -> Mix:
    coarse = noise(points.u / size + points.phase, points.v / size)
    fine = noise(points.u * 4 / size - points.phase, points.v * 4 / size)
    fine = 0.5 + (fine - 0.5) * _fade(points, size / 8)
    return np.clip(1.4 * coarse - 0.2, 0, 1), 0.45 + 0.5 * coarse + 0.6 * fine


def _sign(points: Points, border: Float, symbol: Float, disc: Float, *_: Float) -> Mix:
    """``border`` and ``symbol`` are shares of the face; round if ``disc`` = 1."""
    x, y = points.across - 0.5, points.up - 0.5
    radius = np.where(disc > 0.5, np.sqrt(x * x + y * y), np.maximum(np.abs(x), np.abs(y)))
    inner = radius < 0.5 - border
    strokes = noise(points.across * 0.9 + points.phase, points.up * 0.9) > 0.55
    drawn = (radius < symbol) & strokes
    return (inner & ~drawn).astype(np.float32), np.ones_like(x)


def _lights(points: Points, low: Float, high: Float, width: Float, *_: Float) -> Mix:
    """A lamp on each side from ``low`` to ``high``, as shares of the face."""
    side = np.minimum(points.across, 1 - points.across)
    lamp = (side > 0.04) & (side < 0.04 + width) & (points.up > low) & (points.up < high)
    grille = (side > 0.3) & (points.up > 0.2) & (points.up < 0.55)
    return lamp.astype(np.float32), np.where(grille & ~lamp, 0.35, 1).astype(np.float32)


def _signal(points: Points, lit: Float, *_: Float) -> Mix:
    """``lit`` is the lamp that is on, 0..2 from the top."""
    lamp = np.clip(np.floor((1 - points.up) * 3), 0, 2)
    middle = ((1 - points.up) * 3 - lamp - 0.5) / 3
    round_ = ((points.across - 0.5) * 0.4) ** 2 + middle**2 < 0.017
    bright = np.where(np.abs(lamp - lit) < 0.5, 1.0, 0.12) * round_
    hue = np.array([[1, 0.06, 0.04], [1, 0.55, 0.05], [0.05, 1, 0.45]], np.float32)
    return (hue[lamp.astype(np.int64)] * bright[:, None]).astype(np.float32), np.ones_like(bright, np.float32)


def _picture(points: Points, frame: Float, size: Float, *_: Float) -> Mix:
    """``frame`` is a share of the face, ``size`` the motif's."""
    side = np.minimum(np.minimum(points.across, 1 - points.across), np.minimum(points.up, 1 - points.up))
    x, y = points.u / size, points.v / size
    channels = [noise(x + points.phase * factor, y + 5 * factor) for factor in (1.0, 1.15, 1.4)]
    motif = np.clip(np.stack(channels, -1) * 1.5 - 0.25, 0, 1)
    passe = (side > frame) & (side < 1.6 * frame)
    motif = np.where(passe[:, None], 1, motif)
    return np.where((side < frame)[:, None], 0, motif).astype(np.float32), np.ones_like(side)


def _books(points: Points, thick: Float, *_: Float) -> Mix:
    number, x = _cells(points.u + 0.4 * thick * noise(points.u, points.phase), thick)
    zero = np.zeros_like(number)
    channels = [scatter(number, zero + channel, points.phase) for channel in range(3)]
    level = scatter(number, zero + 7, points.phase)
    band = (points.up > 0.7) & (points.up < 0.8) & (level > 0.5)
    gap = (x < 0.12) | (points.up > 0.78 + 0.22 * level)
    shade = (0.35 + 0.9 * level) * np.where(gap, 0.25, 1) * np.where(band, 1.5, 1)
    fade = _fade(points, thick)[:, None]
    return np.stack(channels, -1) * fade + 0.5 * (1 - fade), np.asarray(shade, np.float32)


def _cloth(points: Points, period: Float, contrast: Float, *_: Float) -> Mix:
    x = _cells(points.u, period)[1]
    y = _cells(points.v, period)[1]
    plaid = 0.5 * (np.abs(x - 0.5) < 0.25) + 0.5 * (np.abs(y - 0.5) < 0.25)
    fade = _fade(points, period)
    folds = 0.8 + 0.4 * noise(points.u / 0.9 + points.phase, points.v / 0.9)
    return (plaid * fade + 0.5 * (1 - fade)) * contrast, folds


def _glazing(points: Points, low: Float, high: Float, pillar: Float, *_: Float) -> Mix:
    """Windows from ``low`` to ``high``, a pillar every ``pillar``; all are shares of the face."""
    x = _cells(points.across, pillar)[1]
    glass = (points.up > low) & (points.up < high) & (x > 0.06) & (x < 0.94)
    sheen = 0.6 + 0.9 * noise(points.u / 3 + points.phase, points.v / 3)
    return glass.astype(np.float32), np.where(glass, sheen, 1).astype(np.float32)


def _panels(points: Points, columns: Float, rows: Float, joint: Float, *_: Float) -> Mix:
    """Doors and drawers with knobs; ``joint`` is a share of each."""
    x = _cells(points.across, 1 / np.maximum(columns, 1))[1]
    y = _cells(points.up, 1 / np.maximum(rows, 1))[1]
    edge = 1 - np.minimum(_band(x, joint, 1 - joint, joint), _band(y, joint, 1 - joint, joint))
    knob = (np.abs(x - 0.5) < 0.07) & (np.abs(y - 0.78) < 0.05)
    return np.clip(edge + 0.8 * knob, 0, 1).astype(np.float32), 0.92 + 0.16 * _grain(points, 1.2)


_PATTERNS: dict[Pattern, Callable[..., Mix]] = {
    Pattern.PLAIN: _plain,
    Pattern.NOISE: _noise,
    Pattern.BRICK: _brick,
    Pattern.FACADE: _facade,
    Pattern.ROAD: _road,
    Pattern.TILES: _tiles,
    Pattern.CHECKER: _checker,
    Pattern.WOOD: _wood,
    Pattern.STRIPES: _stripes,
    Pattern.FOLIAGE: _foliage,
    Pattern.SIGN: _sign,
    Pattern.LIGHTS: _lights,
    Pattern.SIGNAL: _signal,
    Pattern.PICTURE: _picture,
    Pattern.BOOKS: _books,
    Pattern.CLOTH: _cloth,
    Pattern.GLAZING: _glazing,
    Pattern.PANELS: _panels,
}


def mix(pattern: Pattern, points: Points) -> Mix:
    """Evaluate a pattern.

    Args:
        pattern: Which one; ``points.params`` must be its own.
        points: Where, n points.

    Returns:
        weight: ``(n,)`` or ``(n, 3)``: share of the second colour.
        shade: ``(n,)``: factor of the mixed colour.
    """
    weight, shade = _PATTERNS[pattern](points, *points.params.T)
    return np.asarray(weight, np.float32), np.asarray(shade, np.float32)
