"""Memory of tensors on the CPU: kept between steps instead of being fetched from the system each time."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_LARGEST = 32 << 20  # what glibc allows on 64 bits
_KEEP = 1 << 30


@functools.cache
def keep_freed_memory() -> bool:
    """Make glibc serve tensors of up to 32 MiB from memory that was freed before; True if that worked.

    By default glibc maps each large tensor anew and unmaps it when it is freed, so that the kernel zeroes every page of
    every activation in every step: a quarter of a training step of the base network on two cores. A setting of the
    user's in the environment (``MALLOC_...``, or another allocator preloaded) is left alone.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    if "malloc" in os.environ.get("LD_PRELOAD", ""):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _KEEP), (_TOP_PAD, _LARGEST * 2))
    accepted = [bool(mallopt(*setting)) for setting in settings]
    return all(accepted)
