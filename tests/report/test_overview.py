"""Runs in a folder: what is found, how far each is, and that nothing in a folder breaks the list."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from helpers.reports import IDENTITY, fake_trials, write_study
from helpers.searches import space

from ednas.exceptions import ConfigError
from ednas.files import exclusive, write_json
from ednas.report.overview import Kind, State, describe, find_runs, overview, runs_csv, sort_rows
from ednas.runs import RunFolder
from ednas.search import results
from ednas.search.controllers.base import Proposal
from ednas.search.study import Study
from ednas.search.trial import Judgement

CONFIG = {
    "training": {"data": "streets", "tasks": ["segmentation", "depth"]},
    "trials": 19,
    "target": "coral_usb",
    "target_latency_ms": 7.0,
}


def write_search(folder: Path, **config: object) -> Path:
    """A search of 20 trials, of which 19 were evaluated."""
    write_study(folder, fake_trials(20), {**IDENTITY, "target_latency_ms": 7.0})
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, **config}))
    return folder


def states(folder: Path) -> dict[str, State]:
    return {row.path.name: row.state for row in overview(folder)}


def test_a_search_is_a_row(tmp_path: Path) -> None:
    trials = fake_trials(20)
    (row,) = overview(write_search(tmp_path / "streets").parent)
    assert (row.path, row.kind, row.state) == (tmp_path / "streets", Kind.SEARCH, State.FINISHED)
    assert (row.data, row.network, row.target) == ("streets", "base", "coral_usb")
    assert row.space == space().size
    assert (row.done, row.planned, row.unit) == (19, 19, "trials")
    counts = [sum(trial.state == state for trial in trials) for state in ("failed", "pruned")]
    assert [row.failed, row.pruned] == counts == [1, 1]
    leader = results.best(trials, {"latency_ms": 7.0})
    assert row.figures == {"reward": leader.reward, "accuracy": leader.accuracy, "latency_ms": leader.latency_ms}


def test_a_search_runs_while_it_is_written_to(tmp_path: Path) -> None:
    write_search(tmp_path / "short", trials=30)
    assert describe(RunFolder(tmp_path / "short")).state is State.BROKEN_OFF
    with Study(tmp_path / "short" / "study.db", {**IDENTITY, "target_latency_ms": 7.0}, resume=True):
        assert describe(RunFolder(tmp_path / "short")).state is State.RUNNING
    assert describe(RunFolder(tmp_path / "short")).state is State.BROKEN_OFF


def test_a_search_is_finished_when_its_finalists_are_judged_again(tmp_path: Path) -> None:
    write_search(tmp_path / "run", finalists=2)
    assert describe(RunFolder(tmp_path / "run")).state is State.BROKEN_OFF
    chosen = [trial for trial in fake_trials(20) if trial.scored and trial.latency_ms <= 7.0]
    chosen = sorted(chosen, key=lambda trial: -trial.reward)[:2]
    with Study(tmp_path / "run" / "study.db", {**IDENTITY, "target_latency_ms": 7.0}, resume=True) as study:
        for trial in chosen:
            study.add_judgement(trial.number, Judgement(0.1, 0.1))
    write_json(tmp_path / "run" / "best.json", {"reward": 0.2, "accuracy": 0.3, "cost": {"latency_ms": 6.0}})
    row = describe(RunFolder(tmp_path / "run"))
    assert row.state is State.FINISHED
    assert row.figures == {"reward": 0.2, "accuracy": 0.3, "latency_ms": 6.0}  # means of two seeds


def test_a_search_is_finished_when_nothing_is_left_to_propose(tmp_path: Path) -> None:
    small = space(small=True)
    choices = {"kinds": ["ibn"], "kernel_sizes": [3], "multipliers": [1.0], "expand_ratios": [6]}
    choices |= {"bifpn_widths": [32, 64], "bifpn_depths": [1, 2, 3]}
    config = {**CONFIG, "trials": 2000, "space": choices}
    with Study(tmp_path / "run" / "study.db", {}) as study:
        for number in range(6):
            assert describe(RunFolder(tmp_path / "run")).state is State.RUNNING
            genes = (number % 2, number // 2)
            trial = study.add(Proposal(genes), small.decode(genes), {"latency_ms": 1.0}, asked_after=number)
            study.finish(trial, "failed", error="no")
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    row = describe(RunFolder(tmp_path / "run"))
    assert (row.state, row.done, row.space) == (State.FINISHED, 6, 6)


def test_a_study_is_finished_when_its_networks_are_compared(one, tmp_path: Path) -> None:
    run = RunFolder(write_search(tmp_path / "demo"))
    run.job.write_text("")
    shutil.move(one, run.trained / "base" / "seed_0")
    assert states(tmp_path) == {"demo": State.BROKEN_OFF, "base": State.BROKEN_OFF}  # no summary of the seeds
    write_json(run.comparison, {})
    write_json(RunFolder(run.trained / "base").summary, {})
    assert states(tmp_path) == {"demo": State.FINISHED, "base": State.FINISHED}
    assert [row.kind for row in overview(tmp_path)] == [Kind.STUDY, Kind.TRAINING]
    with exclusive(run.trained / "base" / "seed_0"):
        assert states(tmp_path) == {"demo": State.RUNNING, "base": State.RUNNING}


def test_a_training_is_a_row(one, tmp_path: Path) -> None:
    (row,) = overview(tmp_path)
    metrics = json.loads((one / "checkpoint" / "metrics.json").read_text())
    assert (row.kind, row.state, row.network) == (Kind.TRAINING, State.FINISHED, "small")
    assert (row.done, row.planned, row.unit, row.seeds) == (6, 6, "steps", 1)
    assert row.data.endswith("dataset.yaml")
    for task, values in metrics["tasks"].items():
        assert {name: row.figures[f"{task}.{name}"] for name in values} == values


def test_seeds_are_one_row(two, tmp_path: Path) -> None:
    (row,) = overview(tmp_path)
    summary = json.loads((two / "summary.json").read_text())
    assert (row.state, row.done, row.planned, row.seeds) == (State.FINISHED, 12, 12, 2)
    assert row.figures["segmentation.miou"] == pytest.approx(summary["tasks"]["segmentation"]["miou"]["mean"])
    shutil.rmtree(two / "seed_1" / "checkpoint")
    assert describe(RunFolder(two)).state is State.BROKEN_OFF
    with exclusive(two / "seed_1"):
        assert describe(RunFolder(two)).state is State.RUNNING


def test_a_training_that_is_lengthened_is_not_finished(one) -> None:
    config = one / "config.yaml"
    assert "steps: 6" in config.read_text()
    config.write_text(config.read_text().replace("steps: 6", "steps: 60"))
    row = describe(RunFolder(one))
    assert (row.state, row.done, row.planned) == (State.BROKEN_OFF, 6, 60)
    assert row.figures  # of its former end


def test_a_training_that_has_just_begun_is_a_row(one) -> None:
    for path in one.iterdir():
        if path.name not in ("config.yaml", "log.txt"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    row = describe(RunFolder(one))
    assert (row.state, row.done, row.planned, row.figures) == (State.BROKEN_OFF, 0, 6, {})


def test_what_a_plugin_brings_is_left_out(one) -> None:
    config = yaml.safe_load((one / "config.yaml").read_text())
    config["architecture"] = "a_network_of_my_own"
    (one / "config.yaml").write_text(yaml.safe_dump({**config, "plugins": ["mine.py"]}))
    row = describe(RunFolder(one))
    assert (row.state, row.network) == (State.FINISHED, "")


CONTENTS = [b"", b"\xff\xfe", b"{", b"[]", b"null", b"3", b"[" * 1_500, b"{a: [", b'{"tasks": {"depth": 3}}']


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_damaged_is_a_row(one, tmp_path: Path, content: bytes) -> None:
    write_search(tmp_path / "search")
    write_json(tmp_path / "search" / "best.json", {"reward": 0.2, "accuracy": 0.3, "cost": {"latency_ms": 6.0}})
    for name in ("study.db", "config.yaml", "best.json"):
        (shutil.copytree(tmp_path / "search", tmp_path / f"search {name}") / name).write_bytes(content)
    for name in ("config.yaml", "checkpoint/metrics.json", "best/metrics.json"):
        file = shutil.copytree(one, tmp_path / f"training {Path(name).parent}") / name
        file.write_bytes(content)
    rows = {row.path.name: row for row in overview(tmp_path)}
    assert rows.keys() == {path.name for path in tmp_path.iterdir()}
    sound = [name for name, row in rows.items() if row.state is not State.DAMAGED]
    assert sound == ["one", "search"]
    for name, row in rows.items():
        assert bool(row.problem) is (name not in sound)
        assert "\n" not in row.problem
        assert row.problem == "" or Path(row.problem.partition(":")[0]).is_relative_to(row.path)


def test_links_are_followed_once_and_circles_end(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_search(tmp_path / "elsewhere" / "streets")
    (runs / "deep").mkdir(parents=True)
    (runs / "deep" / "circle").symlink_to(runs)
    (runs / "itself").symlink_to("itself")
    (runs / "linked").symlink_to(tmp_path / "elsewhere")
    (runs / "twice").symlink_to(tmp_path / "elsewhere" / "streets")
    (runs / ".hidden").symlink_to(write_search(tmp_path / "hidden"))
    assert [run.path for run in find_runs(runs)] == [runs / "linked" / "streets"]


def test_a_folder_of_parts_is_no_run(one, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "log.txt").write_text("mine")
    assert [row.path for row in overview(tmp_path)] == [one]
    assert overview(one / "logs") == []
    with pytest.raises(ConfigError, match="no such folder"):
        overview(tmp_path / "log.txt")


def test_the_best_come_first(one, tmp_path: Path) -> None:
    rows = [
        replace(describe(RunFolder(one)), path=Path(name), figures=figures)
        for name, figures in {
            "a": {},
            "b": {"depth.rel_err": 0.3, "depth.mine": 1.0},
            "c": {"depth.rel_err": 0.2, "depth.mine": 2.0},
            "d": {"reward": 0.1, "latency_ms": 3.0},
            "e": {"reward": 0.2, "latency_ms": 4.0},
            "f": {"depth.rel_err": float("nan")},
        }.items()
    ]

    def order(by: str) -> str:
        return "".join(row.path.name for row in sort_rows(rows, by))

    assert order("reward") == "edabcf"
    assert order("latency_ms") == "deabcf"
    assert order("rel_err") == order("depth.rel_err") == "cbadef"
    assert order("mine") == "cbadef"
    assert order("path") == "abcdef"
    with pytest.raises(ConfigError, match="--sort reword: no run has it; did you mean 'reward'"):
        sort_rows(rows, "reword")


def test_csv_has_a_column_for_each_figure(one, tmp_path: Path) -> None:
    write_search(tmp_path / "search")
    rows = overview(tmp_path)
    training, search = csv.DictReader(runs_csv(rows).splitlines())
    assert float(training["depth.rel_err"]) == rows[0].figures["depth.rel_err"]
    assert (training["reward"], search["depth.rel_err"]) == ("", "")
    assert float(search["reward"]) == rows[1].figures["reward"]
    assert (search["path"], search["state"], search["done"]) == (str(tmp_path / "search"), "finished", "19")
