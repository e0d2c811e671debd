import io
import logging

import pytest
from rich.console import Console

from ednas.exceptions import EdnasError
from ednas.runs import RunFolder
from ednas.training import ProgressBar, StepReport
from ednas.training.logs import RunLogs, run_log


def report(step=3, **losses):
    return StepReport(step, 10, losses or {"depth": 0.25}, 0.25, 1e-3, 42.0, 75.0)


def test_the_bar_shows_steps_losses_speed_and_time_left():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=160)
    with ProgressBar("training", console) as bar:
        bar(report())
    for shown in ("training", "3/10", "depth 0.250", "42 images/s", "1 min 15 s left"):
        assert shown in text.getvalue()


def test_nothing_is_cut_in_a_terminal_of_80_characters():
    text = io.StringIO()
    with ProgressBar("training", Console(file=text, force_terminal=True, width=80)) as bar:
        bar(
            StepReport(12_345, 20_000, {"segmentation": 1.0, "depth": 1.0, "normals": 1.0}, 3.0, 1e-3, 1234.0, 37_250.0)
        )
    for shown in ("12345/20000", "loss 3.000", "1234 images/s", "10 h 20 min left"):
        assert shown in text.getvalue()


def test_off_a_terminal_it_is_a_line_now_and_then_the_first_and_the_last():
    text = io.StringIO()
    times = {1: 5.0, 2: 34.0, 3: 35.0, 4: 40.0, 10: 41.0}
    done: list[int] = []
    console = Console(file=text, force_terminal=False, width=20)
    with ProgressBar("seed 1", console, clock=lambda: times[done[-1]]) as bar:
        for step in times:
            done.append(step)
            bar(report(step, depth=0.25, normals=0.5))
    assert text.getvalue().splitlines() == [
        f"seed 1: step {step}/10, loss 0.250 (depth 0.250  normals 0.500), 42 images/s, 1 min 15 s left"
        for step in (1, 3, 10)
    ]


def test_resumed_logs_drop_rows_that_are_done_again(tmp_path):
    first = RunLogs(RunFolder(tmp_path))
    for step in (2, 4, 6):
        first(report(step))
    first.close()
    with (RunFolder(tmp_path).steps).open("a") as file:
        file.write("8,0.1")  # a line that a crash cut off
    second = RunLogs(RunFolder(tmp_path))
    second(report(6))
    second.close()
    lines = (RunFolder(tmp_path).steps).read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "2", "4", "6"]


def test_a_log_file_gets_the_packages_messages_and_the_error(tmp_path):
    with pytest.raises(ValueError, match="wrong"), run_log(tmp_path / "log.txt") as log:
        log.info("begun")
        logging.getLogger("ednas.data").warning("odd")
        raise ValueError("wrong")
    logging.getLogger("ednas").warning("after")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["INFO begun", "WARNING odd", "ERROR stopped: wrong"]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EdnasError, match="cannot write"), run_log(tmp_path / "file" / "log.txt"):
        pass
    with pytest.raises(EdnasError, match="cannot write"):
        RunLogs(RunFolder(tmp_path / "file"))(report())
