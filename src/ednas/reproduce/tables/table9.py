"""Table 9, with Table 8's weights: what the weights of the losses do to one network."""

from __future__ import annotations

from ednas.reproduce.claims import Better, Reading
from ednas.reproduce.paper import printed
from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Row, Table
from ednas.reproduce.tables.methods import single_task

WEIGHTS: dict[str, tuple[str, str, Reading | None]] = {
    "cityscapes_mt": ("CE 0.4, L1 1 (Table 8)", "1.000/0.000", "counted"),
    "table9_l1": ("CE 0.5, L1 1", "1.000/0.000", "printed"),
    "table9_999_001": ("CE 0.5, L1 0.999, RE 0.001", "0.999/0.001", None),
    "table9_990_010": ("CE 0.5, L1 0.99, RE 0.01", "0.990/0.010", None),
    "table9_950_050": ("CE 0.5, L1 0.95, RE 0.05", "0.950/0.050", None),
    "table9_900_010": ("CE 0.5, L1 0.9, RE 0.01", "0.900/0.010", "printed"),
    "table9_900_100": ("CE 0.5, L1 0.9, RE 0.1", "0.900/0.010", "counted"),
}
"""Presets: their title, Table 9's row, and the reading that they belong to: Table 8 weighs the first row's segmentation
by 0.4, and all rows but the last add up to 1."""

FIRST: dict[Reading, str] = {"printed": "table9_l1", "counted": "cityscapes_mt"}


def table9(scale: Scale) -> Table:
    """Return the declaration: all rows are of the base network."""
    problem = scale.two_tasks
    rows = [
        Row(preset, title, (problem.config(preset=preset),), "single", printed("table9", row), reading)
        for preset, (title, row, reading) in WEIGHTS.items()
    ]
    jared = {"depth": {"loss": "jared", "abs_weight": 1.0, "rel_weight": 0.05}}
    eq8 = (problem.config(preset="table9_l1", task_options=jared),)
    claims = [
        Better(f"{WEIGHTS[preset][0]} is better than L1 alone", preset, first, printed=gain, reading=reading)
        for reading, first in FIRST.items()
        for preset, gain in _gains(reading).items()
    ]
    return Table(
        "table9",
        "Weights of the losses",
        (
            single_task(problem, "table9", "table9_l1"),
            *rows,
            Row("eq8", "CE 0.5, L1 1, RE 0.05 (Eq. 8)", eq8, "single"),
        ),
        tuple(claims),
        notes=(
            "The paper's first row is the base network and the others EDNAS's; here all are the base.",
            "Eq. 8 leaves the absolute error's weight at 1, where the table's rows take from it: its last row here.",
        ),
    )


def _gains(reading: Reading) -> dict[str, str]:
    """Return by how much each row with JAReD is better than the first in the paper, by its preset."""
    jared = {key: row for key, (_, row, own) in WEIGHTS.items() if key not in FIRST.values() and own in (None, reading)}
    first = printed("table9", "1.000/0.000").delta or 0.0
    return {key: f"{(printed('table9', row).delta or 0.0) - first:+.1f}" for key, row in jared.items()}
