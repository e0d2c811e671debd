"""What is kept of a table."""

from __future__ import annotations

import json

import pytest

from ednas.exceptions import CheckpointError
from ednas.reproduce.result import RowResult, load_table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds list, expected a table that `ednas reproduce` wrote"),
        ("{", "table1.json"),
        (json.dumps({"format": 2}), "format"),
        (json.dumps({"table": "table1", "row": []}), "table1.json"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, text, said):
    file = tmp_path / "table1.json"
    file.write_text(text)
    with pytest.raises(CheckpointError, match=said) as error:
        load_table(file)
    assert "\n" not in str(error.value)


def test_a_row_is_the_mean_of_its_seeds():
    seeds = {3: {"depth": {"rel_err": 0.2}}, 5: {"depth": {"rel_err": 0.4}}}
    row = RowResult(key="a", title="A", over=None, reading=None, printed=None, trainings=(),
                    measured={"standard": seeds}, cost=None)  # fmt: skip
    metrics = row.metrics("standard")
    assert metrics.tasks == {"depth": {"rel_err": pytest.approx(0.3)}}
    assert metrics.spread["depth"]["rel_err"] == pytest.approx(0.1 * 2**0.5)
    assert row.metrics("adashare") is None
