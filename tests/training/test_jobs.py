"""Many trainings; ``test_methods.py`` does some in processes, and breaks some off."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from ednas.durations import show_seconds
from ednas.exceptions import CheckpointError, EdnasError, TrainingError
from ednas.runs import RunFolder
from ednas.training import jobs


def test_what_was_trained_before_takes_no_time_that_is_left(monkeypatch):
    clock, said = iter([0.0, 10.0, 20.0]), []
    monkeypatch.setattr(jobs.time, "monotonic", lambda: next(clock))
    say = jobs._Countdown(5, 2, said.append)
    for name, trained_now in (("a", False), ("b", True), ("c", False), ("d", True), ("e", False)):
        say(name, trained_now)
    assert said == [f"b: done, 2 of 5, about {show_seconds(10)} left", "d: done, 4 of 5"]


def test_seconds_are_those_of_all_processes(tmp_path):
    run = RunFolder(tmp_path)
    assert jobs.training_seconds(run) is None  # its process was killed
    run.seconds.write_text("[1.5, 2.0]")
    assert jobs.training_seconds(run) == 3.5
    jobs.add_seconds(run, 1.0)
    assert jobs.training_seconds(run) == 4.5
    run.seconds.write_text('{"seconds": 1}')
    with pytest.raises(CheckpointError, match=r"seconds\.json: must hold a list of numbers"):
        jobs.training_seconds(run)


class Pool:
    """Answers at once."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, workers, **options):
        self.workers = workers
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, do, job, device):
        future = Future()
        answer = self.answer(job)
        future.set_exception(answer) if isinstance(answer, BaseException) else future.set_result(answer)
        return future


def make_jobs(tmp_path, count):
    return [jobs.Job(f"job {number}", None, tmp_path / str(number)) for number in range(count)]


def test_one_failure_does_not_keep_the_others_from_being_done(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "_train", lambda job, *_: fail(job) if job.name == "job 1" else True)

    def fail(job):
        raise TrainingError("the loss is nan")

    said = []
    with pytest.raises(TrainingError, match="job 1: the loss is nan; the other trainings are done"):
        jobs.train_jobs(make_jobs(tmp_path, 3), announce=said.append)
    assert [line.partition(",")[0] for line in said] == [
        "job 0: done", "job 1: failed (the loss is nan)", "job 2: done"
    ]  # fmt: skip


def test_failures_in_processes_are_put_together(tmp_path, monkeypatch):
    pool = Pool(lambda job: TrainingError("nan") if job.name in ("job 1", "job 3") else True)
    monkeypatch.setattr(jobs, "ProcessPoolExecutor", pool)
    said = []
    with pytest.raises(TrainingError, match="job 1: nan, and 1 more; the other trainings are done"):
        jobs.train_jobs(make_jobs(tmp_path, 5), workers=1 + 1, announce=said.append)
    assert (len(said), pool.workers) == (5, 2)


def test_a_process_that_was_killed_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "ProcessPoolExecutor", Pool(lambda job: BrokenProcessPool("died")))
    with pytest.raises(EdnasError, match=r"job \d: its process was killed, for want of memory perhaps"):
        jobs.train_jobs(make_jobs(tmp_path, 2), workers=2)
