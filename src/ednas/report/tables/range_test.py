"""A learning-rate range test: a few of its points."""

from __future__ import annotations

from rich.table import Table

from ednas.report.tables.layout import new_table, numbers
from ednas.training.find_lr import RangeTest

_ROWS = 12


def range_test_table(test: RangeTest) -> Table:
    """Return a few points of the curve, from the lowest rate to the highest."""
    table = new_table("Learning-rate range test", *numbers("rate", "loss, smoothed"))
    last = len(test.rates) - 1
    for row in range(_ROWS):
        index = round(row * last / (_ROWS - 1))
        table.add_row(f"{test.rates[index]:.1e}", f"{test.smoothed[index]:.4g}")
    return table
