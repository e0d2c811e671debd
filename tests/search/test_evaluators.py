"""What every evaluator does, found by its name: one suite."""

from __future__ import annotations

import importlib
import math
import multiprocessing
import pickle
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.small_searches import small_search
from helpers.small_training import small_architecture

from ednas.exceptions import ConfigError, StudyError
from ednas.search import SearchConfig, run_search
from ednas.search.bank import Bank
from ednas.search.evaluators.proxy import MODULES
from ednas.search.evaluators.setting import EvaluatorConfig, evaluator_names
from ednas.search.study import StudyReader

SUPERNET = {"steps": 2, "at_once": 2, "networks": 4, "calibration": 4}
OPTIONS: dict[str, dict[str, Any]] = {
    "proxy": {},
    "zero_cost": {},
    "supernet": SUPERNET,
    "predictor": {"anchors": 8, "pool": 4},
    "stack": {"anchors": 10, "pool": 4, "supernet": SUPERNET},
}
RUNGS = {
    "reward": {"by": "training_loss"},
    "recipe": {"name": "mini", "steps": 8, "batch_size": 2, "input_size": [32, 64]},
    "evaluator": {"name": "proxy", "options": {"rungs": 3, "eta": 2}},
}
CASES: dict[str, dict[str, Any]] = {
    **{name: {"evaluator": {"name": name, "options": options}} for name, options in OPTIONS.items()},
    "rungs": RUNGS,
}
LEARNED = ("predictor", "stack")


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


def search(name: str, **changes: Any):
    small = small_architecture().to_dict()
    return small_search(
        **{**CASES[name], "architecture": small, "prune_factor": None, "target_latency_ms": "none", **changes}
    )


def trials(folder: Path) -> list[tuple[Any, ...]]:
    with StudyReader(folder / "study.db") as study:
        return [(trial.genes, trial.state, trial.metrics, trial.accuracy, trial.reward) for trial in study.trials()]


def test_all_have_options_here():
    assert set(evaluator_names()) == set(OPTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_search_ends_with_a_best_and_another_with_the_same(name, tmp_path):
    results = [run_search(search(name, finalists=1), tmp_path / str(number)) for number in range(2)]
    assert results[0].best.genes == results[1].best.genes
    assert trials(tmp_path / "0") == trials(tmp_path / "1")
    assert all(math.isfinite(reward) for *_, reward in trials(tmp_path / "0"))
    assert results[0].judged_twice
    pickle.dumps(EvaluatorConfig(**CASES[name]["evaluator"]))
    if name in LEARNED:
        assert len(Bank(tmp_path / "0" / "bank.jsonl").anchors()) >= OPTIONS[name]["anchors"]


@pytest.mark.slow
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="a process that has all imported")
@pytest.mark.parametrize("name", CASES)
def test_a_search_that_was_killed_goes_on_as_if_it_was_not(name, tmp_path):
    """SIGKILL, at random moments of the preparation, the search and the final judgements."""
    config = search(name, trials=3, finalists=1)
    started = time.monotonic()
    assert run_in_child(config, tmp_path / "whole") == 0
    seconds = time.monotonic() - started
    rng, killed = random.Random(name), 0
    for _ in range(3):
        killed += run_in_child(config, tmp_path / "killed", rng.uniform(0.1, 0.6) * seconds) == -signal.SIGKILL
    assert killed >= 1
    assert run_in_child(config, tmp_path / "killed") == 0
    assert trials(tmp_path / "killed") == trials(tmp_path / "whole")
    with StudyReader(tmp_path / "killed" / "study.db") as one, StudyReader(tmp_path / "whole" / "study.db") as other:
        assert one.judgements() == other.judgements()


def run_in_child(config: SearchConfig, folder: Path, kill_after_s: float | None = None) -> int | None:
    """Begin a search in a process of its own, or go on with it; return the process's exit code."""
    for module in MODULES:  # once, and not in every process
        importlib.import_module(module)
    process = multiprocessing.get_context("fork").Process(
        target=run_search, args=(config, folder), kwargs={"resume": True}
    )
    process.start()
    process.join(kill_after_s)
    if process.is_alive() and kill_after_s is not None:
        process.kill()
        process.join()
    return process.exitcode


@pytest.mark.slow
def test_a_bank_is_shared_by_searches(tmp_path):
    bank = tmp_path / "bank.jsonl"
    run_search(search("predictor", bank=str(bank)), tmp_path / "first")
    count = len(Bank(bank).anchors())
    lines = bank.read_text()
    run_search(search("predictor", bank=str(bank), trials=2), tmp_path / "second")
    assert bank.read_text().startswith(lines)
    assert len(Bank(bank).anchors()) - count <= 4  # finalists
    run_search(search("proxy", bank=str(bank), trials=2), tmp_path / "third")
    before = bank.stat().st_mtime_ns
    run_search(search("proxy", bank=str(bank), trials=2), tmp_path / "fourth")
    assert bank.stat().st_mtime_ns == before
    bank.write_text("no bank\n")
    with pytest.raises(StudyError, match=r"bank.jsonl, line 1"):
        run_search(search("proxy", bank=str(bank), trials=2), tmp_path / "fifth")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "supernett"}, "unknown evaluator 'supernett'; did you mean 'supernet'"),
        ({"name": "stack", "options": {"anchor": 9}}, "did you mean 'anchors'"),
        ({"name": "stack", "options": {"anchors": 2}}, "anchors"),
        ({"name": "supernet", "options": {"steps": 0}}, "steps"),
    ],
)
def test_a_wrong_evaluator_is_one_line(config, message):
    with pytest.raises(ConfigError, match=message):
        EvaluatorConfig(**config).complete()


@pytest.mark.slow
def test_another_evaluator_does_not_go_on_with_a_search(tmp_path):
    run_search(search("proxy", trials=2), tmp_path)
    with pytest.raises(StudyError, match="evaluator"):
        run_search(search("zero_cost", trials=3), tmp_path, resume=True)
