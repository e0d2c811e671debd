"""What is shown while a search runs, in a terminal and elsewhere."""

from __future__ import annotations

import io

from helpers.searches import make_trial
from rich.console import Console

from ednas.search.progress import SearchProgress
from ednas.search.trial import Trial, TrialState


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def running(number: int) -> Trial:
    return make_trial(number, state=TrialState.RUNNING, reward=None, accuracy=None, done_order=None)


def drive(progress: SearchProgress, clock: Clock) -> None:
    """Ten seconds for each of four trials, after two of an earlier run; one fails, one is too slow."""
    with progress:
        progress.on_start([make_trial(0, reward=0.3), running(1)], 6, {"latency_ms": 12.0})
        for trial in (make_trial(1, reward=0.4), make_trial(2, state=TrialState.FAILED, reward=None)):
            progress.on_trial(running(trial.number))
            clock.now += 10.0
            progress.on_trial(trial)
        progress.on_trial(make_trial(3, state=TrialState.PRUNED, reward=None))
        progress.on_trial(running(4))
        clock.now += 10.0
        progress.on_trial(make_trial(4, reward=0.9, cost={"latency_ms": 12.5}))
        progress.on_end("all trials are done")


def test_off_a_terminal_it_is_a_line_now_and_then() -> None:
    clock, text = Clock(), io.StringIO()
    drive(SearchProgress(Console(file=text, width=200), every_s=20.0, clock=clock), clock)
    assert text.getvalue().splitlines() == [
        "search: 1/6 trials, 1 running, time left unknown, best reward 0.3000 (trial 0, 10.00 ms)",
        "search: 3/6 trials, 1 failed, time left 30 s, best reward 0.4000 (trial 1, 10.00 ms)",
        "search: all trials are done; 4/6 trials, 1 failed, 1 pruned, time left 20 s, "
        "best reward 0.9000 (trial 4, 12.50 ms)",
    ]


def test_long_lines_are_not_wrapped_and_hold_no_control_characters() -> None:
    clock, text = Clock(), io.StringIO()
    drive(SearchProgress(Console(file=text, width=20), every_s=60.0, clock=clock), clock)
    assert len(text.getvalue().splitlines()) == 2
    assert "\x1b" not in text.getvalue()


def test_in_a_terminal_it_is_a_table_of_the_best() -> None:
    clock, text = Clock(), io.StringIO()
    drive(SearchProgress(Console(file=text, force_terminal=True, width=120), shown=2, clock=clock), clock)
    last = text.getvalue().rpartition("Best trials (limits: latency 12.00 ms)")[2]
    assert [line for line in last.splitlines() if "0.9000" in line and "12.50" in line and "no" in line]
    assert [line for line in last.splitlines() if "0.4000" in line and "10.00" in line and "yes" in line]
    assert "0.3000" not in last
    assert "no network" not in last


def test_what_no_network_scores_is_the_last_row() -> None:
    text = io.StringIO()
    with SearchProgress(Console(file=text, force_terminal=True, width=140)) as progress:
        progress.on_trivial(0.1234)
        progress.on_start([make_trial(0)], 6, {"latency_ms": 12.0})
    last = text.getvalue().rpartition("Best trials")[2]
    row = next(line for line in last.splitlines() if "0.1234" in line)
    assert [cell.strip() for cell in row.split("│")[1:4]] == ["no network (mean label)", "", "0.1234"]


def test_every_limit_has_its_column() -> None:
    text = io.StringIO()
    limits = {"energy_mj": 1.5, "peak_memory_kb": 2048.0}
    with SearchProgress(Console(file=text, force_terminal=True, width=140)) as progress:
        progress.on_start([make_trial(0, cost={"latency_ms": 9.0, "energy_mj": 1.6, "peak_memory_kb": 1e3})], 6, limits)
    last = text.getvalue().rpartition("Best trials (limits: energy 1.500 mJ, peak memory 2,048 KiB)")[2]
    row = next(line for line in last.splitlines() if "0.5000" in line)
    assert [cell.strip() for cell in row.split("│")[4:7]] == ["9.00 ms", "1.600 mJ", "1,000 KiB"]
    assert "no" in row


def test_an_error_leaves_the_terminal_in_order() -> None:
    text = io.StringIO()
    progress = SearchProgress(Console(file=text, force_terminal=True))
    try:
        with progress:
            progress.on_start([], 6, {"latency_ms": 12.0})
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert text.getvalue().rpartition("\x1b[?25")[2].startswith("h")  # the cursor is shown again


def test_a_second_search_is_counted_anew() -> None:
    clock, text = Clock(), io.StringIO()
    progress = SearchProgress(Console(file=text, width=200), clock=clock)
    drive(progress, clock)
    drive(progress, clock)
    lines = text.getvalue().splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
