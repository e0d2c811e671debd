"""The process that runs a TFLite file and times it; started as a script by :mod:`ednas.hw.sources.litert`.

It imports nothing of ednas, so that it starts in a fraction of a second and works in any Python that has the runtime.
The request comes as JSON in the only argument; the answer is the last line of the output: the times, or an error.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Time a network; return medians in ms and the peak memory in KiB, or what is in the way.

    Args:
        request: ``model`` (path), ``threads``, ``warmup`` and ``runs`` (counts), and ``delegate`` (a library, or null)
            with its ``options``.
    """
    try:
        import numpy as np
        from ai_edge_litert.interpreter import Interpreter, load_delegate
    except ImportError as error:
        return _error("package", error)
    delegates = []
    if request["delegate"] is not None:
        try:
            delegates.append(load_delegate(request["delegate"], request["options"]))
        except OSError as error:
            return _error("library", error)
        except ValueError as error:
            return _error("device", error)
    before_kb = _peak_memory_kb()
    try:
        interpreter = Interpreter(request["model"], experimental_delegates=delegates, num_threads=request["threads"])
        interpreter.allocate_tensors()
        numbers = np.random.default_rng(0)
        for detail in interpreter.get_input_details():
            noise = numbers.integers(0, 100, detail["shape"]).astype(detail["dtype"])
            interpreter.set_tensor(detail["index"], noise)
        for _ in range(request["warmup"]):
            interpreter.invoke()
        walls, processors = [], []
        for _ in range(request["runs"]):
            wall, processor = time.perf_counter(), time.process_time()
            interpreter.invoke()
            processors.append(time.process_time() - processor)
            walls.append(time.perf_counter() - wall)
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        return _error("model", error)
    peak_kb = _peak_memory_kb()
    return {
        "latency_ms": statistics.median(walls) * 1e3,
        "processor_ms": statistics.median(processors) * 1e3,
        "peak_memory_kb": None if peak_kb is None or before_kb is None else peak_kb - before_kb,
    }


def _error(kind: str, error: BaseException) -> dict[str, Any]:
    return {"error": kind, "message": " ".join(str(error).split())[:300] or type(error).__name__}


def _peak_memory_kb() -> int | None:
    """Return the most memory that this process has held, KiB; None where Linux's ``/proc`` is missing.

    Not ``getrusage``: that counts what the process held before it became this program.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
