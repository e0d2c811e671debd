"""Errors a user can mend.

Every error that wrong input can cause derives from :class:`EdnasError` and carries **one line** that says
what is wrong, where, and what to do. The command line prints that line and exits with code 2; any other
exception is a fault of ours and exits with code 1.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection


def one_line(text: str) -> str:
    r"""Return a text with control characters written out (``\x1b``): names from files must not act on a terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def nearest(name: str, known: Collection[str], cutoff: float = 0.5) -> str | None:
    """Return the known name that another one was probably meant to be, or is; ``cutoff``: how alike, 0 to 1."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def hint(name: str, known: Collection[str], otherwise: str = "") -> str:
    """Return the end of an error about an unknown name.

    Args:
        name: The name.
        known: Known names.
        otherwise: What to say where none of them is near; empty = all of them.
    """
    near = nearest(name, known)
    if near is not None:
        return f"did you mean '{near}'?"
    return otherwise or f"known: {', '.join(sorted(known)) or 'none'}"


class EdnasError(Exception):
    """Base of all errors caused by input that the user can mend."""

    def __str__(self) -> str:
        """Return the line."""
        return one_line(super().__str__())


class ConfigError(EdnasError):
    """A configuration value, key or file is wrong."""


class ArchitectureError(EdnasError):
    """An architecture, a block or a search space is wrong."""


class DataError(EdnasError):
    """A dataset, an image or a label is missing, corrupt or inconsistent."""


class TargetError(EdnasError):
    """A hardware target is unknown or cannot run the network."""


class CheckpointError(EdnasError):
    """A checkpoint or a result file is missing, truncated or from another version."""


class TrainingError(EdnasError):
    """Training cannot go on (a loss is not finite, for example)."""


class StudyError(EdnasError):
    """A search run's store is missing, damaged or belongs to another search."""


class ExportError(EdnasError):
    """A model cannot be exported, or an exported model cannot be used."""
