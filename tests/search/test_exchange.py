"""Trials for other programs: each form is read by the program that it is for, and compared with the store."""

from __future__ import annotations

import csv
import math
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.searches import make_trial, space

from ednas.exceptions import ConfigError, EdnasError, StudyError
from ednas.search import results
from ednas.search.controllers.base import Proposal
from ednas.search.exchange import FORMS, default_file, export_study
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Trial, TrialState

SMALL = space(small=True)
CONFIG: dict[str, Any] = {
    "training": {"data": "streets", "tasks": ["depth"]},
    "space": {
        "kinds": ["ibn"],
        "kernel_sizes": [3],
        "multipliers": [1.0],
        "expand_ratios": [6],
        "bifpn_widths": [32, 64],
        "bifpn_depths": [1, 2, 3],
    },
}
IDENTITY = {"data": "streets", "target": "coral_usb", "seed": 7, "space fingerprint": SMALL.fingerprint()}
TRIALS = (
    {"accuracy": 0.5, "reward": 0.48, "cost": {"latency_ms": 4.0, "macs": 7.0}},
    {"accuracy": 0.4, "reward": 0.4, "cost": {"latency_ms": 2.0, "macs": 5.0}, "metrics": {"depth": {"rel_err": 0.25}}},
    {"state": TrialState.FAILED, "error": "NaN", "metrics": {"depth": {"rel_err": math.nan}}, "seconds": 3.0},
    {"state": TrialState.PRUNED, "error": "too slow", "cost": {"latency_ms": 90.0}},
    {"accuracy": 0.3, "reward": 0.45, "cost": {"latency_ms": 3.0, "macs": 6.0}, "seconds": 8.5},
    {"state": TrialState.RUNNING},
)


def write_search(folder: Path, config: dict[str, Any] | None = CONFIG, **identity: object) -> list[Trial]:
    """A search with a trial of each state, over two decisions: six networks."""
    folder.mkdir()
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with Study(folder / "study.db", IDENTITY | identity) as study:
        for number, values in enumerate(TRIALS):
            given = make_trial(number, **values)
            genes = (number % 2, number // 2)
            begun = TrialState.PRUNED if given.state is TrialState.PRUNED else TrialState.RUNNING
            proposal = Proposal(genes, parent=0 if number == 4 else None)
            trial = study.add(proposal, SMALL.decode(genes), given.cost, asked_after=0, state=begun, error=given.error)
            if given.state in (TrialState.DONE, TrialState.FAILED):
                is_done = given.state is TrialState.DONE
                study.finish(
                    trial,
                    given.state,
                    metrics=given.metrics,
                    accuracy=given.accuracy if is_done else None,
                    reward=given.reward if is_done else None,
                    error=given.error,
                    seconds=given.seconds,
                )
        return study.trials()


def test_csv_holds_every_value(tmp_path: Path) -> None:
    trials = write_search(tmp_path / "run")
    file = export_study(tmp_path / "run", "csv")
    assert file == tmp_path / "run" / "trials.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [int(row["number"]) for row in rows] == [trial.number for trial in trials]
    assert [row["state"] for row in rows] == [str(trial.state) for trial in trials]
    assert [tuple(map(int, row["genes"].split())) for row in rows] == [trial.genes for trial in trials]
    assert [row["reward"] and float(row["reward"]) for row in rows] == [trial.reward or "" for trial in trials]
    assert [float(row["cost.latency_ms"]) for row in rows] == [trial.latency_ms for trial in trials]
    assert [row["metrics.depth.rel_err"] for row in rows] == ["", "0.25", "nan", "", "", ""]
    assert (rows[4]["parent"], rows[4]["seconds"], rows[3]["error"]) == ("0", "8.5", "too slow")


def test_parquet_has_the_same_types_in_every_search(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason='needs pyarrow: pip install "ednas[parquet]"')
    write_search(tmp_path / "run")
    with Study(tmp_path / "other" / "study.db", {}) as study:
        study.add(Proposal((0, 0)), SMALL.decode((0, 0)), {"latency_ms": 1.0, "macs": 2.0}, asked_after=0)
    table = parquet.read_table(export_study(tmp_path / "run", "parquet", tmp_path / "a.parquet"))
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        for row, expected in zip(table.to_pylist(), reader.rows(), strict=True):
            assert row == pytest.approx(expected, nan_ok=True)
    other = parquet.read_table(export_study(tmp_path / "other", "parquet", tmp_path / "b.parquet"))
    types = {field.name: str(field.type) for field in table.schema}
    assert {field.name: types[field.name] for field in other.schema} == {f.name: str(f.type) for f in other.schema}
    assert (types["number"], types["parent"], types["reward"]) == ("int64", "int64", "double")
    assert (types["state"], types["genes"]) == ("string", "string")


def test_optuna_loads_what_was_stored(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason='needs Optuna: pip install "ednas[optuna]"')
    trials = write_search(tmp_path / "run")
    progress: list[tuple[int, int]] = []
    file = export_study(tmp_path / "run", "optuna", progress=lambda *done: progress.append(done))
    assert progress == [(number, 6) for number in range(1, 7)]
    study = optuna.load_study(study_name="run", storage=f"sqlite:///{file}")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.best_trial.number == results.best(trials, {}).number == 0
    assert study.user_attrs == {"data": "streets", "target": "coral_usb", "objectives": ["reward"]}
    states = ["COMPLETE", "COMPLETE", "FAIL", "PRUNED", "COMPLETE", "RUNNING"]
    assert [trial.state.name for trial in study.trials] == states
    for loaded, trial in zip(study.trials, trials, strict=True):
        assert loaded.number == trial.number
        assert loaded.values == (None if trial.reward is None else [trial.reward])
        chosen = SMALL.decode(trial.genes)
        assert loaded.params == {"bifpn_width": chosen.bifpn_width, "bifpn_depth": chosen.bifpn_depth}
        assert {name: distribution.choices for name, distribution in loaded.distributions.items()} == {
            "bifpn_width": (32, 64),
            "bifpn_depth": (1, 2, 3),
        }
        assert loaded.user_attrs["cost.latency_ms"] == trial.latency_ms
        assert loaded.user_attrs["architecture"] == trial.architecture
        if trial.seconds is not None:
            assert loaded.duration.total_seconds() == pytest.approx(trial.seconds)
    assert study.trials[1].user_attrs["metrics.depth.rel_err"] == 0.25
    assert "metrics.depth.rel_err" not in study.trials[2].user_attrs  # NaN is no JSON
    assert study.trials[2].user_attrs["error"] == "NaN"
    assert study.trials[4].user_attrs["parent"] == 0


def test_objectives_that_a_search_names_are_optunas(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason='needs Optuna: pip install "ednas[optuna]"')
    objectives = ("latency_ms", "accuracy")
    trials = write_search(tmp_path / "run", {**CONFIG, "objectives": list(objectives)})
    file = export_study(tmp_path / "run", "optuna", tmp_path / "a {b} %20.db")
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == [file.name]
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(file)})
    study = optuna.load_study(study_name="run", storage=storage)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    front = {trial.number for trial in results.pareto(trials, objectives)}
    assert front == {0, 1}
    assert {trial.number for trial in study.best_trials} == front
    assert study.trials[4].values == [3.0, 0.3]
    assert study.trials[4].user_attrs["reward"] == 0.45


def test_a_study_of_ones_own_program_has_numbered_genes(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason='needs Optuna: pip install "ednas[optuna]"')
    folder = tmp_path / "own"
    with Study(folder / "study.db", {}) as study:
        for genes in ((0, 2), (1, 0)):
            study.add(Proposal(genes), SMALL.decode(genes), {"latency_ms": 1.0}, asked_after=0)
    file = export_study(folder, "optuna")
    loaded = optuna.load_study(study_name="own", storage=f"sqlite:///{file}")
    assert [trial.params for trial in loaded.trials] == [
        {"genes[0]": 0, "genes[1]": 2},
        {"genes[0]": 1, "genes[1]": 0},
    ]


@pytest.mark.parametrize(("form", "package"), [("parquet", "pyarrow"), ("optuna", "optuna")])
def test_a_missing_package_is_named(form: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_search(tmp_path / "run")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf'needs {package}: pip install "ednas\[{form}\]"'):
        export_study(tmp_path / "run", form)
    assert not default_file(tmp_path / "run", form).exists()


def test_what_is_no_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no search"):
        export_study(tmp_path, "csv")
    with Study(tmp_path / "empty" / "study.db", {}):
        pass
    for form in FORMS:
        with pytest.raises(StudyError, match="no trial yet"):
            export_study(tmp_path / "empty", form)
    with pytest.raises(ConfigError, match="did you mean 'csv'"):
        export_study(tmp_path / "empty", "cvs")


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason='needs Optuna: pip install "ednas[optuna]"')
    file = tmp_path / "old.db"
    file.write_text("old")
    write_search(tmp_path / "run", {**CONFIG, "objectives": ["accuracy", "energy_mj"]})
    with pytest.raises(StudyError, match="trial 0 has no energy_mj, which is an objective"):
        export_study(tmp_path / "run", "optuna", file)
    write_search(tmp_path / "other", CONFIG, **{"space fingerprint": "0" * 16})
    with pytest.raises(EdnasError, match="has another space than the search"):
        export_study(tmp_path / "other", "optuna", file)
    assert file.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.db", "other", "run"]
