"""Searches whose processes are killed at random moments lose nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.searches import (
    IDENTITY,
    FakeEvaluator,
    evolution,
    facts,
    make_search,
    uninterrupted,
)

from ednas.exceptions import StudyError
from ednas.search.controllers import replay
from ednas.search.executors import InlineExecutor
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Trial, TrialState

SCRIPT = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from helpers.searches import FakeEvaluator, make_search
from ednas.search.executors import InlineExecutor, ProcessExecutor
from ednas.search.study import Study

if __name__ == "__main__":
    path, workers, trials = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    evaluator = FakeEvaluator(modes={{2: "raise"}}, delay_s=0.01, log=path.with_suffix(".log"))
    executor = ProcessExecutor(evaluator, workers=workers) if workers else InlineExecutor(evaluator)
    print("begun", flush=True)
    with Study(path, {{"seed": 7}}, resume=True) as study:
        make_search(study, trials=trials, executor=executor, prune_factor=1.2).run()
"""


def stored(path: Path) -> list[Trial]:
    """Read the trials, none if the process was killed before there was a study."""
    try:
        with StudyReader(path) as reader:
            return reader.trials()
    except StudyError as error:
        if "no such study" in str(error) or "not a study" in str(error):
            return []
        raise


def run_with_kills(folder: Path, workers: int, trials: int, kills: int, rng: random.Random) -> list[Trial]:
    """Run a search in processes that are killed at random moments, then to its end; return its trials."""
    script, log = folder / "script.py", folder / "study.log"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])))
    command = [sys.executable, str(script), str(folder / "study.db"), str(workers), str(trials)]
    log.touch()
    finished_before: set[tuple[object, ...]] = set()
    for kill in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        # The first one early, while the study is being made; the others after some more evaluations.
        enough = 0 if kill == 0 else log.stat().st_size + rng.randrange(15 * trials // kills)
        while log.stat().st_size < enough and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.3 if kill == 0 else 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        finished = {*facts([t for t in stored(folder / "study.db") if t.done_order is not None])}
        assert finished_before <= finished
        finished_before = finished
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert finished_before <= {*facts(stored(folder / "study.db"))}
    return stored(folder / "study.db")


@pytest.mark.slow
class TestKill:
    def test_one_worker_gives_the_same_search_as_without_any_kill(self, tmp_path: Path) -> None:
        kills = 8
        trials = run_with_kills(tmp_path, workers=0, trials=60, kills=kills, rng=random.Random(1))
        evaluator = FakeEvaluator(modes={2: "raise"})
        whole = uninterrupted(tmp_path / "whole.db", 60, executor=InlineExecutor(evaluator), prune_factor=1.2)
        assert facts(trials) == facts(whole)
        # At most one evaluation was lost with each kill.
        evaluated = sum(trial.state is not TrialState.PRUNED for trial in whole)
        assert evaluated <= len((tmp_path / "study.log").read_text().splitlines()) <= evaluated + kills

    def test_many_workers_lose_nothing_and_every_proposal_follows_from_the_store(self, tmp_path: Path) -> None:
        trials = run_with_kills(tmp_path, workers=3, trials=40, kills=4, rng=random.Random(2))
        assert sum(trial.state is not TrialState.PRUNED for trial in trials) == 40
        assert all(trial.state is not TrialState.RUNNING for trial in trials)
        replay(evolution(), trials)

    def test_ctrl_c_on_the_command_ends_workers_and_leaves_a_resumable_study(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])).replace("0.01", "30.0"))
        command = [sys.executable, str(script), str(tmp_path / "study.db"), "2", "8"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell starts jobs in the background with Ctrl-C ignored, which children inherit.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        deadline = time.monotonic() + 60
        running: list[Trial] = []
        while len(running) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            running = [t for t in stored(tmp_path / "study.db") if t.state is TrialState.RUNNING]
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert "KeyboardInterrupt" in errors.splitlines()[-1]
        with Study(tmp_path / "study.db", IDENTITY, resume=True) as study:
            assert study.trials(TrialState.RUNNING) == running
            make_search(study, trials=8, prune_factor=1.2).run()
            replay(evolution(), study.trials())
