from __future__ import annotations

import pytest
from helpers.reports import rows, show

from ednas.hw import load_target, target_names
from ednas.hw.targets.calibration import Calibration, RowError
from ednas.report import labels
from ednas.report.tables.targets import calibration_tables, target_table, targets_table


@pytest.fixture(scope="module")
def coral():
    return load_target("coral_usb")


def test_every_built_in_target_can_be_shown():
    targets = [load_target(name) for name in target_names()]
    listed = show(targets_table(targets), 100)
    for target in targets:
        assert target.name in listed
        text = show(target_table(target), 200)
        for path, figure in target.figures().items():
            key = path.rpartition(".")[2]
            line = next(line for line in text.splitlines() if f" {key} " in line)
            assert labels.show_figure(figure.value) in line
            assert figure.provenance in line
        for error in target.errors:
            line = next(line for line in text.splitlines() if f"{error.low:.3g} to {error.high:.3g}" in line)
            assert f" {error.kind} " in line
            assert f"{error.networks} networks" in line


def test_the_list_of_targets_fits_into_80_characters(coral):
    assert "…" not in show(targets_table([coral]), 80)


def test_a_calibration_says_old_new_and_errors(coral):
    rows_ = (RowError("[b]one[/b]", 2.0, 2.2, 1.9), RowError("two", 4.0, 4.0, 4.4))
    result = Calibration(coral, {"link.dispatch_ms": (0.68, 1.02)}, rows_, (0.04, 0.06))
    changes, errors, total = (show(table) for table in calibration_tables(result))
    assert rows(changes) == [["link.dispatch_ms", "0.68", "1.02", "+50.0", "ms"]]
    assert rows(errors)[0] == ["[b]one[/b]", "2.00", "2.20", "+10.0", "1.90", "−5.0"]
    assert [row[1] for row in rows(total)] == ["5.0", "7.5", "5.0 (4.0 to 6.0)"]
