"""``ednas runs``: the list in every form, also of nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from helpers.cli import Run
from helpers.reports import fake_trials, write_study


def test_runs_in_every_form(run: Run, tmp_path: Path) -> None:
    for name, count in (("short", 6), ("long", 20)):
        write_study(tmp_path / name, fake_trials(count))
    code, out, err = run("runs", tmp_path, "--format", "json", "--sort", "reward")
    found = json.loads(out)["runs"]
    assert code == 0, err
    assert [Path(entry["path"]).name for entry in found] == ["long", "short"]
    assert found[0]["figures"]["reward"] == max(trial.reward for trial in fake_trials(20) if trial.scored)
    lines = list(csv.DictReader(run("runs", tmp_path, "--format", "csv")[1].splitlines()))
    assert [float(line["reward"]) for line in lines] == [entry["figures"]["reward"] for entry in found]
    for form, shown in (("table", "19 trials (1 failed, 1 pruned)"), ("markdown", "| Run "), ("latex", r"\toprule")):
        out = run("runs", tmp_path, "--format", form)[1]
        assert shown in out


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_an_empty_folder_is_one_line(run: Run, tmp_path: Path, form: str) -> None:
    assert run("runs", tmp_path, "--format", form) == (0, "", f"{tmp_path}: no run here or below\n")


def test_an_empty_folder_is_no_row_for_programs(run: Run, tmp_path: Path) -> None:
    assert json.loads(run("runs", tmp_path, "--format", "json")[1]) == {"runs": []}
    assert run("runs", tmp_path, "--format", "csv")[1].startswith("path,kind,state,")


def test_mistakes_are_one_line(run: Run, tmp_path: Path) -> None:
    assert run("runs", tmp_path / "gone") == (2, "", f"error: {tmp_path / 'gone'}: no such folder\n")
    write_study(tmp_path / "short", fake_trials(6))
    code, _, err = run("runs", tmp_path, "--sort", "fame")
    assert (code, err.count("\n")) == (2, 1)
