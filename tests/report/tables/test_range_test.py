from __future__ import annotations

import numpy as np

from ednas.report.tables.range_test import range_test_table
from ednas.training.find_lr import judge


def test_the_table_goes_from_the_lowest_rate_to_the_highest() -> None:
    rates = np.geomspace(1e-6, 1.0, 100)
    table = range_test_table(judge(rates, 4 - 3 / (1 + (rates / 1e-3) ** -2)))
    shown = list(table.columns[0].cells)
    assert (shown[0], shown[-1]) == ("1.0e-06", "1.0e+00")
    assert len(shown) == 12
