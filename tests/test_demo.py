"""Starting the demo anew removes what a demo wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.cli import Run

from ednas.demo import demo_config, remove_demo
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
    demo_config(folder / "streets").search.save(folder / "config.yaml")
    (folder / "checkpoints" / "base" / "anything").touch()
    return folder


def test_what_a_demo_wrote_is_removed(left: Path, tmp_path: Path) -> None:
    remove_demo(left)
    assert not left.exists()
    remove_demo(left)
    (tmp_path / "empty").mkdir()
    remove_demo(tmp_path / "empty")


@pytest.mark.parametrize(
    "files", [["streets/img.jpg", "config.yaml"], ["checkpoints/llm.bin"], ["study.db", "best.json"]]
)
def test_a_folder_whose_names_are_a_demos_by_chance_is_left_alone(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("steps: 3")
    with pytest.raises(ConfigError, match=r"is no demo's folder \(.*config\.yaml"):
        remove_demo(tmp_path)
    assert all((tmp_path / name).exists() for name in files)


def test_another_search_is_left_alone(left: Path) -> None:
    demo_config(left.parent / "mine").search.save(left / "config.yaml")
    with pytest.raises(ConfigError, match="holds a search on .*mine, no demo"):
        remove_demo(left)
    assert (left / "study.db").exists()


def test_scenes_alone_stay(tmp_path: Path) -> None:
    (tmp_path / "streets").mkdir()
    remove_demo(tmp_path)
    assert (tmp_path / "streets").exists()


@pytest.mark.parametrize(
    "name", ["thesis.tex", ".ssh", "checkpoint", "best.json.bak", "study.db.thesis", ".best friends", ".report_old"]
)
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
