"""``ednas reproduce``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.cli import Run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tabel1"], "table 'tabel1': did you mean 'table1'?"),
        (["table1", "--scale", "gpu"], "--data cityscapes=PATH"),
        (["table1", "--data", "nyuv2"], "data 'nyuv2': write each option once, NAME=VALUE"),
        (["table1", "--data", "kitti=x"], "data 'kitti'"),
        (["table1", "--reading", "print"], "--reading print: did you mean 'printed'?"),
        (["table3", "--data", "nyuv2=nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_mistakes_are_one_line(run: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    code, _, err = run("reproduce", *arguments, "--out", tmp_path / "out")
    assert (code, said in err, err.count("\n")) == (2, True, 1), err


def test_without_trainings_all_is_undecided(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, err = run("reproduce", "table1", "--show", "--out", out)
    assert code == 0, err
    assert printed.count("undecided (0 of 8 runs)") == 5
    assert "0.3541 ± 0.0145" in printed  # the paper's
    assert f"wrote {out / 'table1.json'}" in err
    forms = {"markdown": "**Table 1: claims**", "latex": r"\begin{tabular}", "csv": "table,row,protocol,seed"}
    for form, said in forms.items():
        code, printed, err = run("reproduce", "table1", "--show", "--out", out, "--format", form)
        assert (code, said in printed) == (0, True), err
    code, printed, err = run("reproduce", "table1", "--show", "--out", out, "--format", "json")
    assert json.loads(printed) == json.loads((out / "table1.json").read_text())
