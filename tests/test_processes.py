"""The end of a process in words."""

from __future__ import annotations

import signal
import subprocess
import sys

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
