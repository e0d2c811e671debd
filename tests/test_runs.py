"""The one place that names the files of runs."""

from __future__ import annotations

from ednas.runs import CheckpointFolder, RunFolder


def test_seeds_come_in_their_order(tmp_path):
    for name in ("seed_10", "seed_2", "seed_x", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "seed_1").touch()
    assert [run.path.name for run in RunFolder(tmp_path).seeds()] == ["seed_2", "seed_10"]
    assert RunFolder(tmp_path).seed(2).path == tmp_path / "seed_2"


def test_final_trainings_come_by_their_names(tmp_path):
    run = RunFolder(tmp_path)
    assert run.finals() == []
    for name in ("found", "base_depth", "base"):
        (run.trained / name).mkdir(parents=True)
    (run.trained / "notes.txt").touch()
    assert [final.path.name for final in run.finals()] == ["base", "base_depth", "found"]


def test_what_a_folder_is_is_seen_from_its_files(tmp_path):
    run = RunFolder(tmp_path)
    assert not run.is_search
    assert not run.is_training
    run.study.touch()
    assert (run.is_search, run.is_training) == (True, False)
    run.state.touch()
    assert run.is_training


def test_no_two_files_are_one(tmp_path):
    run = RunFolder(tmp_path)
    checkpoints = (run.checkpoint, run.best_checkpoint)
    files = [value for value in vars(run).values() if not isinstance(value, CheckpointFolder)]
    files += [file for checkpoint in checkpoints for file in vars(checkpoint).values()]
    assert len(set(files)) == len(files)
    assert all(file.is_relative_to(tmp_path) for file in files)
