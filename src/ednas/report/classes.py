"""A task's classes: how well each is found, and which is taken for which."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ednas.report.svg import FAINT, INK, LINE, MUTED, Canvas, shorten

MOST_CONFUSED = 8
"""How many pairs :func:`confusions` returns at most."""

_RIGHT, _WRONG = (42, 102, 168), (189, 83, 22)
"""Colours of a whole row: predicted rightly, and as another class."""

_FAINTEST = 0.005
"""A smaller share of a row is not drawn."""

_CELL = (17, 44)
"""Smallest and largest side of a cell, pixels."""

_MATRIX, _LETTERS = 600, 20
"""Width that a matrix of many classes takes about, pixels; longest name, characters."""


@dataclass(frozen=True)
class ClassRow:
    """How well a class is found; None where it is not defined, as where it does not occur.

    Attributes:
        name: The class.
        iou: Intersection over union, percent; the mean over several runs.
        spread: Its standard deviation over several runs.
        acc: Share of its pixels that are found, percent.
        share: Share of the labelled pixels that are its own, percent; None without a confusion matrix.
    """

    name: str
    iou: float | None
    spread: float | None
    acc: float | None
    share: float | None


@dataclass(frozen=True)
class Confusion:
    """A class that is taken for another.

    Attributes:
        label: What the pixels are.
        predicted: What they are taken for.
        share: Share of the class's pixels, percent.
        pixels: How many.
    """

    label: str
    predicted: str
    share: float
    pixels: int


@dataclass(frozen=True)
class TaskClasses:
    """The classes of one task.

    Attributes:
        task: The task.
        rows: The classes, the best first; those that do not occur last.
        names: Names in the order of ``matrix``.
        matrix: How many pixels of each class (row) were predicted as each (column), over all runs; may be empty.
    """

    task: str
    rows: tuple[ClassRow, ...]
    names: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]


def collect_classes(runs: Sequence[Mapping[str, Any]]) -> list[TaskClasses]:
    """Return the classes of every task that has some.

    Args:
        runs: Content of the ``metrics.json`` of each run, with the same tasks and classes.
    """
    found = []
    for task, classes in runs[0].get("classes", {}).items():
        every = [run["classes"][task] for run in runs]
        matrices = [run.get("confusion", {}).get(task, []) for run in runs]
        added = (tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*matrices, strict=True))
        matrix = tuple(added) if all(matrices) else ()
        pixels = sum(map(sum, matrix)) or 1
        shares = [100 * sum(row) / pixels for row in matrix] if matrix else [None] * len(classes)
        rows = [
            _class_row(name, [each[name] for each in every], share) for name, share in zip(classes, shares, strict=True)
        ]
        rows.sort(key=lambda row: (row.iou is None, -(row.iou or 0.0)))
        found.append(TaskClasses(task, tuple(rows), tuple(classes), matrix))
    return found


def confusions(classes: TaskClasses) -> list[Confusion]:
    """Return the most frequent confusions, by their pixels; none without a matrix."""
    if not classes.matrix:
        return []
    pairs = [
        Confusion(label, predicted, 100 * count / sum(row), count)
        for label, row in zip(classes.names, classes.matrix, strict=True)
        for predicted, count in zip(classes.names, row, strict=True)
        if predicted != label and count
    ]
    return sorted(pairs, key=lambda pair: -pair.pixels)[:MOST_CONFUSED]


def draw_confusion(classes: TaskClasses) -> str:
    """Return the confusion matrix as an SVG document: rows are labels, and the darkness is the share of the row."""
    count = len(classes.names)
    cell = min(max(_MATRIX / count, _CELL[0]), _CELL[1])
    names = [shorten(name, _LETTERS) for name in classes.names]
    left = top = 44 + 6.8 * max(map(len, names))
    canvas = Canvas(
        left + max(count * cell, 240) + 20, top + count * cell + 58, f"{classes.task}: what each class is predicted as"
    )
    canvas.rect(left, top, count * cell, count * cell, "#ffffff", stroke=FAINT, radius=2)
    for index, (name, row) in enumerate(zip(names, classes.matrix, strict=True)):
        middle = (index + 0.5) * cell + 4
        canvas.text(left - 7, top + middle, name, size=12, fill=INK if sum(row) else LINE, anchor="end")
        canvas.text(left + middle, top - 7, name, size=12, angle=-90)
        for place in (index * cell, (index + 1) * cell):
            canvas.line([(left, top + place), (left + count * cell, top + place)], stroke=FAINT, width=0.5)
            canvas.line([(left + place, top), (left + place, top + count * cell)], stroke=FAINT, width=0.5)
    for index, row in enumerate(classes.matrix):
        for other, pixels in enumerate(row):
            if pixels and pixels >= _FAINTEST * sum(row):
                hint = f"{classes.names[index]} as {classes.names[other]}"
                x, y, share = left + other * cell, top + index * cell, pixels / sum(row)
                _draw_cell(canvas, x, y, cell, share, index == other, hint)
    canvas.text(16, top - 7, "label ↓", size=12, fill=MUTED)
    _draw_legend(canvas, left, top + count * cell + 22)
    return canvas.render()


def _class_row(name: str, values: Sequence[Mapping[str, float | None]], share: float | None) -> ClassRow:
    ious, accs = ([found for value in values if (found := value[key]) is not None] for key in ("iou", "acc"))
    return ClassRow(
        name=name,
        iou=statistics.fmean(ious) if ious else None,
        spread=statistics.stdev(ious) if len(ious) > 1 else None,
        acc=statistics.fmean(accs) if accs else None,
        share=share,
    )


def _draw_cell(canvas: Canvas, x: float, y: float, side: float, share: float, is_right: bool, hint: str) -> None:
    canvas.rect(x, y, side, side, _shade(share, is_right), radius=0, hint=f"{hint}: {100 * share:.1f} %")
    if side >= 30 and share >= 0.01:
        fill = "#ffffff" if share > 0.3 else INK
        canvas.text(x + side / 2, y + side / 2 + 4, f"{100 * share:.0f}", size=11, fill=fill, anchor="middle")


def _shade(share: float, is_right: bool) -> str:
    """Mix a colour with white; by the root of the share, so that small ones can be seen."""
    strength = share**0.5
    return "#" + "".join(f"{round(255 + strength * (part - 255)):02x}" for part in (_RIGHT if is_right else _WRONG))


def _draw_legend(canvas: Canvas, left: float, top: float) -> None:
    for row, (is_right, text) in enumerate(((True, "right"), (False, "taken for another class"))):
        for column, share in enumerate((0.01, 0.05, 0.2, 0.5, 1.0)):
            canvas.rect(left + 22 * column, top + 14 * row, 22, 13, _shade(share, is_right), radius=0)
            if row == 0:
                canvas.text(
                    left + 22 * column + 11, top - 4, f"{100 * share:.0f}", size=10, fill=MUTED, anchor="middle"
                )
        canvas.text(left + 118, top + 11 + 14 * row, text, size=12, fill=MUTED)
    canvas.text(left + 118, top - 4, "% of the row", size=10, fill=MUTED)
