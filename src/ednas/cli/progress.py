"""Progress bars on standard error, so that standard output stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from ednas.durations import show_seconds

if TYPE_CHECKING:
    from ednas.training import Callback


@contextmanager
def counting(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar with the time left; the block gets a function to call with (split, done, total).

    The bar is there from the first call until all is done: a terminal shows one display at a time.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _TimeLeft())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    tasks: dict[str, TaskID] = {}

    def update(split: str, done: int, total: int) -> None:
        if split not in tasks:
            tasks[split] = bar.add_task(f"{what} {split}", total=total)
        bar.update(tasks[split], completed=done, total=total)
        bar.stop() if bar.finished else bar.start()

    try:
        yield update
    finally:
        bar.stop()


@contextmanager
def decoding() -> Iterator[Callable[[int, int], None]]:
    """Show a bar while a dataset is decoded for the first time; the block gets a function of (done, total)."""
    with counting("decoding") as progress:
        yield lambda done, total: progress("samples", done, total)


@contextmanager
def training_bars() -> Iterator[Callable[[str], list[Callback]]]:
    """Show one training after another; the block gets a function of a title, which ends a bar and begins the next."""
    from ednas.training import ProgressBar

    with ExitStack() as shown:

        def begin(title: str) -> list[Callback]:
            shown.close()
            return [shown.enter_context(ProgressBar(title))]

        yield begin


class _TimeLeft(ProgressColumn):
    """Rich's own estimate, written as everywhere."""

    max_refresh = 0.5  # only twice a second, so that it can be read

    def render(self, task: Task) -> Text:
        return Text(f"{show_seconds(task.time_remaining)} left", style="progress.remaining")
