"""What only the executor of this process does; what all executors do is in ``search/test_executors.py``."""

from __future__ import annotations

import os

from helpers.searches import BASE_TEXT, Environment, FakeEvaluator

from ednas.search.executors import InlineExecutor, Job


def test_jobs_are_done_here_and_in_order() -> None:
    executor = InlineExecutor(Environment())
    for number in (3, 1):
        executor.submit(Job(number, BASE_TEXT, 0))
    outcomes = [executor.wait() for _ in range(2)]
    assert [outcome.number for outcome in outcomes] == [3, 1]
    assert all(outcome.evaluation.tasks["process"]["pid"] == os.getpid() for outcome in outcomes if outcome.evaluation)


def test_an_evaluator_that_cannot_travel_need_not() -> None:
    class Local(FakeEvaluator):
        pass

    executor = InlineExecutor(Local())
    executor.submit(Job(0, BASE_TEXT, 0))
    assert executor.wait().error == ""
