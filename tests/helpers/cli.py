"""The command line, run in this process."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Takes the arguments, returns exit code, standard output and standard error."""
