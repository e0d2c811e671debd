"""Runs in a terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from helpers.reports import rows, show

from ednas.report.overview import Kind, RunRow, State
from ednas.report.tables.runs import runs_table

SEARCH = RunRow(
    Path("runs/[streets]"),
    Kind.SEARCH,
    State.RUNNING,
    datetime(2024, 5, 17, 12, 30),
    data="streets",
    network="base",
    space=2**79,
    target="coral_usb",
    unit="trials",
    done=30,
    planned=2000,
    failed=1,
    figures={"reward": 0.5, "accuracy": 0.51, "latency_ms": 5.43},
)
TRAINING = RunRow(
    Path("runs/base"),
    Kind.TRAINING,
    State.FINISHED,
    datetime(2024, 5, 17, 12, 30),
    network="base",
    unit="steps",
    done=1600,
    planned=1600,
    seeds=2,
    figures={"segmentation.miou": 31.0, "segmentation.pixel_acc": 79.6, "depth.rmse": 0.3, "depth.rel_err": 0.28},
)
DAMAGED = RunRow(Path("runs/old"), Kind.SEARCH, State.DAMAGED, datetime(2024, 5, 17), problem="study.db: damaged")


def test_a_line_says_what_a_run_is_and_how_far() -> None:
    search, training, damaged = rows(show(runs_table([SEARCH, TRAINING, DAMAGED]), width=250))
    assert search == [
        "runs/[streets]",
        "search",
        "running",
        "streets",
        "base, 1 of 2^79 for coral_usb",
        "30/2,000 trials (1 failed)",
        "reward 0.5000, accuracy 0.5100, 5.43 ms",
        "2024-05-17 12:30",
    ]
    assert training[4:7] == ["base", "1,600 steps (2 seeds)", "segmentation mIoU 31.00 %, depth Rel. error 0.2800"]
    assert (damaged[2], damaged[5], damaged[6]) == ("damaged", "", "study.db: damaged")
