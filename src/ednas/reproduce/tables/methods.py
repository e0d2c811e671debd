"""What Tables 2 and 4 have in common: the edge networks, and the six ways to share that they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ednas.reproduce.claims import Better, Reading
from ednas.reproduce.paper import printed
from ednas.reproduce.scales import Problem
from ednas.reproduce.table import Row

SHARING = {
    "Cross-Stitch": "cross_stitch",
    "Sluice": "sluice",
    "NDDR-CNN": "nddr",
    "MTAN": "mtan",
    "DEN": "den",
    "AdaShare": "adashare",
}
"""The six methods as the paper calls them, and as architectures do."""

READINGS: dict[Reading, tuple[str, str]] = {
    "printed": ("ednas_cityscapes", "Table 6 as printed"),
    "counted": ("ednas_cityscapes_published", "Table 6 as counted"),
}
"""EDNAS's network, by the reading of Table 6."""


@dataclass(frozen=True)
class Presets:
    """Table 8's loss weights on a dataset."""

    base: str
    ednas: str
    jared: str


def single_task(problem: Problem, table: str) -> Row:
    """Return the base network trained for each task alone, whose loss then weighs 1 (Table 9)."""
    alone = tuple(problem.config(tasks=(task,)) for task in problem.tasks)
    return Row("single", "ST edge baseline", alone, printed=printed(table, "ST edge"))


def multi_task(problem: Problem, table: str, preset: str, over: str | None) -> Row:
    """Return the base network trained for all tasks."""
    return Row("base", "MT edge baseline", (problem.config(preset=preset),), over, printed(table, "MT edge"))


def ednas(problem: Problem, table: str, presets: Presets, over: str) -> Iterator[Row]:
    """Yield EDNAS's network without and with JAReD, by both readings of Table 6."""
    rows = (("ednas", "EDNAS", presets.ednas), ("jared", "EDNAS+JAReD", presets.jared))
    for reading, (network, note) in READINGS.items():
        for key, title, preset in rows:
            config = problem.config(network, preset=preset)
            yield Row(f"{key}_{reading}", f"{title}, {note}", (config,), over, printed(table, title), reading)


def six_methods(problem: Problem, table: str, preset: str, over: str) -> Iterator[Row]:
    """Yield the base network with the tasks sharing it in each of the other ways."""
    for title, sharing in SHARING.items():
        yield Row(sharing, title, (problem.config(preset=preset, sharing=sharing),), over, printed(table, title))


def claims(table: str, over_base: str) -> Iterator[Better]:
    """Yield what both tables say of EDNAS and JAReD.

    Args:
        table: Whose figures are quoted.
        over_base: By how much EDNAS is better than the base network there.
    """
    ours = {name: printed(table, name).delta or 0.0 for name in ("EDNAS", "EDNAS+JAReD", *SHARING)}
    for reading in READINGS:
        network, jared = f"ednas_{reading}", f"jared_{reading}"
        yield Better("EDNAS is better than the base", network, "base", printed=over_base, reading=reading)
        gain = f"{ours['EDNAS+JAReD'] - ours['EDNAS']:+.1f}"
        yield Better("JAReD improves EDNAS", jared, network, printed=gain, reading=reading)
        for title, sharing in SHARING.items():
            gain = f"{ours['EDNAS+JAReD'] - ours[title]:+.1f}"
            yield Better(f"EDNAS+JAReD is better than {title}", jared, sharing, printed=gain, reading=reading)


NOTES = ("The six methods share the base network here; the paper quotes them on ResNets, over other baselines.",)
