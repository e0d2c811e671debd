"""A report that is written again as its run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ednas.exceptions import EdnasError
from ednas.report.overview import State, describe, is_running
from ednas.runs import RunFolder


def watch(
    run: RunFolder,
    write: Callable[[bool], object],
    every_s: float,
    complain: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Write a run's report whenever something of the run has changed, until it is finished, or Ctrl-C.

    A run that is broken off is waited for, since it may be resumed.

    Args:
        run: The run.
        write: Writes the report; called with whether the run goes on, in the end with False.
        every_s: How often to look, seconds; at most half of the time is spent on writing.
        complain: Told why the report could not be written again; then it is tried at the next change.
        wait: Waits for so many seconds.

    Raises:
        EdnasError: The report cannot be written, the first time or the last.
    """
    seen = None
    with suppress(KeyboardInterrupt):
        while True:
            now = is_running(run), _written(run)
            began = time.monotonic()
            if now != seen:
                if not now[0] and describe(run).state is State.FINISHED:
                    break
                try:
                    write(True)
                except EdnasError as error:  # in the midst of a change, for example
                    if seen is None:
                        raise
                    complain(str(error))
                seen = now
            wait(max(every_s, time.monotonic() - began))
    write(False)


def _written(run: RunFolder) -> dict[Path, tuple[int, int]]:
    """Return when each file of a run was last written, and its size."""
    found = {}
    trainings = [run, *run.seeds()]
    for file in (file for training in trainings for file in training.changing):
        with suppress(OSError):
            about = file.stat()
            found[file] = about.st_mtime_ns, about.st_size
    return found
