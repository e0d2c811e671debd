"""From stored numbers to the conventions of :mod:`ednas.data.sample`: pure functions that every reader shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.data.colors import Color
from ednas.data.rasters import pack_colours
from ednas.data.sample import VOID
from ednas.exceptions import DataError

Axes = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Stored channel and sign of each of our axes x, y, z."""

MIN_ID, MAX_ID = -32768, 65535
"""Ids that a label map may hold at all."""

MAX_CLASSES = VOID
"""Most classes that a ``uint8`` map with one void value can tell apart."""

_MANY_COLOURS = 20
"""Number of unlisted colours in one file from which on they are mixtures, not forgotten."""

_SHORTEST = 0.1
_LONGEST = 1.5


def decode_labels(
    values: npt.NDArray[Any],
    *,
    num_classes: int,
    where: object,
    void: Iterable[int] = (VOID,),
    id_map: Iterable[tuple[int, int]] | None = None,
    rest_is_void: bool = False,
    divisor: int = 1,
) -> npt.NDArray[np.uint8]:
    """Turn stored class ids into ``uint8`` ids with void 255.

    Args:
        values: ``(H, W)``, integers, or floating point numbers that are whole.
        num_classes: Number of classes, 1 to 255.
        where: The file, for the error.
        void: Stored ids that mean "no label".
        id_map: Pairs (stored id, class); None means that stored ids are classes.
        rest_is_void: Every id that is no class is void, instead of an error.
        divisor: What is stored are ids of instances; divided by this and rounded down they are the ids meant above.

    Returns:
        ``uint8`` ``(H, W)``: 0 to ``num_classes - 1``, or 255.

    Raises:
        DataError: An id is not whole or not allowed; names the file, the id and the allowed ones.
    """
    pairs = tuple((i, i) for i in range(num_classes)) if id_map is None else tuple(id_map)
    void = tuple(void)
    if values.dtype.kind == "f":
        odd = ~np.isfinite(values) | (values != np.rint(values))
        if odd.any():
            raise DataError(f"{where}: holds {float(values[odd][0]):g}, class ids must be whole numbers")
    if divisor > 1:
        values = values // np.int64(divisor)  # of any type, also one that could not hold the divisor
    low, high = values.min(), values.max()
    if low < MIN_ID or high > MAX_ID:
        raise DataError(_bad_id(where, int(low if low < MIN_ID else high), 0, pairs, void))
    table = _label_table(pairs, void, rest_is_void)
    found = table[values.astype(np.int32) - MIN_ID]
    bad = found < 0
    if bad.any():
        raise DataError(_bad_id(where, int(values[bad][0]), int(bad.sum()), pairs, void))
    return found.astype(np.uint8)


def decode_colors(
    values: npt.NDArray[np.uint8],
    *,
    classes: Mapping[Color, int],
    where: object,
    ignore: Iterable[Color] = (),
    rest_is_void: bool = False,
) -> npt.NDArray[np.uint8]:
    """Turn painted classes into ``uint8`` ids with void 255.

    Args:
        values: RGB, ``(H, W, 3)``.
        classes: Class of each colour.
        where: The file, for the error.
        ignore: Colours that mean "no label".
        rest_is_void: Every colour that is no class is void, instead of an error.

    Returns:
        ``uint8`` ``(H, W)``: classes, or 255.

    Raises:
        DataError: A colour is not listed; names the file, the colour, its first pixel and how many there are.
    """
    packed = pack_colours(values)
    found = _colour_table(tuple(classes.items()), tuple(ignore), rest_is_void)[packed]
    bad = found < 0
    if bad.any():
        raise DataError(_bad_colour(where, values, packed, bad))
    return found.astype(np.uint8)


def _bad_colour(
    where: object, values: npt.NDArray[np.uint8], packed: npt.NDArray[np.int32], bad: npt.NDArray[np.bool_]
) -> str:
    row, column = np.unravel_index(int(bad.argmax()), bad.shape)
    count = int((packed == packed[row, column]).sum())
    others = len(np.unique(packed[bad])) - 1
    more = f", and {others} more colours that are not listed" if others else ""
    hint = "; was it resized or stored as JPEG?" if others >= _MANY_COLOURS else "; list it under colors or ignore"
    return (
        f"{where}: holds the colour {values[row, column].tolist()} in {count} pixels, first in row {row}, "
        f"column {column}{more}{hint}"
    )


def decode_depth(
    values: npt.NDArray[Any],
    *,
    where: object,
    scale: float = 1.0,
    invalid: Iterable[float] = (0.0,),
    minimum: float | None = None,
    maximum: float | None = None,
) -> npt.NDArray[np.float32]:
    """Turn stored depth or disparity into ``float32`` with 0 where invalid.

    Args:
        values: ``(H, W)``.
        where: The file, for the error.
        scale: Stored value times ``scale`` = metres (or the unit of the disparity).
        invalid: Stored values that mean "not measured"; NaN and infinity always do.
        minimum: After scaling, values up to this one are invalid; None: a negative value is an error.
        maximum: After scaling, values above this one are invalid.

    Returns:
        ``float32`` ``(H, W)``, 0 where invalid.

    Raises:
        DataError: A value is negative although nothing says that negative values are invalid.
    """
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and so invalid
        stored = values.astype(np.float32)
        scaled = stored * np.float32(scale)
    ok = np.isfinite(scaled)
    for value in invalid:
        ok &= stored != np.float32(value)
    depth = np.where(ok, scaled, np.float32(0))
    if minimum is not None:
        depth[depth <= minimum] = 0
    elif (depth < 0).any():
        lowest = float(stored[ok].min())
        raise DataError(f"{where}: holds {lowest:g}; depth cannot be negative, name such values as invalid")
    if maximum is not None:
        depth[depth > maximum] = 0
    return depth


def decode_normals(
    values: npt.NDArray[Any],
    *,
    where: object,
    axes: Axes = ((0, 1, 2), (1, 1, 1)),
    invalid: Iterable[Sequence[int]] = (),
) -> npt.NDArray[np.float32]:
    """Turn stored surface normals into unit vectors in our camera frame (x right, y down, z forward).

    ``uint8`` values v mean ``v / 127.5 - 1``; floating point values are components already. A vector shorter than 0.1
    (grey pixels, zeros), or one that is not finite, is invalid; every other vector is scaled to length 1.

    Args:
        values: ``(H, W, 3)``.
        where: The file, for the error.
        axes: From :func:`parse_axes`.
        invalid: Colours ``(r, g, b)`` of pixels without a normal (``uint8`` only).

    Returns:
        ``float32`` ``(H, W, 3)``: unit vectors, or zero vectors where invalid.

    Raises:
        DataError: The vectors are no unit vectors (longer than 1.5), or neither ``uint8`` nor floating point.
    """
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            vectors = values.astype(np.float32)
        ok = np.isfinite(vectors).all(axis=-1)
    elif values.dtype == np.uint8:
        vectors = values.astype(np.float32) / np.float32(127.5) - 1
        ok = np.ones(values.shape[:2], bool)
        for colour in invalid:
            ok &= (values != np.array(colour, np.int16)).any(axis=-1)
    else:
        raise DataError(f"{where}: holds {values.dtype}; normals need uint8 or floating point components")
    vectors[~ok] = 0
    length = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=-1))
    if (length > _LONGEST).any():
        at = np.unravel_index(int(length.argmax()), length.shape)
        raise DataError(
            f"{where}: holds a vector of length {length[at]:.3g} ({values[at].tolist()}); normals have length 1, "
            "name a colour for 'no normal' as invalid"
        )
    ok &= length >= _SHORTEST
    order, signs = axes
    vectors = vectors[:, :, list(order)] * np.array(signs, np.float32)
    unit: npt.NDArray[np.float32] = (vectors * (ok / np.maximum(length, _SHORTEST))[:, :, None]).astype(np.float32)
    return unit


def parse_axes(names: Sequence[str]) -> Axes:
    """Read a signed permutation of stored channels.

    Args:
        names: For our x (right), y (down) and z (forward) the stored channel, ``r``, ``g`` or ``b`` (the first, second
            and third), with ``-`` where the stored axis points the other way: ``("r", "-b", "g")``.

    Raises:
        ValueError: It is no signed permutation.
    """
    signs = [-1 if name.startswith("-") else 1 for name in names]
    channels = ["rgb".find(name.removeprefix("-")) if len(name.removeprefix("-")) == 1 else -1 for name in names]
    if sorted(channels) != [0, 1, 2]:
        raise ValueError(
            f"{list(names)} must name each of the file's channels r, g, b once, with - to turn one round; "
            "the entries are our x (right), y (down), z (forward)"
        )
    return (channels[0], channels[1], channels[2]), (signs[0], signs[1], signs[2])


@lru_cache(maxsize=32)
def _label_table(
    pairs: tuple[tuple[int, int], ...], void: tuple[int, ...], rest_is_void: bool
) -> npt.NDArray[np.int16]:
    """Class of each stored id from :data:`MIN_ID` on; -1 = not allowed."""
    table = np.full(MAX_ID - MIN_ID + 1, VOID if rest_is_void else -1, np.int16)
    for stored, class_id in pairs:
        table[stored - MIN_ID] = class_id
    for stored in void:
        table[stored - MIN_ID] = VOID
    table.setflags(write=False)
    return table


@lru_cache(maxsize=4)
def _colour_table(
    classes: tuple[tuple[Color, int], ...], ignore: tuple[Color, ...], rest_is_void: bool
) -> npt.NDArray[np.int16]:
    """Class of each packed colour; -1 = not allowed."""
    table = np.full(1 << 24, VOID if rest_is_void else -1, np.int16)
    for colour, label in (*((colour, VOID) for colour in ignore), *classes):
        table[pack_colours(np.array(colour))] = label
    table.setflags(write=False)
    return table


def _bad_id(where: object, found: int, count: int, pairs: Iterable[tuple[int, int]], void: Iterable[int]) -> str:
    many = f" in {count} pixels" if count > 1 else ""
    voids = _ranges(void)
    tail = f" and {voids} for void" if voids else ""
    return f"{where}: holds class id {found}{many}; allowed are {_ranges(stored for stored, _ in pairs)}{tail}"


def _ranges(ids: Iterable[int]) -> str:
    """Write whole numbers shortly: ``0..18, 255``."""
    parts: list[list[int]] = []
    for i in sorted(set(ids)):
        if parts and i == parts[-1][1] + 1:
            parts[-1][1] = i
        else:
            parts.append([i, i])
    return ", ".join(str(first) if first == last else f"{first}..{last}" for first, last in parts)
