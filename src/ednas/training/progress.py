"""How a training tells how far it is: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ednas.closing import Closing
from ednas.durations import show_seconds
from ednas.training.callbacks import StepReport

_WIDE = 110
"""Characters in a line from which on the losses of all tasks fit."""


class ProgressBar(Closing):
    """Shows steps, losses, speed and the time that is left; a callback, and a context manager.

    The bar is there from the first report on: what comes before a training may show a bar of its own. Off a terminal
    (a log file, a pipe, CI) it is a line for the first report, for the last, and now and then between.

    Args:
        title: What stands before the bar.
        console: Where to draw; standard error by default, so that standard output stays a result's.
        every_s: Seconds between two lines where there is no terminal.
        clock: Seconds, monotonic.

    Example:
        >>> with ProgressBar("training") as bar:  # doctest: +SKIP
        ...     train(config, out, callbacks=[bar])
    """

    def __init__(
        self,
        title: str = "training",
        console: Console | None = None,
        *,
        every_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console = console or Console(stderr=True)
        self._title = title
        self._every_s = every_s
        self._clock = clock
        self._last_line = float("-inf")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None, losses="", speed="", left="")

    def close(self) -> None:
        """Leave the terminal in order."""
        self._progress.stop()

    def __call__(self, report: StepReport) -> None:
        """Show a report."""
        if not self._console.is_terminal:
            self._print(report)
            return
        self._progress.start()
        self._progress.update(
            self._task,
            completed=report.step,
            total=report.steps,
            losses=_losses(report) if self._console.width >= _WIDE else f"loss {report.loss:.3f}",
            speed=f"{report.images_per_second:.0f} images/s",
            left=f"{show_seconds(report.eta_seconds)} left",
        )
        if report.step >= report.steps:  # what comes after may show something of its own
            self.close()

    def _print(self, report: StepReport) -> None:
        if report.step < report.steps and self._clock() - self._last_line < self._every_s:
            return
        self._last_line = self._clock()
        self._console.print(
            f"{self._title}: step {report.step}/{report.steps}, loss {report.loss:.3f} ({_losses(report)}), "
            f"{report.images_per_second:.0f} images/s, {show_seconds(report.eta_seconds)} left",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _losses(report: StepReport) -> str:
    return "  ".join(f"{task} {value:.3f}" for task, value in report.losses.items())
