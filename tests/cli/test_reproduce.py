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
        (["all", "--scale", "gpu", "--data", "cityscapes=streets"], "--data nyuv2=PATH"),
        (["table1", "--data", "nyuv2"], "--data nyuv2: write each dataset once, NAME=PATH"),
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
    assert printed.count("undecided (0 of 8 runs)") == 6
    assert "0.3541 ± 0.0145" in printed  # the paper's
    assert not out.exists()
    forms = {"markdown": "**Table 1: claims**", "latex": r"\begin{tabular}"}
    for form, said in forms.items():
        code, printed, err = run("reproduce", "table1", "--show", "--out", out, "--format", form)
        assert (code, said in printed) == (0, True), err
    code, printed, err = run("reproduce", "table1", "cost", "fig5", "--show", "--out", out, "--format", "json")
    assert [table["table"] for table in json.loads(printed)["tables"]] == ["table1", "cost"]
    assert err == "fig5: is painted without --show, since networks have to be trained for it\n"
    code, printed, err = run("reproduce", "table1", "table9", "--show", "--out", out, "--format", "csv")
    assert printed.count("table,row,from,seed") == 1
    assert "\ntable9,single,paper,," in printed
