"""Sources of latency: the simulator, compilers, this computer, a device, a table of measurements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.hw.sources.base import Simulated, Source, network_cost
from ednas.hw.targets.files import load_target

__all__ = ["SOURCES", "Simulated", "Source", "load_source", "network_cost"]


def _litert(detail: str) -> Source:
    from ednas.hw.sources.litert import LiteRT

    if detail == "float32":
        return LiteRT(dtype="float32", is_strict=True, name="litert:float32")
    if detail == "int8":
        return LiteRT(is_strict=True, name="litert:int8")
    if detail:
        raise TargetError(f"litert:{detail}: LiteRT measures int8 or float32")
    return LiteRT()


def _vela(detail: str) -> Source:
    from ednas.hw.sources.vela import Vela

    return Vela(detail)


def _edgetpu(detail: str) -> Source:
    from ednas.hw.sources.edgetpu import EdgeTpu

    _refuse(detail, "edgetpu")
    return EdgeTpu()


def _edgetpu_compiler(detail: str) -> Source:
    from ednas.hw.sources.edgetpu import EdgeTpuCompiler

    _refuse(detail, "edgetpu_compiler")
    return EdgeTpuCompiler()


def _table(detail: str) -> Source:
    from ednas.hw.sources.table import Table

    if not detail:
        raise TargetError("table: write table:FILE.csv")
    return Table(Path(detail))


def _refuse(detail: str, name: str) -> None:
    if detail:
        raise TargetError(f"{name}:{detail}: '{name}' takes nothing after a colon")


SOURCES: dict[str, Callable[[str], Source]] = {
    "litert": _litert,
    "vela": _vela,
    "edgetpu": _edgetpu,
    "edgetpu_compiler": _edgetpu_compiler,
    "table": _table,
}
"""Sources besides the simulated targets; what follows a colon is theirs."""


def load_source(text: str) -> Source:
    """Return the source that a text names.

    Args:
        text: A target's name or YAML file (simulated); ``litert`` (measured on this computer, a file as it is,
            anything else in int8), ``litert:int8`` or ``litert:float32`` (which refuse a file of another type);
            ``vela:ethos-u55-256`` (Arm's compiler); ``edgetpu`` (a Coral that is plugged in); ``edgetpu_compiler``;
            ``table:FILE.csv`` (measured layers).

    Raises:
        TargetError: There is no such source or target, or its file is wrong.
    """
    name, _, detail = text.partition(":")
    if name in SOURCES:
        return SOURCES[name](detail)
    return Simulated(load_target(text))
