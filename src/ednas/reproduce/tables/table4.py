"""Table 4: three tasks on NYUv2."""

from __future__ import annotations

from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Table
from ednas.reproduce.tables.methods import NOTES, Presets, claims, ednas, multi_task, six_methods

PRESETS = Presets("nyuv2_mt", "nyuv2_ednas", "nyuv2_jared")


def table4(scale: Scale) -> Table:
    """Return the declaration: gains are over the multi-task base."""
    problem = scale.three_tasks
    return Table(
        "table4",
        "Three tasks: segmentation, depth and surface normals",
        (
            multi_task(problem, "table4", PRESETS.base, None),
            *ednas(problem, "table4", PRESETS, "base"),
            *six_methods(problem, "table4", PRESETS.base, "base"),
        ),
        tuple(claims("table4", "+9.6")),
        notes=(
            *NOTES,
            "The paper does not print the network that it found for NYUv2: Table 6's stands for it.",
        ),
    )
