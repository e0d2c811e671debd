"""The command line: thin commands over the package; all logic lives elsewhere."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

from ednas.exceptions import EdnasError, one_line

_INTERRUPTED = 130
"""Exit code after Ctrl-C."""

_TERMINATED = 143
"""Exit code after SIGTERM, of what waits to save its state first."""

_REMEDIES = {
    errno.ENOSPC: "free space, or choose another place",
    errno.EDQUOT: "free space, or choose another place",
    errno.EROFS: "choose another place",
    errno.EACCES: "change the permissions, or choose another place",
    errno.EPERM: "change the permissions, or choose another place",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""What helps against errors of the system that are no fault of ours."""


def main() -> None:
    """Run the command line.

    Exit code 0: done, 2: wrong input (one line says what), 1: a fault of ours, 130: Ctrl-C, 143: SIGTERM.
    """
    try:
        from ednas.cli.app import app

        app()
    except EdnasError as error:
        _fail(str(error), 2)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        if error.errno not in _REMEDIES:
            raise
        where = str(error.filename or "file system")
        _fail(f"{where[:200]}: {error.strerror}; {_REMEDIES[error.errno]}", 2)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as end:
        if end.code in (_INTERRUPTED, _TERMINATED):  # Typer has turned Ctrl-C into it, and we SIGTERM
            _stopped(int(end.code))
        raise


def _stopped(code: int = _INTERRUPTED) -> NoReturn:
    # Of processes that train together the first one speaks. Without that module, none do.
    if (device := sys.modules.get("ednas.training.device")) and device.is_helper():
        sys.exit(code)
    resumes = {"search": "; --resume goes on from there", "train": "; --resume goes on from there"}
    resumes |= dict.fromkeys(("demo", "compare-methods", "reproduce"), "; the same command goes on from there")
    hint = next((hint for command, hint in resumes.items() if command in sys.argv[1:2]), "")
    kept = f"; what was finished is kept{hint}" if hint else ""
    _fail(f"stopped{kept}", code)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {one_line(message)}", file=sys.stderr)
    sys.exit(code)
