"""Many trainings; ``test_methods.py`` does some in processes, and breaks some off."""

from __future__ import annotations

from ednas.durations import show_seconds
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
