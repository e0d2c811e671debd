"""Deaths that are not taken for an answer at once, whichever executor they come from."""

from __future__ import annotations

import logging
from collections import deque

import pytest
from helpers.searches import BASE_TEXT, FakeEvaluator

from ednas.search.executors import Attempts, InlineExecutor, Job, Outcome

KILLED = Outcome(0, error="killed by SIGKILL", fault="killed")
LOST = Outcome(0, error="the machine was lost", fault="killed", elsewhere=True)
FULL = Outcome(0, error="its disk is full", fault="environment", elsewhere=True)
FULL_EVERYWHERE = Outcome(0, error="the disk is full", fault="environment")
DIVERGED = Outcome(0, error="diverged")


class Scripted(InlineExecutor):
    """Gives what it was told to, and evaluates when that is at its end."""

    def __init__(self, *outcomes: Outcome) -> None:
        super().__init__(FakeEvaluator())
        self.outcomes = deque(outcomes)
        self.done: list[int] = []

    def wait(self) -> Outcome:
        self.done.append(self._jobs[0].number)
        if not self.outcomes:
            return super().wait()
        self._jobs.popleft()
        return self.outcomes.popleft()


@pytest.mark.parametrize(
    ("outcomes", "jobs", "error"),
    [
        ([KILLED], 2, ""),
        ([KILLED] * 2, 2, KILLED.error),
        ([LOST] * 3, 4, ""),
        ([LOST] * 4, 4, LOST.error),
        ([FULL, LOST, FULL], 4, ""),
        ([FULL] * 4, 4, FULL.error),
        ([FULL, FULL_EVERYWHERE], 2, FULL_EVERYWHERE.error),
        ([LOST, KILLED], 2, KILLED.error),
        ([DIVERGED], 1, DIVERGED.error),
    ],
)
def test_a_job_is_done_again_a_bounded_number_of_times(
    outcomes: list[Outcome], jobs: int, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = Scripted(*outcomes)
    with caplog.at_level(logging.WARNING), Attempts(executor) as attempts:
        attempts.submit(Job(0, BASE_TEXT, 0))
        outcome = attempts.wait()
    assert (executor.done, outcome.error) == ([0] * jobs, error)
    assert len(caplog.records) == jobs - 1
    assert all(record.getMessage().endswith("it is evaluated once more") for record in caplog.records)


def test_every_job_has_its_own_attempts() -> None:
    executor = Scripted(KILLED, Outcome(0, error="diverged"), KILLED)
    with Attempts(executor) as attempts:
        for error in ("diverged", ""):
            attempts.submit(Job(0, BASE_TEXT, 0))
            assert attempts.wait().error == error
    assert executor.done == [0, 0, 0, 0]


def test_it_is_closed_with_what_it_drives() -> None:
    executor = InlineExecutor(FakeEvaluator())
    with Attempts(executor) as attempts:
        attempts.submit(Job(0, BASE_TEXT, 0))
        assert attempts.workers == executor.workers
    assert not executor._jobs
