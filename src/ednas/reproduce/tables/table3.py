"""Table 3: the base network's negative transfer on three tasks."""

from __future__ import annotations

from ednas.reproduce.claims import Better
from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Table
from ednas.reproduce.tables.methods import multi_task, single_task


def table3(scale: Scale) -> Table:
    """Return the declaration: the rows on ResNets are not ours to repeat."""
    problem = scale.three_tasks
    return Table(
        "table3",
        "Baselines on three tasks",
        (
            single_task(problem, "table3"),
            multi_task(problem, "table3", "nyuv2_mt", "single"),
        ),
        (Better("Learning three tasks costs the base accuracy", "single", "base", printed="+11.3"),),
    )
