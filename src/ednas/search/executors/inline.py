"""Evaluation in the process that searches."""

from __future__ import annotations

from collections import deque

from ednas.closing import Closing
from ednas.search.evaluators.base import Evaluator
from ednas.search.executors.base import Job, Outcome, run_job


class InlineExecutor(Closing):
    """Evaluates in this process, one job at a time: for debugging and for evaluators that take no time.

    Args:
        evaluator: The evaluator.
    """

    workers = 1

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Take a job in hand."""
        self._jobs.append(job)

    def wait(self) -> Outcome:
        """Do the job."""
        return run_job(self._evaluator, self._jobs.popleft())

    def close(self) -> None:
        """Drop what was not begun."""
        self._jobs.clear()
