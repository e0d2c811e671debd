"""A job whose worker was killed, or whose machine was at fault, is done once more: for every executor, here alone."""

from __future__ import annotations

import logging
from collections import Counter

from ednas.closing import Closing
from ednas.search.executors.base import Executor, Job, Outcome

KILLED, ELSEWHERE = 1, 3
"""How often a job is given to the executor again: after its worker was killed on the same machine, and after a fault of
one machine among several."""

_log = logging.getLogger(__name__)


class Attempts(Closing):
    """An executor that does not take the first death of a worker for an answer.

    Whoever waits sees an outcome of fault ``killed`` or ``environment`` only when no further attempt is worth it.

    Args:
        executor: Does the work; it is closed with this one.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._jobs: dict[int, Job] = {}
        self._repeats: Counter[int] = Counter()

    @property
    def workers(self) -> int:
        """How many jobs may be in hand at a time."""
        return self._executor.workers

    def submit(self, job: Job) -> None:
        """Take a job in hand."""
        self._jobs[job.number] = job
        self._executor.submit(job)

    def wait(self) -> Outcome:
        """Wait for a job in hand to end for good."""
        while True:
            outcome = self._executor.wait()
            if self._repeats[outcome.number] >= _worthwhile(outcome):
                del self._jobs[outcome.number], self._repeats[outcome.number]
                return outcome
            self._repeats[outcome.number] += 1
            _log.warning("trial %d: %s; it is evaluated once more", outcome.number, outcome.error)
            self._executor.submit(self._jobs[outcome.number])

    def close(self) -> None:
        """End what still runs."""
        self._executor.close()


def _worthwhile(outcome: Outcome) -> int:
    """Return how many repeats an outcome deserves."""
    if outcome.elsewhere:
        return ELSEWHERE
    return KILLED if outcome.fault == "killed" else 0
