"""Where candidates are evaluated: in this process, or each in a fresh process of its own.

A process per trial and no pool: when one worker of a pool dies (out of memory, a crash in native code), all that the
pool had in hand is lost. Here a death is the failure of one trial.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Literal, Protocol, Self

from ednas.arch import Architecture
from ednas.closing import Closing
from ednas.exceptions import ConfigError, DataError, EdnasError
from ednas.processes import describe_end
from ednas.search.evaluators.base import Evaluation, Evaluator

_PRELOADED = ("torch", "ednas.search.executors")
"""What every worker needs."""

_EXIT_PATIENCE_S = 5.0


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
programs together took too much memory."""


@dataclass(frozen=True)
class Outcome:
    """What came of a job: an evaluation, or an error.

    Attributes:
        number: The trial's number.
        evaluation: The evaluator's result; None if there is none.
        error: Why there is none, one line.
        details: The error's traceback, for the log.
        fault: Whose the error is.
        seconds: How long it took.
        cpu_seconds: Processor time that its process spent on it.
    """

    number: int
    evaluation: Evaluation | None = None
    error: str = ""
    details: str = ""
    fault: Fault = "candidate"
    seconds: float = 0.0
    cpu_seconds: float = 0.0


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


@dataclass
class _Worker:
    job: Job
    process: BaseProcess
    results: Connection
    started: float


class ProcessExecutor(Closing):
    """Evaluates each job in a fresh process; a worker's death, exception or delay is the failure of one trial.

    Args:
        evaluator: The evaluator; it is pickled, so that its class must be one that a new process can import.
        workers: Jobs at a time.
        threads: Threads that each worker computes with.
        timeout_s: A job that takes longer fails; None = no limit.
        start_method: ``forkserver`` (the default where there is one; workers start in milliseconds) or ``spawn``.
        preload: Modules that the evaluator needs; the server that workers are forked from imports them once for all.

    Raises:
        ConfigError: A number is not positive, the start method does not exist here or is unsafe (``fork``), or the
            evaluator cannot be pickled.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        workers: int = 1,
        threads: int = 1,
        timeout_s: float | None = None,
        start_method: str | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        if workers < 1 or threads < 1 or (timeout_s is not None and timeout_s <= 0):
            raise ConfigError("executor: workers, threads and timeout_s must be above 0")
        try:
            self._evaluator = pickle.dumps(evaluator)
        except Exception as error:
            raise ConfigError(f"executor: the evaluator cannot be sent to a worker process ({error})") from error
        self.workers = workers
        self._threads = threads
        self._timeout_s = timeout_s
        self._context = _context(start_method, [*_PRELOADED, *preload])
        self._running: dict[int, _Worker] = {}

    def submit(self, job: Job) -> None:
        """Start a worker for the job."""
        results, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(  # type: ignore[attr-defined]
            target=_work, args=(self._evaluator, job, self._threads, sender), name=f"ednas-trial-{job.number}"
        )
        try:
            process.start()
        except OSError as error:
            raise EdnasError(f"cannot start a worker process: {error}; lower the number of workers") from error
        finally:
            sender.close()
        self._running[job.number] = _Worker(job, process, results, time.monotonic())

    def wait(self) -> Outcome:
        """Wait for a worker to send its result, to die or to run out of time."""
        while True:
            for number in sorted(self._running):
                outcome = self._collect(self._running[number])
                if outcome is not None:
                    self._end(number, patience_s=0.0 if outcome.evaluation is None else _EXIT_PATIENCE_S)
                    return outcome
            ends = [end for worker in self._running.values() for end in (worker.results, worker.process.sentinel)]
            wait(ends, self._until_next_timeout())

    def close(self) -> None:
        """Kill the workers that still run."""
        for number in list(self._running):
            self._end(number)

    def _collect(self, worker: _Worker) -> Outcome | None:
        """Return what came of a worker's job, None while it goes on."""
        seconds = time.monotonic() - worker.started
        # In this order: whether it has ended is asked first, so that what it sent before its end is not overlooked.
        ended = not worker.process.is_alive()
        if worker.results.poll():
            try:
                outcome: Outcome = worker.results.recv()
            except (EOFError, OSError):
                worker.process.join(_EXIT_PATIENCE_S)
                ended = True
            else:
                return outcome
        if ended:
            code = worker.process.exitcode
            fault: Fault = "killed" if code == -signal.SIGKILL else "candidate"
            return Outcome(worker.job.number, error=_cause_of_death(code), fault=fault, seconds=seconds)
        if self._timeout_s is not None and seconds > self._timeout_s:
            return Outcome(worker.job.number, error=f"took longer than {self._timeout_s:g} s", seconds=seconds)
        return None

    def _until_next_timeout(self) -> float | None:
        if self._timeout_s is None:
            return None
        first = min(worker.started for worker in self._running.values())
        return max(0.0, first + self._timeout_s - time.monotonic()) + 0.01

    def _end(self, number: int, patience_s: float = 0.0) -> None:
        worker = self._running.pop(number)
        worker.process.join(patience_s)  # one that has sent its result may still clean up
        worker.process.kill()
        worker.process.join()
        worker.process.close()
        worker.results.close()


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
            error=_one_line(error),
            details=traceback.format_exc(),
            fault="environment" if _is_environments(error) else "candidate",
            seconds=time.monotonic() - started,
        )
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - spent
    return Outcome(job.number, evaluation, seconds=seconds, cpu_seconds=cpu_seconds)


def _work(pickled: bytes, job: Job, threads: int, results: Connection) -> None:
    """Body of a worker process; the evaluator comes pickled, so that one that cannot be loaded here is reported."""
    # Ctrl-C reaches the whole group of processes; the coordinator ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_coordinator, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    try:
        evaluator = pickle.loads(pickled)
    except Exception as error:
        results.send(
            Outcome(
                job.number,
                error=f"the evaluator cannot be loaded in a worker process ({_one_line(error)}): define its class in a "
                "module that can be imported, or search with 'executor: inline'",
                details=traceback.format_exc(),
                fault="environment",
            )
        )
    else:
        results.send(run_job(evaluator, job))
    results.close()


def _die_with_coordinator() -> None:
    """End this process when the one that started it is gone (killed, for example), instead of training for nobody."""
    coordinator = multiprocessing.parent_process()
    if coordinator is not None:
        coordinator.join()
        os._exit(1)


def _context(start_method: str | None, preload: list[str]) -> BaseContext:
    available = [method for method in ("forkserver", "spawn") if method in multiprocessing.get_all_start_methods()]
    method = start_method or available[0]
    if method not in available:
        raise ConfigError(f"executor: start method '{method}' cannot be used here; use {' or '.join(available)}")
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(preload)
    return context


def _is_environments(error: Exception) -> bool:
    """Whether an error is of data or disk: what is written or read fails as EdnasError itself."""
    return isinstance(error, DataError | OSError) or type(error) is EdnasError


def _as_floats(tasks: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {
        str(task): {str(metric): float(value) for metric, value in metrics.items()} for task, metrics in tasks.items()
    }


def _one_line(error: Exception) -> str:
    message = " ".join(str(error).split())[:500]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory{f': {message}' if message else ''}"
    if isinstance(error, EdnasError):
        return message
    return f"{type(error).__name__}{f': {message}' if message else ''}"


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the worker process {describe_end(code)} without a result; see its own message"
    return f"the worker process {describe_end(code)}{'; out of memory?' if code == -signal.SIGKILL else ''}"
