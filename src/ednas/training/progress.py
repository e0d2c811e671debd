"""A progress bar for the terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ednas.training.callbacks import StepReport


class ProgressBar:
    """Shows steps, losses, speed and the time that is left; a callback, and a context manager.

    Off a terminal (in a file, in CI) nothing is drawn, so that no control characters end up there.

    Args:
        title: What stands before the bar.
        console: Where to draw; standard error by default, so that standard output stays a result's.

    Example:
        >>> with ProgressBar("training") as bar:  # doctest: +SKIP
        ...     train(config, out, callbacks=[bar])
    """

    def __init__(self, title: str = "training", console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None, losses="", speed="", left="")

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, report: StepReport) -> None:
        """Show a report."""
        self._progress.update(
            self._task,
            completed=report.step,
            total=report.steps,
            losses="  ".join(f"{task} {value:.3f}" for task, value in report.losses.items()),
            speed=f"{report.images_per_second:.0f} images/s",
            left=f"{_duration(report.eta_seconds)} left",
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
