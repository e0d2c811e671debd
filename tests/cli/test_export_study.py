"""``ednas export-study``: the file that is written, and the one that is not overwritten."""

from __future__ import annotations

from pathlib import Path

from helpers.cli import Run
from helpers.reports import fake_trials, write_study


def test_an_existing_file_is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
    write_study(tmp_path / "run", fake_trials(10))
    code, out, err = run("export-study", tmp_path / "run")
    file = tmp_path / "run" / "trials.csv"
    assert (code, out) == (0, f"wrote {file}\n"), err
    assert len(file.read_text().splitlines()) == 11
    file.write_text("mine")
    code, _, err = run("export-study", tmp_path / "run", "--format", "csv")
    assert (code, file.read_text()) == (2, "mine")
    assert err == f"error: {file}: exists already; choose another file, or overwrite it with --force\n"
    assert run("export-study", tmp_path / "run", "--force")[0] == 0
    assert len(file.read_text().splitlines()) == 11


def test_a_folder_without_a_search_is_one_line(run: Run, tmp_path: Path) -> None:
    code, _, err = run("export-study", tmp_path, "--out", tmp_path / "trials.csv")
    assert (code, err) == (2, f"error: {tmp_path}: holds no search (no study.db); give the folder of one\n")
    assert list(tmp_path.iterdir()) == []
