"""Processes that are started for some work: how one ended, in words, and that it ends with who wants the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

_LONGEST = 300
"""Characters of a last line that are shown."""


def describe_end(code: int | None, log: str = "") -> str:
    """Return how a process ended: ``ended with code 3: <last line>``, ``was killed by SIGSEGV``.

    Args:
        code: Its exit code; below 0 the number of a signal, as :mod:`subprocess` and :mod:`multiprocessing` have it.
        log: What it wrote; the last line is shown.
    """
    last = log.strip().rpartition("\n")[2].strip()
    how = f"ended with code {code}" if code is None or code >= 0 else f"was killed by {_signal(-code)}"
    return f"{how}: {last[:_LONGEST]}" if last else how


def end_with_parent() -> None:
    """End this process when the one that started it is gone (killed, for example), instead of working for nobody."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
