"""Writing files so that a killed process or a full disk never leaves half of one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ednas.exceptions import EdnasError


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends without an error.

    Works for a file and for a folder (create it inside the block). A file replaces an older file; a folder
    replaces an older folder. On any error nothing at ``path`` changes and the temporary is removed.

    Args:
        path: Where the finished file or folder shall be.

    Raises:
        EdnasError: The place cannot be written (disk full, no permission, ...), with the reason.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)) / path.name
        yield temporary
        _replace(temporary, path)
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise EdnasError(
            f"cannot write {path}: {error.strerror or error} ({where}); free space or choose another place"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary.parent, ignore_errors=True)


def _replace(new: Path, path: Path) -> None:
    if path.is_dir() and new.is_dir():
        old = new.parent / f"{path.name}.old"
        path.replace(old)
    new.replace(path)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` atomically (UTF-8)."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_json(path: Path | str, error: type[EdnasError] = EdnasError) -> Any:
    """Read a JSON file; every failure is one ``error`` that names the file.

    Args:
        path: The file.
        error: The class of the error to raise.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as cause:
        raise error(f"{path}: cannot be read ({cause})") from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{path}: not valid JSON ({cause}); is the file truncated?") from cause
