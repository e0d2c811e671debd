"""Progress bars on standard error, so that standard output stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counting(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar with the time left; the block gets a function to call with (split, done, total).

    The bar is there from the first call until all is done: a terminal shows one display at a time.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
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
