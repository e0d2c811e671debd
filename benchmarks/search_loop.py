"""What a search costs beside its trainings: time per trial and to resume it, and its report's time and size.

Every trial is proposed, costed, scored by a made-up accuracy and stored, as in a real search; none is trained. All
times are of the processor. Asked for at 100,000 trials: the last tenth of them costs no more per trial than 1.5 times
the first, and less than 20 ms; resuming, which asks and tells the controller the whole history again, takes less than
60 s, the report less than 20 s and 10 MB. ::

    python benchmarks/search_loop.py --trials 100000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table
from search_controllers import BASE, HEADS, INPUT_SIZE
from search_cost_first import Surrogate

from ednas.arch import SearchSpace
from ednas.hw.sources import load_source
from ednas.report.collect import collect
from ednas.report.html import write_report
from ednas.search import ControllerConfig, DeviceCost, InlineExecutor, Objective, Search, SearchCallback, Study, Trial

PARTS = 10


class Stopwatch(SearchCallback):
    """Keeps the processor time at which each trial ended."""

    def __init__(self) -> None:
        self.ended = [time.process_time()]

    def on_trial(self, trial: Trial) -> None:
        """Look at the clock."""
        if trial.scored:
            self.ended.append(time.process_time())


def search(folder: Path, trials: int, watch: Stopwatch) -> None:
    """Run a search in a folder, or resume the one that is there."""
    space = SearchSpace(BASE)
    sizes = [len(decision.candidates) for decision in space.decisions]
    with Study(folder / "study.db", {"trials": trials}, resume=True) as study:
        Search(
            space=space,
            cost=DeviceCost(load_source("coral_usb"), HEADS, INPUT_SIZE),
            objective=Objective({"latency_ms": 2.0}),
            study=study,
            controller=ControllerConfig(name="evolution").make(sizes, seed=0),
            executor=InlineExecutor(Surrogate()),
            trials=trials,
            callbacks=(watch,),
        ).run()


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that something takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder, watch = Path(name), Stopwatch()
        search(folder, trials, watch)
        resuming = seconds(lambda: search(folder, trials, Stopwatch()))
        page = folder / "report.html"
        reporting = seconds(lambda: write_report(collect(folder), page))
        size = page.stat().st_size / 1e6
    ends = [round(part * trials / PARTS) for part in range(PARTS + 1)]
    pace = [1e3 * (watch.ended[stop] - watch.ended[start]) / (stop - start) for start, stop in pairwise(ends)]
    table = Table(title=f"{trials} trials, processor ms per trial", title_justify="left")
    for part in range(PARTS):
        table.add_column(f"{part + 1}/{PARTS}", justify="right")
    table.add_row(*(f"{ms:.1f}" for ms in pace))
    console = Console(width=100)
    console.print(table)
    console.print(
        f"last tenth / first tenth: {pace[-1] / pace[0]:.2f}; resuming: {resuming:.1f} s; "
        f"report: {reporting:.1f} s, {size:.1f} MB"
    )


if __name__ == "__main__":
    main()
