"""The end of a process, in words and with its parent's."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ednas.processes import describe_end


@pytest.mark.parametrize(
    ("code", "log", "words"),
    [
        (0, "", "ended with code 0"),
        (3, "first\n  last \n\n", "ended with code 3: last"),
        (None, "", "ended with code None"),
        (-signal.SIGKILL, "", "was killed by SIGKILL"),
        (-signal.SIGSEGV, "half\n", "was killed by SIGSEGV: half"),
        (-250, "", "was killed by signal 250"),
        (1, "x" * 1000, f"ended with code 1: {'x' * 300}"),
    ],
)
def test_an_end_in_words(code: int | None, log: str, words: str) -> None:
    assert describe_end(code, log) == words


def test_what_a_child_gives() -> None:
    code = "import os, signal, sys; print('so far', file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGTERM)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert describe_end(done.returncode, done.stderr) == "was killed by SIGTERM: so far"


PARENT = """
import multiprocessing, time
from ednas.processes import end_with_parent

def work():
    end_with_parent()
    time.sleep(600)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start()
    print("begun", flush=True)
    child.join()
"""


def test_a_worker_ends_with_who_wants_its_work(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"begun\n"
        parent.kill()
        readable, _, _ = select.select([parent.stdout], [], [], 60)  # at its end: nobody can write to it any more
        assert readable
        assert parent.stdout.read() == b""
