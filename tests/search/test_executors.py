"""One conformance suite for all executors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.searches import Environment, FakeEvaluator, Misbehaving, fake_metrics

from ednas.arch import load_architecture
from ednas.search.evaluators.base import Evaluation, Evaluator
from ednas.search.executors import Executor, InlineExecutor, Job, ProcessExecutor, RayExecutor

BASE = load_architecture("base")

Make = Callable[[Evaluator], Executor]


@pytest.fixture(params=["inline", "process", pytest.param("ray", marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "ray":
        request.getfixturevalue("ray")
    return {"inline": InlineExecutor, "process": ProcessExecutor, "ray": RayExecutor}[request.param]


def job(number: int = 0, name: str = "base") -> Job:
    return Job(number, load_architecture(name).to_text(), seed=3)


def test_an_evaluation_comes_back(make: Make) -> None:
    with make(FakeEvaluator()) as executor:
        executor.submit(job(4))
        outcome = executor.wait()
    assert (outcome.number, outcome.error) == (4, "")
    assert outcome.evaluation == Evaluation(fake_metrics(BASE))
    assert 0 <= outcome.seconds < 60


def test_the_evaluator_gets_architecture_and_seed(make: Make, tmp_path: Path) -> None:
    with make(FakeEvaluator(log=tmp_path / "log")) as executor:
        for number, name in enumerate(["base", "nas_depth"]):
            executor.submit(job(number, name))
            executor.wait()
    fingerprints = [load_architecture(name).fingerprint() for name in ("base", "nas_depth")]
    assert (tmp_path / "log").read_text().splitlines() == [f"{fingerprint} 3" for fingerprint in fingerprints]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("raise", "ValueError: no good"),
        ("memory", "out of memory"),
        ("nonsense", "ValueError: could not convert string to float: 'many'"),
    ],
)
def test_an_exception_is_an_outcome_of_one_line(make: Make, mode: str, message: str) -> None:
    with make(Misbehaving(mode)) as executor:
        executor.submit(job())
        outcome = executor.wait()
    assert outcome.evaluation is None
    assert (outcome.error, outcome.fault) == (message, "candidate")
    assert "Traceback" in outcome.details


@pytest.mark.parametrize("mode", ["data", "disk", "write"])
def test_what_is_no_fault_of_the_candidate_is_told_apart(make: Make, mode: str) -> None:
    with make(Misbehaving(mode)) as executor:
        executor.submit(job())
        assert executor.wait().fault == "environment"


def test_closing_twice_is_fine(make: Make) -> None:
    executor = make(FakeEvaluator())
    executor.submit(job())
    executor.close()
    executor.close()


def test_every_job_comes_back_once(make: Make) -> None:
    with make(FakeEvaluator()) as executor:
        numbers = range(min(3, executor.workers))
        for number in reversed(numbers):
            executor.submit(job(number))
        assert sorted(executor.wait().number for _ in numbers) == list(numbers)


def test_after_its_end_it_can_be_used_again(make: Make) -> None:
    executor = make(FakeEvaluator())
    for number in range(2):
        with executor:
            executor.submit(job(number))
            assert executor.wait().number == number


def test_memory_of_one_job_is_not_that_of_the_next(make: Make) -> None:
    """Where jobs have processes, each has one of its own, with the threads that were asked for."""
    with make(Environment()) as executor:
        facts = []
        for number in range(2):
            executor.submit(job(number))
            evaluation = executor.wait().evaluation
            assert evaluation is not None
            facts.append(evaluation.tasks["process"])
    if not isinstance(executor, InlineExecutor):
        assert facts[0]["pid"] != facts[1]["pid"]
        assert facts[0]["threads"] == facts[1]["threads"] == 1
