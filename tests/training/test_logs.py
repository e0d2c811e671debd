"""The logs of a run."""

import csv
import logging

import pytest

from ednas.exceptions import EdnasError
from ednas.runs import RunFolder
from ednas.training import (
    StepReport,
    train,
)
from ednas.training.logs import RunLogs, read_log, run_log


@pytest.mark.slow
def test_logs_can_be_read(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(config, tmp_path / "run")
    with (tmp_path / "run" / "logs" / "steps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert set(rows[0]) == {"step", "loss", "loss/segmentation", "loss/depth", "learning_rate", "images_per_second"}
    board = EventAccumulator(str(tmp_path / "run" / "logs"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss/depth")] == [2, 4, 6]
    assert board.Scalars("val/segmentation/miou")[0].value == pytest.approx(
        result.metrics["tasks"]["segmentation"]["miou"], abs=1e-4
    )


def test_a_log_is_read_while_it_is_written(tmp_path):
    file = tmp_path / "steps.csv"
    assert read_log(file) == []
    file.write_text("step,loss,learning_rate\n10,1.5,0.01\n20,nan,0.02\n30,1.")
    rows = read_log(file)
    assert rows[0] == {"step": 10, "loss": 1.5, "learning_rate": 0.01}
    assert [row["step"] for row in rows] == [10, 20]


def report(step=3, **losses):
    return StepReport(step, 10, losses or {"depth": 0.25}, 0.25, 1e-3, 42.0, 75.0)


def test_resumed_logs_drop_rows_that_are_done_again(tmp_path):
    first = RunLogs(RunFolder(tmp_path))
    for step in (2, 4, 6):
        first(report(step))
    first.close()
    with RunFolder(tmp_path).steps.open("a") as file:
        file.write("8,0.1")  # a line that a crash cut off
    second = RunLogs(RunFolder(tmp_path))
    second(report(6))
    second.close()
    lines = RunFolder(tmp_path).steps.read_text().splitlines()
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
