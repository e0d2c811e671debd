"""What a search costs beside its trainings: milliseconds per trial as the study grows, and seconds for its report.

Every trial is proposed, costed, scored by a made-up accuracy and stored, as in a real search; none is trained. Asked
for: the last tenth of the trials costs no more per trial than 1.5 times the first, and the report takes seconds. ::

    python benchmarks/search_loop.py --trials 20000
"""

from __future__ import annotations

import argparse
import tempfile
import time
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


def search(folder: Path, trials: int) -> list[float]:
    """Run a search in a folder; return the milliseconds per trial of each tenth."""
    space, watch = SearchSpace(BASE), Stopwatch()
    sizes = [len(decision.candidates) for decision in space.decisions]
    with Study(folder / "study.db", {"trials": trials}) as study:
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
    ends = [round(part * trials / PARTS) for part in range(PARTS + 1)]
    return [1e3 * (watch.ended[stop] - watch.ended[start]) / (stop - start) for start, stop in pairwise(ends)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pace = search(Path(folder), arguments.trials)
        began = time.process_time()
        page = write_report(collect(folder), Path(folder) / "report.html")
        seconds = time.process_time() - began
        size = page.stat().st_size / 1e6
    table = Table(title=f"{arguments.trials} trials, processor ms per trial", title_justify="left")
    for part in range(PARTS):
        table.add_column(f"{part + 1}/{PARTS}", justify="right")
    table.add_row(*(f"{ms:.1f}" for ms in pace))
    console = Console(width=100)
    console.print(table)
    console.print(f"last tenth / first tenth: {pace[-1] / pace[0]:.2f}; report: {seconds:.1f} s, {size:.1f} MB")


if __name__ == "__main__":
    main()
