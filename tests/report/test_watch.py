"""A watched report: when it is written again, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.reports import fake_trials, store_trial

from ednas.exceptions import StudyError
from ednas.report.watch import watch
from ednas.runs import RunFolder
from ednas.search.study import Study

TRIALS = [trial for trial in fake_trials(12) if trial.scored][:3]


@pytest.fixture
def search(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.config.write_text(yaml.safe_dump({"training": {"data": "streets"}, "trials": len(TRIALS)}))
    return folder


def waiting(*steps: Callable[[], object]) -> Callable[[float], None]:
    """Do one thing after another instead of waiting."""
    left = iter(steps)
    return lambda _: next(left)()


def nothing() -> None:
    """Let nothing happen in the meantime."""


def interrupt() -> None:
    raise KeyboardInterrupt


def test_the_page_is_written_when_something_has_changed_and_in_the_end(search: RunFolder) -> None:
    written: list[bool] = []
    with Study(search.study, {}) as study:
        steps = [nothing, *(lambda trial=trial: store_trial(study, trial) for trial in TRIALS), nothing, study.close]
        watch(search, written.append, 1.0, pytest.fail, waiting(*steps))
    assert written == [True] * (1 + len(TRIALS)) + [False]


def test_ctrl_c_writes_the_last_page(search: RunFolder) -> None:
    written: list[bool] = []
    with Study(search.study, {}):
        watch(search, written.append, 1.0, pytest.fail, waiting(nothing, interrupt))
    assert written == [True, False]


def test_what_is_broken_off_is_waited_for(search: RunFolder) -> None:
    written: list[bool] = []
    with Study(search.study, {}) as study:
        store_trial(study, TRIALS[0])

    def resume() -> None:
        with Study(search.study, {}, resume=True) as study:
            for trial in TRIALS[1:]:
                store_trial(study, trial)

    watch(search, written.append, 1.0, pytest.fail, waiting(nothing, nothing, resume))
    assert written == [True, False]


def test_a_finished_run_is_written_once(search: RunFolder) -> None:
    with Study(search.study, {}) as study:
        for trial in TRIALS:
            store_trial(study, trial)
    written: list[bool] = []
    watch(search, written.append, 1.0, pytest.fail, waiting())
    assert written == [False]


def test_only_the_first_failure_ends_it(search: RunFolder) -> None:
    complaints: list[str] = []
    fails = iter([False, True, False])

    def write(goes_on: bool) -> None:
        if goes_on and next(fails):
            raise StudyError("in the midst of a change")

    with Study(search.study, {}) as study:
        steps = [lambda trial=trial: store_trial(study, trial) for trial in TRIALS[:2]]
        watch(search, write, 1.0, complaints.append, waiting(*steps, interrupt))
        assert complaints == ["in the midst of a change"]
        fails = iter([True])
        with pytest.raises(StudyError, match="in the midst"):
            watch(search, write, 1.0, complaints.append, waiting())


def test_writing_takes_half_of_the_time_at_most(search: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ednas.report.watch.time.monotonic", lambda: now[0])
    waited: list[float] = []

    def write(_: bool) -> None:
        now[0] += 25.0

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            interrupt()

    with Study(search.study, {}):
        watch(search, write, 10.0, pytest.fail, wait)
    assert waited == [25.0, 10.0]
