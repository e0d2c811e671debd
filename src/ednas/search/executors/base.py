"""What executors have in common: a job, what comes of it, and how an evaluator gets to where it is needed."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Protocol, Self

from ednas.arch import Architecture
from ednas.exceptions import ConfigError, DataError, EdnasError
from ednas.search.evaluators.base import Evaluation, Evaluator


@dataclass(frozen=True)
class Job:
    """One evaluation to do.

    Attributes:
        number: The trial's number.
        architecture: Text form.
        seed: For the evaluator.
    """

    number: int
    architecture: str
    seed: int


Fault = Literal["candidate", "environment", "killed"]
"""Whose an error is: the candidate's, which diverges or takes too much memory; the environment's, data or disk that no
other candidate would find in order either; or that of whoever killed the worker, for example the system, when all
programs together took too much memory, or the end of the machine that it ran on."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job: an evaluation, or an error.

    Attributes:
        number: The trial's number.
        evaluation: The evaluator's result; None if there is none.
        error: Why there is none, one line.
        details: The error's traceback, for the log.
        fault: Whose the error is.
        elsewhere: Whether the error is one machine's, and another one may do the job.
        seconds: How long it took.
    """

    number: int
    evaluation: Evaluation | None = None
    error: str = ""
    details: str = ""
    fault: Fault = "candidate"
    elsewhere: bool = False
    seconds: float = 0.0


class Executor(Protocol):
    """Runs jobs; used as a context manager, which ends what still runs when it is left."""

    @property
    def workers(self) -> int:
        """How many jobs may be in hand at a time."""
        ...

    def submit(self, job: Job) -> None:
        """Take a job in hand; never more than ``workers``."""
        ...

    def wait(self) -> Outcome:
        """Wait for a job in hand to end; of several that ended, the one with the lowest number comes first."""
        ...

    def close(self) -> None:
        """End what still runs."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Packed:
    """An evaluator on its way to another process, which may not be able to load it.

    Attributes:
        content: The evaluator, pickled.
    """

    content: bytes

    @classmethod
    def of(cls, evaluator: Evaluator | Packed) -> Packed:
        """Pack an evaluator; what is packed stays as it is.

        Raises:
            ConfigError: It cannot be pickled.
        """
        if isinstance(evaluator, Packed):
            return evaluator
        try:
            return cls(pickle.dumps(evaluator))
        except Exception as error:
            raise ConfigError(f"executor: the evaluator cannot be sent to a worker process ({error})") from error

    def run(self, job: Job) -> Outcome:
        """Unpack the evaluator and do a job; an evaluator that cannot be loaded here is an outcome, too."""
        try:
            evaluator: Evaluator = pickle.loads(self.content)
        except Exception as error:
            return Outcome(
                job.number,
                error=f"the evaluator cannot be loaded in a worker process ({one_line(error)}): define its class in a "
                "module that can be imported, or search with 'executor: inline'",
                details=traceback.format_exc(),
                fault="environment",
            )
        return run_job(evaluator, job)


def run_job(evaluator: Evaluator, job: Job) -> Outcome:
    """Evaluate a job's architecture; an exception of the evaluator becomes the outcome's error."""
    started, spent = time.monotonic(), time.process_time()
    try:
        evaluation = evaluator.evaluate(Architecture.from_text(job.architecture), job.seed)
        evaluation = replace(
            evaluation, tasks=_as_floats(evaluation.tasks), higher_is_better=dict(evaluation.higher_is_better)
        )
    except Exception as error:
        return Outcome(
            job.number,
            error=one_line(error),
            details=traceback.format_exc(),
            fault="environment" if is_environments(error) else "candidate",
            seconds=time.monotonic() - started,
        )
    evaluation = replace(evaluation, cpu_seconds=time.process_time() - spent)
    return Outcome(job.number, evaluation, seconds=time.monotonic() - started)


def is_environments(error: Exception) -> bool:
    """Whether an error is of data or disk: what is written or read fails as EdnasError itself."""
    return isinstance(error, DataError | OSError) or type(error) is EdnasError


def one_line(error: Exception) -> str:
    """Return an error's message in one line, with its kind where it is not one of this package."""
    message = " ".join(str(error).split())[:500]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory{f': {message}' if message else ''}"
    if isinstance(error, EdnasError):
        return message
    return f"{type(error).__name__}{f': {message}' if message else ''}"


def _as_floats(tasks: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {
        str(task): {str(metric): float(value) for metric, value in metrics.items()} for task, metrics in tasks.items()
    }
