"""Processes of this machine, looked up in /proc."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path


def is_alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not yet asked for its result (a zombie) does not."""
    return _status(process)[0] not in ("", "Z")


def survivors(processes: Collection[int], patience_s: float = 20.0) -> list[int]:
    """Return which processes do not end within a time."""
    deadline = time.monotonic() + patience_s
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def descendants(process: int) -> set[int]:
    """Return the processes that a process started, and those that they started."""
    parents = {number: _status(number)[1] for number in map(int, _numbers())}
    found, added = {process}, {process}
    while added:
        added = {child for child, parent in parents.items() if parent in found} - found
        found |= added
    return found - {process}


def command(process: int) -> str:
    """Return the command of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _numbers() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def _status(process: int) -> tuple[str, int]:
    """Return the state of a process and its parent, ``("", 0)`` if it is gone."""
    try:
        state, parent, *_ = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return state, int(parent)
