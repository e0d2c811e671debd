"""Searches with what is a user's own: an evaluator, a backbone, a decoder; and their trials as a table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.own_parts import BACKBONE, DECODER, EXAMPLE, SmallFilters, example, known
from helpers.small_searches import small_search

from ednas.arch import load_architecture
from ednas.exceptions import ConfigError, StudyError
from ednas.hw import counts, load_target, simulate, trace_network
from ednas.nn import parts
from ednas.report.collect import collect
from ednas.search import StudyReader, TrialState, run_search

HEADS = {"segmentation": 19, "depth": 1}

PROCESSES = ("process", "ray")
"""Executors that judge in other processes."""


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)
    with example():
        yield


@pytest.mark.parametrize("executor", ["inline", *(pytest.param(name, marks=pytest.mark.slow) for name in PROCESSES)])
def test_an_evaluator_of_ones_own_judges(tmp_path: Path, request: pytest.FixtureRequest, executor: str) -> None:
    if executor == "ray":
        request.getfixturevalue("ray")
    own = small_search(trials=3, executor=executor, finalists=1)
    result = run_search(own, tmp_path, evaluator=SmallFilters())
    with StudyReader(tmp_path / "study.db") as study:
        trials = study.trials(TrialState.DONE)
    assert len(trials) == 3
    for trial in trials:
        filters = sum(block.filters for block in load_architecture(trial.architecture).blocks)
        assert trial.metrics == {"any": {"filters": filters}}
    assert result.best.accuracy == max(trial.accuracy for trial in trials if trial.accuracy is not None)
    assert not (tmp_path / "trivial.json").exists()
    with pytest.raises(StudyError, match='\'evaluator\' was "SmallFilters", is {"name": "proxy"'):
        run_search(own, tmp_path, resume=True)


def test_weights_belong_to_the_metrics_of_the_evaluator(tmp_path: Path) -> None:
    own = small_search(trials=1, reward={"weights": {"any": {"filters": 2}}})
    with pytest.raises(ConfigError, match="'any.filters' is not measured"):
        run_search(own, tmp_path / "trained")
    best = run_search(own, tmp_path / "own", evaluator=SmallFilters()).best
    assert best.accuracy == pytest.approx(1 / best.metrics["any"]["filters"])


OWN = {
    BACKBONE: {"bifpn_widths": [16, 32], "bifpn_depths": [1, 2]},
    DECODER: {"kinds": ["ibn"], "kernel_sizes": [3], "multipliers": [0.5, 1.0]},
}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", OWN)
def test_the_other_half_of_an_own_part_is_searched(tmp_path: Path, architecture: str) -> None:
    changes = {"architecture": architecture, "space": OWN[architecture], "plugins": [str(EXAMPLE)]}
    own = small_search(trials=3, target_latency_ms=None, **changes)
    result = run_search(own, tmp_path)
    found = load_architecture(tmp_path / "best.json")
    base = load_architecture(architecture)
    assert found.to_text() == result.best.architecture
    assert (found.backbone, found.decoder) == (base.backbone, base.decoder)
    cost = simulate(trace_network(found, HEADS, (32, 64)), load_target("coral_usb"))
    assert result.best.cost["latency_ms"] == cost.latency_ms
    assert (result.best.cost["params"], result.best.cost["macs"]) == counts(found, HEADS, (32, 64))
    with StudyReader(tmp_path / "study.db") as study:
        assert len({trial.architecture for trial in study.trials()}) == 3
    assert collect(tmp_path).best.params == result.best.cost["params"]
    with known():  # as where a report is written: no plugin's code is run
        parts._backbones.clear()
        parts._decoders.clear()
        best = collect(tmp_path).best
    assert (best.params, best.rows) == (result.best.cost["params"], ())
    assert best.cost.latency_ms == cost.latency_ms


def test_trials_are_rows_of_the_same_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_search(small_search(), tmp_path, evaluator=SmallFilters())
    with StudyReader(tmp_path / "study.db") as study:
        rows, trials = study.rows(), study.trials()
        assert len({tuple(row) for row in rows}) == 1
        for row, trial in zip(rows, trials, strict=True):
            assert (row["number"], row["state"], row["reward"]) == (trial.number, str(trial.state), trial.reward)
            assert row["cost.latency_ms"] == trial.latency_ms
            assert row["metrics.any.filters"] == trial.metrics.get("any", {}).get("filters")
            assert all(value is None or isinstance(value, str | int | float) for value in row.values())
        monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: ("table", rows)))
        assert study.trials_dataframe() == ("table", rows)
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ConfigError, match=r"needs pandas; pip install pandas, or use rows\(\)"):
            study.trials_dataframe()
