"""Searches whose processes are killed at random moments lose nothing, whatever judges and wherever it does so."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from helpers.killed_searches import EVALUATORS
from helpers.processes import survivors
from helpers.searches import IDENTITY, evolution, facts, make_search, uninterrupted

from ednas.exceptions import StudyError
from ednas.search.controllers import replay
from ednas.search.executors import InlineExecutor
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Trial, TrialState

pytestmark = pytest.mark.slow

PATIENCE_S = 400.0


@pytest.fixture(autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, as workers have: sums depend on their number."""
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass
class KilledSearch:
    """A search in a process of its own.

    Attributes:
        folder: Of the study.
        evaluator: One of ``EVALUATORS``.
        executor: One of ``EXECUTORS``.
        workers: Candidates at a time.
        trials: How many to judge.
    """

    folder: Path
    evaluator: str
    executor: str
    workers: int
    trials: int

    def __post_init__(self) -> None:
        (self.folder / "log").touch()

    def start(self, **options: object) -> subprocess.Popen[str]:
        """Start it, or go on with it; return when Python's imports are done."""
        arguments = [str(self.folder), self.evaluator, self.executor, str(self.workers), str(self.trials)]
        command = [sys.executable, "-c", f"from helpers.killed_searches import main; main(*{arguments})"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
        process.stdout.readline()
        return process

    def begun(self) -> list[tuple[int, str]]:
        """Return the process and the candidate of every evaluation that was begun."""
        lines = [line.split() for line in (self.folder / "log").read_text().splitlines()]
        return [(int(line[0]), line[1]) for line in lines]

    def wait_for(self, evaluations: int, process: subprocess.Popen[str]) -> None:
        """Wait until so many evaluations were begun in all, or the process has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.begun()) < evaluations and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)

    def stored(self) -> list[Trial]:
        """Return the trials, none if the process was killed before there was a study."""
        try:
            with StudyReader(self.folder / "study.db") as reader:
                return reader.trials()
        except StudyError as error:
            if "no such study" in str(error) or "not a study" in str(error):
                return []
            raise

    def run(self, kills: int, rng: random.Random) -> list[Trial]:
        """Run it in processes that are killed at random moments, and their workers, then to its end; return its trials.

        No candidate's worker is killed twice in one process: that would be the candidate's failure.
        """
        finished_before: set[tuple[object, ...]] = set()
        for kill in range(kills):
            process = self.start(stderr=subprocess.DEVNULL)
            # The first of several early, while the study is being made; the others after some more evaluations.
            early = kills > 1 and kill == 0
            self.wait_for(len(self.begun()) + (0 if early else 1 + rng.randrange(self.trials // kills)), process)
            if self.executor != "inline" and not early:
                with suppress(ProcessLookupError):
                    os.kill(self.begun()[-1][0], signal.SIGKILL)
                self.wait_for(len(self.begun()) + rng.randrange(2), process)
            time.sleep(rng.uniform(0, 0.3 if early else 0.05))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode in (-signal.SIGKILL, 0)
            finished = {*facts([trial for trial in self.stored() if trial.done_order is not None])}
            assert finished_before <= finished
            finished_before = finished
        process = self.start()
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        assert finished_before <= {*facts(self.stored())}
        return self.stored()


def need(executor: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let searches through Ray find the one of these tests."""
    if executor == "ray":
        monkeypatch.setenv("RAY_ADDRESS", request.getfixturevalue("ray"))


@pytest.mark.parametrize("executor", ["inline", "process", "ray"])
@pytest.mark.parametrize(("evaluator", "trials", "kills"), [("fake", 40, 4), ("proxy", 3, 1)])
def test_one_worker_gives_the_same_search_as_without_any_kill(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    evaluator: str,
    executor: str,
    trials: int,
    kills: int,
) -> None:
    need(executor, request, monkeypatch)
    search = KilledSearch(tmp_path, evaluator, executor, 1, trials)
    found = search.run(kills, random.Random(f"{evaluator} {executor}"))
    undisturbed = InlineExecutor(EVALUATORS[evaluator]())
    whole = uninterrupted(tmp_path / "whole.db", trials, executor=undisturbed, prune_factor=1.2)
    assert facts(found) == facts(whole)
    # At most one evaluation was lost with each kill, of the search or of a worker.
    evaluated = sum(trial.state is not TrialState.PRUNED for trial in whole)
    assert evaluated <= len(search.begun()) <= evaluated + 2 * kills


@pytest.mark.parametrize("executor", ["process", "ray"])
def test_many_workers_lose_nothing_and_every_proposal_follows_from_the_store(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    need(executor, request, monkeypatch)
    trials = KilledSearch(tmp_path, "fake", executor, 3, 40).run(3, random.Random(2))
    assert sum(trial.state is not TrialState.PRUNED for trial in trials) == 40
    assert all(trial.state is not TrialState.RUNNING for trial in trials)
    assert not any("SIGKILL" in trial.error for trial in trials)
    replay(evolution(), trials)


@pytest.mark.parametrize("executor", ["process", "ray"])
def test_ctrl_c_ends_workers_and_leaves_a_resumable_study(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    need(executor, request, monkeypatch)
    search = KilledSearch(tmp_path, "slow", executor, 2, 8)
    process = search.start(
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell starts jobs in the background with Ctrl-C ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    search.wait_for(2, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert "KeyboardInterrupt" in errors.splitlines()[-1]
    assert survivors({worker for worker, _ in search.begun()}) == []
    running = search.stored()
    assert [trial.state for trial in running if trial.state is not TrialState.PRUNED] == [TrialState.RUNNING] * 2
    with Study(tmp_path / "study.db", IDENTITY, resume=True) as study:
        make_search(study, trials=8, prune_factor=1.2).run()
        assert [trial.genes for trial in study.trials()][: len(running)] == [trial.genes for trial in running]
        replay(evolution(), study.trials())
