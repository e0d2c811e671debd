"""Nothing half-written is left behind, and what was there stays until the new one is complete."""

from __future__ import annotations

import csv
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from ednas.exceptions import EdnasError
from ednas.files import (
    _HOST,
    atomic_path,
    csv_text,
    exclusive,
    is_busy,
    locked,
    read_json,
    recover,
    require_writable,
    write_json,
)


def test_a_file_is_replaced_when_complete(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"x": 1})
    write_json(tmp_path / "deep" / "a.json", {"x": 2})
    assert read_json(tmp_path / "deep" / "a.json") == {"x": 2}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]


def test_an_error_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(EdnasError, match=r"cannot write .*a: No space left.*choose another place"),
        atomic_path(tmp_path / "a"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_when_complete(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic_path(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def make_folder(path: Path, content: str) -> None:
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / content).write_text(content)


KILLED = """
import os, sys
from pathlib import Path
from ednas.files import atomic_path

after = int(sys.argv[2])
replace = Path.replace


def counted(self, target):
    global after
    if after == 0:
        os._exit(9)
    after -= 1
    return replace(self, target)


Path.replace = counted
with atomic_path(sys.argv[1]) as temporary:
    temporary.mkdir()
    (temporary / "new").write_text("new")
os._exit(9)
"""


@pytest.mark.parametrize(("renames", "left"), [(0, "old"), (1, "new")])
def test_a_kill_at_any_moment_of_the_replacement_loses_nothing(tmp_path: Path, renames: int, left: str) -> None:
    place = tmp_path / "run" / "folder"
    make_folder(place, "old")
    make_folder(place.with_name("folder.other"), "other")
    killed = subprocess.run([sys.executable, "-c", KILLED, place, str(renames)], check=False)
    assert killed.returncode == 9
    assert len(list(place.parent.iterdir())) > (2 if renames == 0 else 1)
    recover(place)
    assert [p.name for p in place.iterdir()] == [left]
    assert sorted(p.name for p in place.parent.iterdir()) == ["folder", "folder.other"]


@pytest.mark.parametrize(("host", "pid"), [(_HOST, None), (_HOST, 1), ("another_computer", 77)])
def test_a_folder_aside_comes_back_whoever_seems_to_be_at_it(tmp_path: Path, host: str, pid: int | None) -> None:
    aside = tmp_path / f".folder.{host}-{pid or os.getpid()}.x"
    make_folder(aside / "folder", "new")
    make_folder(aside / "folder.old", "old")
    recover(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()  # it may be done in a moment
    os.utime(aside, (0, 0))
    recover(tmp_path / "folder")
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_an_error_in_the_middle_of_the_replacement_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path / "folder", "old")
    replace = Path.replace
    calls: list[Path] = []

    def failing(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == 2:
            raise OSError(errno.EIO, "broken disk")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(EdnasError, match="broken disk"):
        make_folder(tmp_path / "folder", "new")
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_what_others_write_at_the_moment_is_left_alone(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("half")
        recover(tmp_path / "a")
        assert temporary.exists()
    for name in (".a.notes", ".a.elsewhere-1.x", ".a.mine"):
        (tmp_path / name).mkdir()
    recover(tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from ednas.files import exclusive\nwith exclusive(pathlib.Path(sys.argv[1])): print('in')"
    )

    def other() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True, check=False
        )

    with exclusive(tmp_path / "run"):
        assert "another process works in this folder" in other().stderr
    assert other().stdout == "in\n"
    assert list((tmp_path / "run").iterdir()) == []


def hold(file: Path) -> subprocess.Popen[str]:
    """Start a process that holds a lock until it is told to end, and wait until it does."""
    code = (
        "import sys, pathlib; from ednas.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), wait=True): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, file]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def test_whether_somebody_works_in_a_folder_can_be_asked(tmp_path: Path) -> None:
    assert not is_busy(tmp_path)
    with exclusive(tmp_path):
        assert is_busy(tmp_path)
        assert is_busy(tmp_path)  # asking takes nothing from the holder
        with pytest.raises(EdnasError, match="another process works in this folder"), exclusive(tmp_path):
            pass
    assert not is_busy(tmp_path)
    (tmp_path / ".lock").touch()  # of a process that was killed
    assert not is_busy(tmp_path)
    assert not is_busy(tmp_path / "gone")


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as holder:
        with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
            pass
        holder.communicate("")
        with locked(tmp_path / "lock", wait=True) as held:
            assert held
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_does_not_block(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as holder:
        holder.kill()
    assert (tmp_path / "lock").exists()
    with locked(tmp_path / "lock", wait=False) as held:
        assert held
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_locks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(lock: FileLock) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "_acquire", refuse)
    with locked(tmp_path / "lock", wait=False) as first, locked(tmp_path / "lock", wait=False) as second:
        assert (first, second) == (False, False)


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / "lock", wait=False):
        pass


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_wrong_json_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(EdnasError, match="a.json"):
        read_json(tmp_path / "a.json")


def test_csv_is_read_as_it_was_written() -> None:
    rows = [{"name": 'a "b", c', "value": 0.1}, {"value": None, "name": "two\nlines"}, {"name": "x"}]
    text = csv_text(["name", "value"], rows)
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"name": 'a "b", c', "value": "0.1"},
        {"name": "two\nlines", "value": ""},
        {"name": "x", "value": ""},
    ]


def test_what_cannot_be_written_is_told_before(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "a.txt")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EdnasError, match=f"cannot write {tmp_path}: is a folder"):
        require_writable(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(EdnasError, match="cannot write .*; choose another place"):
        require_writable(tmp_path / "file" / "a.txt")
