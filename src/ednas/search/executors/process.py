"""Evaluation on this machine, each candidate in a fresh process of its own.

A process per trial and no pool: when one worker of a pool dies (out of memory, a crash in native code), all that the
pool had in hand is lost. Here a death is the failure of one trial.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from ednas.closing import Closing
from ednas.exceptions import ConfigError, EdnasError
from ednas.processes import describe_end, end_with_parent
from ednas.search.evaluators.base import Evaluator
from ednas.search.executors.base import Fault, Job, Outcome, Packed

_PRELOADED = ("torch", "ednas.search.executors.process")
"""What every worker needs."""

_EXIT_PATIENCE_S = 5.0


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
        evaluator: Evaluator | Packed,
        *,
        workers: int = 1,
        threads: int = 1,
        timeout_s: float | None = None,
        start_method: str | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        if workers < 1 or threads < 1 or (timeout_s is not None and timeout_s <= 0):
            raise ConfigError("executor: workers, threads and timeout_s must be above 0")
        self._evaluator = Packed.of(evaluator)
        self.workers = workers
        self._threads = threads
        self._timeout_s = timeout_s
        self._context = _context(start_method, [*_PRELOADED, *preload])
        self._running: dict[int, _Worker] = {}

    def submit(self, job: Job) -> None:
        """Start a worker for the job."""
        results, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(  # type: ignore[attr-defined]
            target=_work,
            args=(self._evaluator, job, self._threads, dict(os.environ), sender),
            name=f"ednas-trial-{job.number}",
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


def _work(evaluator: Packed, job: Job, threads: int, environment: Mapping[str, str], results: Connection) -> None:
    """Body of a worker process.

    It takes the environment of the one that wants the result: the server that it is forked from may be older.
    """
    # Ctrl-C reaches the whole group of processes; the coordinator ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    os.environ.update(environment)
    import torch

    torch.set_num_threads(threads)
    results.send(evaluator.run(job))
    results.close()


def _context(start_method: str | None, preload: list[str]) -> BaseContext:
    available = [method for method in ("forkserver", "spawn") if method in multiprocessing.get_all_start_methods()]
    method = start_method or available[0]
    if method not in available:
        raise ConfigError(f"executor: start method '{method}' cannot be used here; use {' or '.join(available)}")
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(preload)
    return context


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the worker process {describe_end(code)} without a result; see its own message"
    return f"the worker process {describe_end(code)}{'; out of memory?' if code == -signal.SIGKILL else ''}"
