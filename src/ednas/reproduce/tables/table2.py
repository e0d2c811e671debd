"""Table 2: two tasks on CityScapes."""

from __future__ import annotations

from ednas.reproduce.claims import DELTA, Better
from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Table
from ednas.reproduce.tables.methods import NOTES, READINGS, Presets, claims, ednas, multi_task, single_task, six_methods

PRESETS = Presets("cityscapes_mt", "cityscapes_ednas", "cityscapes_jared")


def table2(scale: Scale) -> Table:
    """Return the declaration."""
    problem = scale.two_tasks
    return Table(
        "table2",
        "Two tasks: segmentation and depth",
        (
            single_task(problem, "table2"),
            multi_task(problem, "table2", PRESETS.base, "single"),
            *ednas(problem, "table2", PRESETS, "single"),
            *six_methods(problem, "table2", PRESETS.base, "single"),
        ),
        (
            Better("Learning both tasks costs the base accuracy", "single", "base", printed="+4.1"),
            *(
                Better("EDNAS is better than single tasks", f"ednas_{reading}", "single", DELTA, "+8.5", reading)
                for reading in READINGS
            ),
            *claims("table2", "+12.6"),
        ),
        notes=NOTES,
    )
