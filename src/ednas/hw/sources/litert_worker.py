"""The process that runs TFLite and ONNX files and times them; started as a script by :mod:`ednas.hw.sources.litert`.

It imports nothing of ednas, so that it starts in a fraction of a second and works in any Python that has the runtime.
The request comes as JSON in the only argument; the answer is the last line of the output: the times, or an error.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ONNX_TYPES = {"float": "float32", "double": "float64"}
"""NumPy's names of ONNX's types where they differ."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Time networks that run one after another; return medians in ms and the peak memory in KiB, or what is in the way.

    Args:
        request: ``models`` (paths; those that end with ``.onnx`` run in ONNX Runtime, the others in LiteRT),
            ``threads``, ``warmup`` and ``runs`` (counts), and ``delegate`` (a library for LiteRT, or null) with its
            ``options``.
    """
    models = request["models"]
    try:
        _import_runtimes(models)
    except ImportError as error:
        return _error("package", error)
    delegates = []
    if request["delegate"] is not None:
        from ai_edge_litert.interpreter import load_delegate

        try:
            delegates.append(load_delegate(request["delegate"], request["options"]))
        except OSError as error:
            return _error("library", error)
        except ValueError as error:
            return _error("device", error)
    before_kb = _peak_memory_kb()
    model = models[0]  # which one an error is about
    try:
        calls: list[Callable[[], object]] = []
        for model in models:
            load = _onnx if _is_onnx(model) else _litert
            calls.append(load(model, request["threads"], delegates))
        walls, processors = [], []
        for _ in range(request["warmup"] + request["runs"]):
            processor, times = time.process_time(), [time.perf_counter()]
            for index, call in enumerate(calls):
                model = models[index]
                call()
                times.append(time.perf_counter())
            processors.append(time.process_time() - processor)
            walls.append(times)
    except Exception as error:  # each runtime has exceptions of its own
        return _error("model", error) | {"model": model}
    peak_kb = _peak_memory_kb()
    walls, processors = walls[request["warmup"] :], processors[request["warmup"] :]
    return {
        "latency_ms": statistics.median(times[-1] - times[0] for times in walls) * 1e3,
        "parts_ms": [
            statistics.median(times[number + 1] - times[number] for times in walls) * 1e3
            for number in range(len(models))
        ],
        "processor_ms": statistics.median(processors) * 1e3,
        "peak_memory_kb": None if peak_kb is None or before_kb is None else peak_kb - before_kb,
    }


def profile(request: dict[str, Any]) -> dict[str, Any]:
    """Return ONNX Runtime's own times: ``operators``, the count and the ms of one inference by operator.

    Args:
        request: As for :func:`main`, with one ONNX file.
    """
    model = request["models"][0]
    try:
        _import_runtimes([model])
    except ImportError as error:
        return _error("package", error)
    with tempfile.TemporaryDirectory(prefix="ednas-") as folder:
        try:
            session, feeds = _onnx_session(model, request["threads"], f"{folder}/profile")
            for _ in range(request["warmup"] + request["runs"]):
                session.run(None, feeds)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        except Exception as error:  # the runtime has exceptions of its own
            return _error("model", error) | {"model": model}
    nodes: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes[event["name"], event["args"]["op_name"]].append(event["dur"] / 1e3)
    operators: dict[str, list[float]] = {}
    for (_, op), times in nodes.items():
        count, total_ms = operators.get(op, (0, 0.0))
        operators[op] = [count + 1, total_ms + statistics.median(times[request["warmup"] :])]
    return {"operators": operators}


def _is_onnx(model: str) -> bool:
    return model.endswith(".onnx")


def _import_runtimes(models: list[str]) -> None:
    """Import what the models need, so that it counts as no model's memory."""
    import numpy  # noqa: F401

    if any(_is_onnx(model) for model in models):
        import onnxruntime  # noqa: F401
    if not all(_is_onnx(model) for model in models):
        import ai_edge_litert.interpreter  # noqa: F401


def _litert(model: str, threads: int, delegates: list[Any]) -> Callable[[], object]:
    """Return what runs a TFLite file once."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model, experimental_delegates=delegates, num_threads=threads)
    interpreter.allocate_tensors()
    numbers = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], numbers.integers(0, 100, detail["shape"]).astype(detail["dtype"]))
    return interpreter.invoke  # type: ignore[no-any-return]


def _onnx(model: str, threads: int, delegates: list[Any]) -> Callable[[], object]:
    """Return what runs an ONNX file once."""
    del delegates
    session, feeds = _onnx_session(model, threads, None)
    return lambda: session.run(None, feeds)


def _onnx_session(model: str, threads: int, profile_prefix: str | None) -> tuple[Any, dict[str, Any]]:
    """Return ONNX Runtime's session and its inputs."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    numbers = np.random.default_rng(0)
    feeds = {}
    for value in session.get_inputs():
        shape = [1 if number == 0 and not isinstance(side, int) else side for number, side in enumerate(value.shape)]
        if not all(isinstance(side, int) for side in shape):
            raise ValueError(f"input '{value.name}' has the open shape {value.shape}; export it with fixed sides")
        name = value.type.removeprefix("tensor(").removesuffix(")")
        feeds[value.name] = numbers.integers(0, 100, shape).astype(_ONNX_TYPES.get(name, name))
    return session, feeds


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
    asked = json.loads(sys.argv[1])
    print(json.dumps((profile if asked["profile"] else main)(asked)))
