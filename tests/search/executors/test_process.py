"""What only a process of one's own survives; what all executors do is in ``search/test_executors.py``."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from helpers.processes import is_alive, survivors
from helpers.searches import Environment, FakeEvaluator, Meeting, Misbehaving

from ednas.arch import load_architecture
from ednas.exceptions import ConfigError
from ednas.search.executors import Job, ProcessExecutor

BASE = load_architecture("base")
START_METHODS = [method for method in multiprocessing.get_all_start_methods() if method != "fork"]


def job(number: int = 0, name: str = "base") -> Job:
    return Job(number, load_architecture(name).to_text(), seed=3)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("kill", "the worker process was killed by SIGKILL; out of memory?"),
        ("segfault", "the worker process was killed by SIGSEGV"),
        ("exit", "the worker process ended with code 3 without a result; see its own message"),
    ],
)
def test_a_death_is_the_failure_of_one_job_only(mode: str, message: str) -> None:
    """The networks' fused blocks decide what happens: 0 in ``base``, 14 in ``ednas_cityscapes``."""
    with ProcessExecutor(FakeEvaluator(modes={14 % 8: mode}, delay_s=0.1), workers=3) as executor:
        for number, name in enumerate(["base", "ednas_cityscapes", "base"]):
            executor.submit(job(number, name))
        outcomes = sorted((executor.wait() for _ in range(3)), key=lambda outcome: outcome.number)
    assert [outcome.error for outcome in outcomes] == ["", message, ""]
    assert outcomes[1].fault == ("killed" if mode == "kill" else "candidate")


def test_a_job_that_takes_too_long_fails() -> None:
    with ProcessExecutor(Misbehaving("hang"), timeout_s=1.0) as executor:
        executor.submit(job())
        started = time.monotonic()
        outcome = executor.wait()
    assert outcome.error == "took longer than 1 s"
    assert time.monotonic() - started < 300  # it would hang for 600 s


def test_every_job_has_a_process_of_its_own_with_its_threads() -> None:
    with ProcessExecutor(Environment(), workers=2, threads=3) as executor:
        executor.submit(job(0))
        executor.submit(job(1))
        evaluations = [executor.wait().evaluation for _ in range(2)]
    facts = [evaluation.tasks["process"] for evaluation in evaluations if evaluation is not None]
    assert len({fact["pid"] for fact in facts} | {os.getpid()}) == 3
    assert [fact["threads"] for fact in facts] == [3, 3]


def test_jobs_run_at_the_same_time(tmp_path: Path) -> None:
    with ProcessExecutor(Meeting(tmp_path, 4), workers=4) as executor:
        for number in range(4):
            executor.submit(job(number))
        outcomes = [executor.wait() for _ in range(4)]
    assert sorted((outcome.number, outcome.error) for outcome in outcomes) == [(n, "") for n in range(4)]


def test_leaving_ends_what_still_runs() -> None:
    with ProcessExecutor(Misbehaving("hang"), workers=2) as executor:
        executor.submit(job(0))
        executor.submit(job(1))
        processes = [worker.process for worker in executor._running.values()]
        identifiers = [process.pid for process in processes]
    assert not any(is_alive(identifier) for identifier in identifiers)


@pytest.mark.slow
@pytest.mark.parametrize("method", START_METHODS)
def test_start_methods(method: str) -> None:
    with ProcessExecutor(FakeEvaluator(), start_method=method) as executor:
        executor.submit(job())
        assert executor.wait().error == ""


@pytest.mark.parametrize("options", [{"workers": 0}, {"threads": 0}, {"timeout_s": 0.0}, {"start_method": "fork"}])
def test_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="executor"):
        ProcessExecutor(FakeEvaluator(), **options)  # type: ignore[arg-type]


def test_an_evaluator_that_cannot_travel() -> None:
    class Local(FakeEvaluator):
        pass

    with pytest.raises(ConfigError, match="cannot be sent to a worker process"):
        ProcessExecutor(Local())


def test_an_evaluator_that_a_new_process_cannot_import(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("of_a_notebook")
    own = type("Own", (FakeEvaluator,), {"__module__": module.__name__})
    monkeypatch.setattr(module, "Own", own, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with ProcessExecutor(own()) as executor:
        executor.submit(job())
        outcome = executor.wait()
    assert "cannot be loaded in a worker process (ModuleNotFoundError: No module named 'of_a_notebook')" in (
        outcome.error
    )
    assert outcome.fault == "environment"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_coordinator_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parents[2])]!r}\n"
        "from helpers.searches import Misbehaving, BASE_TEXT\n"
        "from ednas.search.executors import Job, ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    executor = ProcessExecutor(Misbehaving('hang'))\n"
        "    executor.submit(Job(0, BASE_TEXT, 0))\n"
        "    print(executor._running[0].process.pid, flush=True)\n"
        "    executor.wait()\n"
    )
    coordinator = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert coordinator.stdout is not None
    worker = int(coordinator.stdout.readline())
    time.sleep(1.0)
    assert is_alive(worker)
    coordinator.send_signal(signal.SIGKILL)
    coordinator.wait()
    coordinator.stdout.close()
    assert survivors([worker]) == []
