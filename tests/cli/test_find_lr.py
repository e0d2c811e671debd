"""`ednas train --find-lr` and `--lr auto`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.cli import Run
from helpers.small_training import small_architecture, write_dataset

from ednas.arch import save_architecture
from ednas.training import load_config


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    data = write_dataset(tmp_path / "data")
    save_architecture(small_architecture(), tmp_path / "small.json")
    return ["train", tmp_path / "small.json", "--data", data, "--steps", 20, "--batch-size", 4, "--input", "32x64"]


def test_find_lr_suggests_and_draws_and_trains_nothing(run: Run, train: list[object], tmp_path: Path) -> None:
    out = tmp_path / "rate"
    code, printed, err = run(*train, "--find-lr", "--out", out)
    assert code == 0, err
    found = json.loads((out / "find_lr.json").read_text())
    assert f"take it by --lr {found['suggestion']:g}" in printed
    assert f"wrote {out / 'find_lr.svg'}" in printed
    assert sorted(path.name for path in out.iterdir()) == ["find_lr.json", "find_lr.svg"]
    assert (out / "find_lr.svg").read_text().startswith("<svg")
    assert json.loads(run(*train, "--find-lr", "--json", "--out", out)[1]) == found

    code, _, err = run(*train, "--lr", "auto", "--out", tmp_path / "run", "--json")
    assert code == 0, err
    assert load_config(tmp_path / "run" / "config.yaml").recipe.learning_rate == found["suggestion"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "fast"], "train: 'recipe.learning_rate': write a number above 0, or auto (got 'fast')"),
        (["--lr", "-1"], "'recipe.learning_rate': write a number above 0, or auto (got '-1')"),
        (["--lr", "auto", "--steps", 3], "recipe.steps: 3: a range test needs 20 at least"),
        (["--find-lr", "--runs", 2], "--find-lr: trains no run; leave --resume and --runs out"),
        (["--find-lr", "--resume"], "--find-lr: trains no run; leave --resume and --runs out"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, train: list[object], tmp_path: Path, options: list[object], message: str
) -> None:
    code, _, err = run(*train, "--out", tmp_path / "run", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
