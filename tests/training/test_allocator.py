"""Freed memory is kept, counted by the pages that the kernel has to hand out; a user's own setting is left alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ednas.training.allocator import keep_freed_memory

SCRIPT = """
import ctypes, resource, sys
from ednas.training.allocator import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
size = 16 << 20

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        place = libc.malloc(size)
        ctypes.memset(place, 1, size)
        libc.free(place)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

anew = faults()
assert keep_freed_memory()
faults()
print(anew, faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_pages_are_not_fetched_again() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "LD_PRELOAD"))}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=clean, capture_output=True, text=True, check=True)
    anew, kept = map(int, done.stdout.split())
    assert kept < anew / 10


@pytest.mark.parametrize("setting", [{"MALLOC_ARENA_MAX": "2"}, {"LD_PRELOAD": "libjemalloc.so"}])
def test_a_setting_of_the_users_own_is_left_alone(monkeypatch: pytest.MonkeyPatch, setting: dict[str, str]) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    assert keep_freed_memory.__wrapped__() is False


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ednas.training.allocator.sys.platform", "darwin")
    assert keep_freed_memory.__wrapped__() is False
