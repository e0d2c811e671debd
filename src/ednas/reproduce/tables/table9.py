"""Table 9, with Table 8's weights: what the weights of the losses do to one network."""

from __future__ import annotations

from ednas.reproduce.claims import Better, Reading
from ednas.reproduce.paper import printed
from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Row, Table
from ednas.reproduce.tables.methods import single_task

WEIGHTS: dict[str, tuple[str, str, Reading | None]] = {
    "cityscapes_mt": ("CE 0.4, L1 1 (Table 8)", "1.000/0.000", None),
    "table9_l1": ("CE 0.5, L1 1", "1.000/0.000", None),
    "table9_999_001": ("CE 0.5, L1 0.999, RE 0.001", "0.999/0.001", None),
    "table9_990_010": ("CE 0.5, L1 0.99, RE 0.01", "0.990/0.010", None),
    "table9_950_050": ("CE 0.5, L1 0.95, RE 0.05", "0.950/0.050", None),
    "table9_900_010": ("CE 0.5, L1 0.9, RE 0.01", "0.900/0.010", "printed"),
    "table9_900_100": ("CE 0.5, L1 0.9, RE 0.1", "0.900/0.010", "counted"),
}
"""Presets: their title, Table 9's row, and the reading that they belong to: all rows but the last add up to 1. Table 8
weighs segmentation in what is Table 9's first row by 0.4."""

L1 = "table9_l1"


def table9(scale: Scale) -> Table:
    """Return the declaration: all rows are of the base network."""
    problem = scale.two_tasks
    rows = [
        Row(preset, title, (problem.config(preset=preset),), "single", printed("table9", row), reading)
        for preset, (title, row, reading) in WEIGHTS.items()
    ]
    jared = {"depth": {"loss": "jared", "abs_weight": 1.0, "rel_weight": 0.05}}
    eq8 = (problem.config(preset=L1, task_options=jared),)
    claims = [
        Better(f"{title} is better than L1 alone", preset, L1, printed=_gain(row), reading=reading)
        for preset, (title, row, reading) in WEIGHTS.items()
        if "RE" in title
    ]
    return Table(
        "table9",
        "Weights of the losses",
        (
            single_task(problem, "table9"),
            *rows,
            Row("eq8", "CE 0.5, L1 1, RE 0.05 (Eq. 8)", eq8, "single"),
        ),
        tuple(claims),
        notes=(
            "The paper's first row is the base network, and by their figures the others are EDNAS's, so that its "
            "differences are of both. Here all rows are the base.",
            "Eq. 8 leaves the absolute error's weight at 1, where the table's rows take from it: its last row here.",
        ),
    )


def _gain(row: str) -> str:
    """Return by how much a row is better than the first in the paper."""
    first, own = (printed("table9", name).delta or 0.0 for name in ("1.000/0.000", row))
    return f"{own - first:+.1f}"
