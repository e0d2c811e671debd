"""What the values of label files say of them: classes by number or colour, depth and its unit, normals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ednas.data.check import SATURATED, count_facing
from ednas.data.decode import MAX_CLASSES, decode_normals, parse_axes
from ednas.data.rasters import JPEG_SUFFIXES, Array, pack_colours, read_channel, read_colours, read_vectors
from ednas.data.sample import VOID
from ednas.data.units import likely_unit
from ednas.exceptions import DataError

_LOOKED_AT = 8
"""Number of files that say what kind all are."""

_DIVISOR = 1000
"""Usual factor between classes and the ids of their instances."""

_NAMED = 3
"""Number of negative values to name as invalid; more are no marks."""

_OTHER_SCALES = "centimetres have 0.01, KITTI 0.00390625 (1 / 256), TUM 0.0002 (1 / 5000)"

_AXES = (("r", "g", "b"), ("r", "-g", "-b"))
"""Ours, and those of OpenGL."""

_NO_NORMALS = ((0, 0, 0), (255, 255, 255))
"""Usual colours of pixels without a normal that are no vectors of length 1; grey needs no mention."""


@dataclass(frozen=True)
class Guess:
    """What a group of label files holds.

    Attributes:
        name: Usual name of such a target.
        kind: Of the target.
        why: What it was guessed from.
        lines: Further lines of YAML.
    """

    name: str
    kind: str
    why: str
    lines: tuple[str, ...]


def guess_target(paths: Sequence[Path], role: str, step: Callable[[], None]) -> Guess | str:
    """Guess what label files hold.

    Args:
        paths: All of them.
        role: What their folder or their names say, one of :data:`ednas.data.guess.layout.ROLES`.
        step: Called for each file, where all are read: those of classes.

    Returns:
        The guess, or in words why there is none.
    """
    count = min(len(paths), _LOOKED_AT)
    values = list(_readable([paths[i * len(paths) // count] for i in range(count)], _read))
    if not values:
        return f"none of {count} files looked at can be read"
    if len({array.ndim for array in values}) > 1:
        return "some have one channel, and some have colours"
    has_colours = values[0].ndim == 3
    if has_colours and role in ("depth", "disparity"):
        return "they are coloured for people to look at; depth has one number per pixel"
    is_depth = role in ("depth", "disparity") or not _are_whole(values)
    if not has_colours and (is_depth or (role != "labels" and len(np.unique(_joined(values))) > MAX_CLASSES + 1)):
        return _depth(values, role)
    if role == "labels" and paths[0].suffix.lower() in JPEG_SUFFIXES:
        return "they are JPEG, which blurs classes"
    if has_colours and (role == "normals" or not _are_few_colours(values)):
        return _normals(values) if _are_vectors(values) else "they have colours, but neither few nor those of normals"
    if paths[0].suffix.lower() in JPEG_SUFFIXES:
        return "they are JPEG, which blurs classes"
    if has_colours:
        return _colours(_count(map(pack_colours, _readable(paths, read_colours, step))))
    return _classes(_count(_readable(paths, read_channel, step)))


def _read(path: Path) -> Array:
    try:
        return read_channel(path)
    except DataError:
        return read_vectors(path)


def _readable(
    paths: Sequence[Path], read: Callable[[Path], Array], step: Callable[[], None] = lambda: None
) -> Iterator[Array]:
    """Yield what can be read: the check that follows tells of the rest."""
    for path in paths:
        with suppress(DataError):
            yield read(path)
        step()


def _joined(values: Sequence[Array]) -> Array:
    """Return the pixels of all arrays, ``(N,)`` or ``(N, 3)``."""
    return np.concatenate([array.reshape(-1, *array.shape[2:]) for array in values])


def _are_whole(values: Sequence[Array]) -> bool:
    return all(
        array.dtype.kind != "f" or bool((np.isfinite(array) & (array == np.rint(array))).all()) for array in values
    )


def _are_few_colours(values: Sequence[Array]) -> bool:
    pixels = _joined(values)
    return pixels.dtype == np.uint8 and len(np.unique(pack_colours(pixels))) <= MAX_CLASSES


def _are_vectors(values: Sequence[Array]) -> bool:
    """Whether most pixels are vectors of length 1, or grey or black, which is none."""
    try:
        for array in values:
            decode_normals(array, invalid=_NO_NORMALS, where="")
    except DataError:
        return False
    pixels = _joined(values)
    vectors = pixels / 127.5 - 1 if pixels.dtype == np.uint8 else pixels
    return bool((np.abs(np.linalg.norm(vectors, axis=-1) - 1) < 0.1).mean() > 0.5)


def _count(maps: Iterable[Array]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for values in maps:
        numbers, pixels = np.unique(values[np.isfinite(values)], return_counts=True)
        counts.update(dict(zip(map(int, numbers), map(int, pixels), strict=True)))
    return counts


def _classes(counts: Counter[int]) -> Guess | str:
    ids = sorted(counts)
    why = f"{len(ids)} different whole numbers, {ids[0]} to {ids[-1]}"
    if ids[-1] > VOID:
        largest = max({i // _DIVISOR for i in ids} - {VOID}, default=0)
        if largest >= MAX_CLASSES:
            return f"they hold {why}: too many for classes"
        divisor = f"divisor: {_DIVISOR}  # for ids of class x {_DIVISOR} + instance"
        return Guess("segmentation", "labels", why, (f"num_classes: {largest + 1}", divisor))
    marks = [i for i in ids if i < 0 or i == VOID]
    named = [i for i in ids if i not in marks]
    if named and named[-1] < 2 * len(named) and not (marks and len(named) == 1):
        void = (f"void: {marks}  # taken for pixels without a label",) if marks else ()
        return Guess("segmentation", "labels", why, (f"num_classes: {named[-1] + 1}", *void))
    id_map = ", ".join(f"{i}: {number}" for number, i in enumerate(ids))
    lines = (
        f"num_classes: {len(ids)}",
        f"id_map: {{{id_map}}}  # stored number: class; most numbers are not used",
        "void: []  # move numbers here that mean 'no label'",
    )
    return Guess("segmentation", "labels", why, lines)


def _colours(counts: Counter[int]) -> Guess | str:
    if len(counts) > MAX_CLASSES:
        return f"they hold {len(counts)} different colours: too many for classes"
    total = sum(counts.values())
    lines = [
        f"  {number}: {list(packed.to_bytes(3))}  # {counts[packed] / total:.1%} of the pixels"
        for number, packed in enumerate(sorted(counts))
    ]
    what = "colors:  # class (a name may take its place): colour; move those without a class to 'ignore: [[r, g, b]]'"
    return Guess(
        "segmentation", "labels", f"{len(counts)} different colours", (f"num_classes: {len(counts)}", what, *lines)
    )


def _depth(values: Sequence[Array], role: str) -> Guess:
    pixels = _joined(values).astype(np.float64)
    valid = pixels[np.isfinite(pixels) & (pixels > 0)]
    marks = [0.0, *np.unique(pixels[pixels < 0])[:_NAMED]]
    largest = valid.max(initial=0)
    if largest in (255, 65535) and (valid == largest).mean() > SATURATED:
        marks.append(largest)
        valid = valid[valid != largest]
    if not len(valid):
        return Guess("depth", "distance", "no pixel of those looked at is measured", ())
    why = f"{values[0].dtype}, {valid.min():g} to {largest:g}, mean {valid.mean():.4g}"
    listed = ", ".join(f"{mark:g}" for mark in marks)
    invalid = (f"invalid: [{listed}]  # negative, or the largest value of many pixels",) if len(marks) > 1 else ()
    if role == "disparity":
        return Guess("disparity", "disparity", why, invalid)
    unit, metres = likely_unit(float(valid.mean())) or ("no usual unit", 1.0)
    scale = f"scale: {metres:g}  # these look like {unit}; {_OTHER_SCALES}"
    why += "; write disparity instead if what is near has the larger values"
    return Guess("depth", "distance", why, (scale, *invalid))


def _normals(values: Sequence[Array]) -> Guess:
    def facing(axes: tuple[str, str, str]) -> int:
        decoded = (decode_normals(each, axes=parse_axes(axes), invalid=_NO_NORMALS, where="") for each in values)
        return sum(map(count_facing, decoded))

    axes = max(_AXES, key=facing)
    lines = [f"axes: [{', '.join(axes)}]  # so that most of them face the camera"]
    pixels = _joined(values)
    marks = [list(colour) for colour in _NO_NORMALS if pixels.dtype == np.uint8 and (pixels == colour).all(-1).any()]
    if marks:
        lines.append(f"invalid: {marks}  # colours without a normal")
    return Guess("normals", "normals", "vectors of length 1", tuple(lines))
