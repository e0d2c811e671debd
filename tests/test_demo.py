"""Starting the demo anew removes what a demo wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runs import Run

from ednas.demo import remove_demo
from ednas.exceptions import ConfigError

WRITTEN = ("study.db", "study.db-wal", "config.yaml", "study.yaml", "best.json", "noise.json", "report.html")


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder as a demo leaves it."""
    folder = tmp_path / "demo"
    for name in ("streets/train/image", "checkpoints/base/seed_0", "predictions"):
        (folder / name).mkdir(parents=True)
    for name in WRITTEN:
        (folder / name).touch()
    (folder / "checkpoints" / "base" / "anything").touch()
    return folder


def test_what_a_demo_wrote_is_removed(left: Path, tmp_path: Path) -> None:
    remove_demo(left)
    assert not left.exists()
    remove_demo(left)
    (tmp_path / "empty").mkdir()
    remove_demo(tmp_path / "empty")


@pytest.mark.parametrize("name", ["thesis.tex", ".ssh", "checkpoint", "best.json.bak"])
def test_a_folder_with_something_else_in_it_is_left_alone(left: Path, run: Run, name: str) -> None:
    (left / name).touch()
    before = sorted(left.rglob("*"))
    code, _, err = run("demo", "--fresh", "--out", left)
    assert (code, err.count("\n")) == (2, 1)
    assert f"holds {name}, which no demo writes" in err
    assert sorted(left.rglob("*")) == before


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(ConfigError, match="is a file"):
        remove_demo(tmp_path / "demo")
    assert (tmp_path / "demo").read_text() == "mine"
