"""Many trainings, one after the other or some at a time: each is kept when it is done, and none is done twice."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ednas.durations import show_seconds
from ednas.exceptions import CheckpointError, EdnasError, TrainingError
from ednas.files import read_json, write_json
from ednas.processes import end_with_parent
from ednas.runs import RunFolder
from ednas.training.config import TrainConfig
from ednas.training.run import train

if TYPE_CHECKING:
    from ednas.training.callbacks import Callback


@dataclass(frozen=True)
class Job:
    """A training that is to be done.

    Attributes:
        name: For people.
        config: What is trained.
        folder: The run's folder.
    """

    name: str
    config: TrainConfig
    folder: Path

    @property
    def run(self) -> RunFolder:
        """Its files."""
        return RunFolder(self.folder)

    @property
    def is_done(self) -> bool:
        """Whether the training is finished."""
        return self.run.checkpoint.metrics.is_file()


def train_jobs(
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    device: str = "auto",
    callbacks: Callable[[str], Sequence[Callback]] | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Do trainings; what is finished is kept, and what was broken off goes on.

    One that cannot go on, because its loss is not finite for example, does not keep the others from being done.

    Args:
        jobs: The trainings, in the order in which they begin.
        workers: Trainings at a time, each in a process of its own; 1 = in this one.
        device: Where to train.
        callbacks: Makes the callbacks of a training from its name, where there is one worker.
        announce: Called with a line for every training that is done: how many are left, and for how long.

    Raises:
        TrainingError: One or more failed; the others are done.
        EdnasError: As :func:`~ednas.training.run.train`; what was finished is kept.
    """
    say = _Countdown(len(jobs), sum(not job.is_done for job in jobs), announce or (lambda _: None))
    failures: list[str] = []
    if workers == 1:
        for job in jobs:
            say(job.name, *_try(job, failures, partial(_train, job, device, callbacks(job.name) if callbacks else ())))
    else:
        _train_in_processes(jobs, device, workers, say, failures)
    if failures:
        others = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        raise TrainingError(f"{failures[0]}{others}; the other trainings are done")


def training_seconds(run: RunFolder) -> float | None:
    """Return the processor seconds that a training took; None where they are not known.

    A process that was killed has left none.

    Raises:
        CheckpointError: The file is damaged.
    """
    return sum(_read_seconds(run)) if run.seconds.is_file() else None


def add_seconds(run: RunFolder, seconds: float) -> None:
    """Add the processor seconds of a process to those that are known of a run.

    Raises:
        CheckpointError: The file is damaged.
    """
    write_json(run.seconds, [*(_read_seconds(run) if run.seconds.is_file() else ()), seconds])


def _read_seconds(run: RunFolder) -> list[float]:
    found = read_json(run.seconds, CheckpointError)
    if not isinstance(found, list) or not all(isinstance(value, int | float) for value in found):
        raise CheckpointError(f"{run.seconds}: must hold a list of numbers; remove it")
    return found


class _Countdown:
    """Says of every training that is done how many are left, and about how long these take.

    Args:
        jobs: How many there are.
        waiting: How many of them have not been done before.
        say: Called with a line.
    """

    def __init__(self, jobs: int, waiting: int, say: Callable[[str], None]) -> None:
        self._jobs = jobs
        self._waiting = waiting
        self._say = say
        self._done = 0
        self._trained = 0
        self._begin = time.monotonic()

    def __call__(self, name: str, trained: bool, outcome: str = "done") -> None:
        """Take note of a training that is done; one that had been done before says nothing of how long others take."""
        self._done += 1
        self._trained += trained
        if trained:
            left = self._waiting - self._trained
            seconds = (time.monotonic() - self._begin) / self._trained * left
            end = f", about {show_seconds(seconds)} left" if left else ""
            self._say(f"{name}: {outcome}, {self._done} of {self._jobs}{end}")


def _try(job: Job, failures: list[str], do: Callable[[], bool]) -> tuple[bool, str]:
    """Do a training; return whether there was anything to do, and how it ended. A failure is noted."""
    try:
        return do(), "done"
    except TrainingError as error:
        failures.append(f"{job.name}: {error}")
        return True, f"failed ({error})"


def _train(job: Job, device: str, callbacks: Sequence[Callback] = ()) -> bool:
    """Train once, or go on with a training; add its processor seconds to those that are known.

    Returns:
        Whether there was anything to do.
    """
    is_finished, before = job.is_done, time.process_time()
    try:
        train(job.config, job.folder, resume=True, callbacks=callbacks, device=device)
    finally:
        if not is_finished and job.folder.is_dir():
            add_seconds(job.run, time.process_time() - before)
    return not is_finished


def _train_in_processes(
    jobs: Sequence[Job], device: str, workers: int, say: Callable[[str, bool, str], None], failures: list[str]
) -> None:
    context = multiprocessing.get_context("spawn")
    waiting = iter(jobs)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        # No more are submitted than run at a time: what is submitted begins even while the others are stopped.
        running = {pool.submit(_train, job, device): job for job in islice(waiting, workers)}
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                try:
                    say(job.name, *_try(job, failures, future.result))
                except BrokenProcessPool as error:
                    raise EdnasError(
                        f"{job.name}: its process was killed, for want of memory perhaps; take fewer --workers"
                    ) from error
                running |= {pool.submit(_train, other, device): other for other in islice(waiting, 1)}


def _begin_worker() -> None:
    import torch

    end_with_parent()
    torch.set_num_threads(1)
