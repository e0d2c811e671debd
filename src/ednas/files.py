"""Writing files so that a killed process or a full disk never leaves half of one."""

from __future__ import annotations

import csv
import errno
import glob
import io
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ednas.exceptions import EdnasError

_LONGEST_REPLACING_S = 60.0
"""A folder takes another one's place in microseconds; whoever is at it after so long is gone."""

_HOST = re.sub(r"[^A-Za-z0-9]+", "_", platform.node())

_LOCK = ".lock"
"""The lock of a folder, in it."""

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What a file system without locks answers."""


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends without an error.

    Works for a file and for a folder (create it inside the block). A file replaces an older file; a folder
    replaces an older folder. On any error nothing at ``path`` changes and the temporary is removed. What a killed
    process left is put right by the next one (:func:`recover`).

    Args:
        path: Where the finished file or folder shall be.

    Raises:
        EdnasError: The place cannot be written (disk full, no permission, ...), with the reason.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        recover(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.{_owner()}.", dir=path.parent)) / path.name
        yield temporary
        _replace(temporary, path)
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise EdnasError(
            f"cannot write {path}: {error.strerror or error} ({where}); free space or choose another place"
        ) from error
    finally:
        if temporary is not None and (path.exists() or not _old(temporary).exists()):
            shutil.rmtree(temporary.parent, ignore_errors=True)


def recover(path: Path | str) -> None:
    """Put right what killed processes left at a place that :func:`atomic_path` writes to.

    A folder cannot take another one's place in one step. A process that was killed between the two has left the new one
    complete, and the old one aside: the new one is put in place. Temporaries of processes that are gone are removed.
    Where nothing may be written, nothing is done.
    """
    path = Path(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        host, _, pid = left.name.removeprefix(f".{path.name}.").rpartition(".")[0].rpartition("-")
        temporary = left / path.name
        with suppress(OSError):
            if not (left.is_dir() and pid.isdigit()):
                continue
            is_between = _old(temporary).exists() and not path.exists()
            # The process may run on another computer, or another one may have its number, in a container for example.
            is_stuck = is_between and time.time() - left.stat().st_mtime > _LONGEST_REPLACING_S
            if is_stuck or (host == _HOST and not _is_alive(int(pid))):
                if is_between:
                    (temporary if temporary.exists() else _old(temporary)).replace(path)
                shutil.rmtree(left, ignore_errors=True)


def _owner() -> str:
    """Return whose a temporary is: the computer's, since processes of another one cannot be seen, and the process's."""
    return f"{_HOST}-{os.getpid()}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _old(temporary: Path) -> Path:
    return temporary.with_name(f"{temporary.name}.old")


def _replace(new: Path, path: Path) -> None:
    if not (path.is_dir() and new.is_dir()):
        new.replace(path)
        return
    path.replace(_old(new))
    try:
        new.replace(path)
    except BaseException:
        _old(new).replace(path)
        raise


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one process at a time work in a folder, which is made; the lock dies with its holder.

    Raises:
        EdnasError: Another process works there, or the folder cannot be made.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / _LOCK, wait=False))
        except BlockingIOError:
            raise EdnasError(
                f"{folder}: another process works in this folder; wait for it, or choose another"
            ) from None
        except OSError as error:
            raise EdnasError(f"cannot write to {folder}: {error.strerror or error}; choose another place") from error
        yield


@contextmanager
def locked(file: Path, *, wait: bool) -> Iterator[bool]:
    """Hold an exclusive lock on a file, which is made, and removed in the end; the lock dies with its holder.

    Yields:
        Whether there is a lock: some network file systems have none, and nothing is locked there.

    Raises:
        BlockingIOError: Another process holds it, and ``wait`` is false.
        OSError: The file cannot be made.
    """
    from filelock import FileLock, Timeout  # it takes a while

    lock = FileLock(file, blocking=wait, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(errno.EAGAIN, "locked by another process", str(file)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows removes no file that is open
                file.unlink()
            lock.release()


def is_busy(folder: Path) -> bool:
    """Whether a process works in a folder by :func:`exclusive`."""
    return is_locked(folder / _LOCK)


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock of a file (:func:`locked`); false where that cannot be found out.

    A lock whose holder is gone is removed.
    """
    if not is_file(file):
        return False
    try:
        with locked(file, wait=False):
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def exists(path: Path | str) -> bool:
    """Whether there is a file or a folder; a text that can be no path, for example a long one, is none."""
    return _is(Path(path).exists)


def is_file(path: Path | str) -> bool:
    """Whether there is a regular file; see :func:`exists`."""
    return _is(Path(path).is_file)


def is_folder(path: Path | str) -> bool:
    """Whether there is a folder; see :func:`exists`."""
    return _is(Path(path).is_dir)


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except (OSError, ValueError):
        return False


def require_regular(path: Path | str, error: type[EdnasError] = EdnasError) -> None:
    """Refuse what is there but is no regular file: a device or a pipe may never end.

    Raises:
        EdnasError: (of class ``error``) it is a folder, a device, a pipe, ...
    """
    if exists(path) and not is_file(path):
        raise error(f"{path}: is no regular file")


def require_writable(path: Path, error: type[EdnasError] = EdnasError) -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises:
        EdnasError: (of class ``error``) it is a folder, or its folder cannot be written to.
    """
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as cause:
        raise error(f"cannot write {path}: {cause.strerror} ({folder}); choose another place") from None


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` atomically (UTF-8)."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV below a line of the columns; what a row lacks is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_json(path: Path | str, error: type[EdnasError] = EdnasError) -> Any:
    """Read a JSON file; every failure is one ``error`` that names the file.

    Args:
        path: The file.
        error: The class of the error to raise.
    """
    require_regular(path, error)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as cause:
        raise error(f"{path}: cannot be read ({cause})") from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{path}: not valid JSON ({cause}); is the file truncated?") from cause
