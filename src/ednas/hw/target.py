"""Hardware targets: one YAML file each, every number with its unit in the key and its provenance beside it."""

from __future__ import annotations

import difflib
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ednas.config import StrictModel, parse, read_yaml
from ednas.exceptions import TargetError
from ednas.hw import ops


class Figure(StrictModel):
    """A number of the hardware.

    Attributes:
        value: The number, in the unit that the key names; never negative.
        provenance: ``measured`` (on the hardware, or decoded from what its compiler writes), ``published`` (by the
            vendor, or in its public source) or ``assumed``.
        source: Where it comes from, for people.
    """

    value: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
    provenance: Literal["measured", "published", "assumed"]
    source: Annotated[str, Field(min_length=1)]


class PositiveFigure(Figure):
    """A number that must not be 0 either."""

    value: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]


Count = Annotated[int, Field(ge=1, le=4096, strict=True)]


class ArrayConfig(StrictModel):
    """The array of processing tiles; see :mod:`ednas.hw.mapping` for the meaning of the factors."""

    tiles_high: Count
    tiles_wide: Count
    lanes_per_tile: Count
    clock_mhz: PositiveFigure
    pointwise_factor: PositiveFigure
    dense_factor: PositiveFigure
    depthwise_factor: PositiveFigure
    elementwise_factor: PositiveFigure
    move_factor: PositiveFigure


class MemoryConfig(StrictModel):
    """On-chip parameter cache and the instruction stream."""

    parameter_cache_mib: Figure
    scale_bytes_per_filter: Figure
    instruction_bytes_per_layer: Figure
    instruction_bytes_per_cycle: Figure


class BusConfig(StrictModel):
    """The link between host and accelerator."""

    bandwidth_mb_per_s: PositiveFigure
    dispatch_ms: Figure


class HostConfig(StrictModel):
    """The processor that runs what the accelerator cannot."""

    element_ns: Figure
    custom_element_ns: Figure
    convolution_gmac_per_s: PositiveFigure
    memory_mib: PositiveFigure


class OperatorConfig(StrictModel):
    """What the accelerator's compiler maps."""

    supported: tuple[str, ...]
    grouped_convolution: Literal["supported", "rejected"]
    largest_resize: PositiveFigure

    @field_validator("supported")
    @classmethod
    def _check_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in ops.BUILTIN:
                near = difflib.get_close_matches(name, ops.BUILTIN, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise ValueError(f"'{name}' is not a TFLite operator{hint}")
        return names


class Target(StrictModel):
    """An accelerator and its host.

    Attributes:
        name: Short name, for example ``coral_usb``.
        title: Name for people.
        array: Compute.
        memory: On-chip memory.
        bus: Link to the host.
        host: The host.
        operators: What the accelerator can run.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    title: str
    array: ArrayConfig
    memory: MemoryConfig
    bus: BusConfig
    host: HostConfig
    operators: OperatorConfig

    def __hash__(self) -> int:
        # Equal targets have equal names; hashing every number would cost more than the simulation.
        return hash(self.name)


def target_names() -> tuple[str, ...]:
    """Return the names of the built-in targets."""
    return tuple(
        sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))
    )


def load_target(name_or_path: str | Path) -> Target:
    """Return a built-in target or read a file of the user's own.

    Args:
        name_or_path: One of :func:`target_names`, or the path of a YAML file.

    Raises:
        TargetError: There is no such target (the message offers the nearest), or the file is wrong: a key missing or
            misspelt, or a value out of range.
    """
    text = str(name_or_path)
    if text in target_names():
        return _builtin(text)
    path = Path(text)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return parse(Target, read_yaml(path, TargetError), str(path), TargetError)
    near = difflib.get_close_matches(text, target_names(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(target_names())}, or the path of a YAML file"
    raise TargetError(f"unknown target '{text}'; {hint}")


def _folder() -> Traversable:
    return files("ednas.hw") / "targets"


@lru_cache
def _builtin(name: str) -> Target:
    path = Path(str(_folder() / f"{name}.yaml"))
    return parse(Target, read_yaml(path, TargetError), str(path), TargetError)
