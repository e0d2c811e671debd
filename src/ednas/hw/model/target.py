"""A hardware target: an accelerator and its host, every number with its unit and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, field_validator

from ednas.config import StrictModel
from ednas.hw.graph.layers import Precision
from ednas.hw.model.energy import AreaConfig, EnergyConfig
from ednas.hw.model.engines import AnyEngine
from ednas.hw.model.errors import ErrorConfig
from ednas.hw.model.figure import Figure, PositiveFigure
from ednas.hw.model.operators import OperatorConfig

Compiler = Literal["vela", "edgetpu_compiler"]
"""Vendors' compilers that tell what they map."""


def check_name(name: str) -> str:
    """Return a target's name if it is one: it stands in tables, options and file names.

    Raises:
        ValueError: It is not.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError("a target's name is made of letters, digits, '_', '-' and '.'")
    return name


class MemoryConfig(StrictModel):
    """The accelerator's memories.

    Attributes:
        parameter_cache_kib: On-chip memory that keeps parameters between inferences; what does not fit is streamed
            from off-chip memory at each inference.
        activation_kib: On-chip memory for activations; what does not fit is written to off-chip memory and read back.
            None = activations are never moved off the chip.
        on_chip_gb_per_s: Bandwidth between on-chip memory and array; None = never the limit.
        off_chip_gb_per_s: Bandwidth of the off-chip memory; None = there is none but the host's, behind the link.
    """

    parameter_cache_kib: Figure
    activation_kib: PositiveFigure | None = None
    on_chip_gb_per_s: PositiveFigure | None = None
    off_chip_gb_per_s: PositiveFigure | None = None


class LinkConfig(StrictModel):
    """The link between host and accelerator.

    Attributes:
        bandwidth_mb_per_s: For inputs, outputs and instructions.
        dispatch_ms: Fixed time of a call.
        instruction_bytes_per_layer: Instructions sent at each inference, per layer.
        instruction_bytes_per_cycle: Instructions sent at each inference, per cycle.
    """

    bandwidth_mb_per_s: PositiveFigure
    dispatch_ms: Figure
    instruction_bytes_per_layer: Figure
    instruction_bytes_per_cycle: Figure


class HostConfig(StrictModel):
    """The processor that runs what the accelerator cannot.

    Attributes:
        element_ns: Time of an element of an operator without multiplications.
        custom_element_ns: Time of an input element of a custom operator.
        convolution_gmac_per_s: Rate of convolutions and matrix products.
        memory_mib: Its memory.
    """

    element_ns: Figure
    custom_element_ns: Figure
    convolution_gmac_per_s: PositiveFigure
    memory_mib: PositiveFigure


class Target(StrictModel):
    """An accelerator and its host.

    Attributes:
        name: Short name, for example ``coral_usb``.
        title: Name for people.
        precision: Type in which the device computes every network, whatever type its file has; None = the file's.
        compiler: Who confirms what the accelerator runs, where it is installed; None = nobody.
        engine: What computes.
        memory: The accelerator's memories.
        link: Link to the host.
        host: The host.
        operators: What the accelerator can run.
        energy: What operations cost; None = unknown.
        area: What the accelerator's parts take; None = unknown.
        errors: How far off its estimates were, by kinds of networks; empty = not compared with anything.
    """

    name: Annotated[str, AfterValidator(check_name)]
    title: str
    precision: Precision | None = None
    compiler: Compiler | None = None
    engine: AnyEngine
    memory: MemoryConfig
    link: LinkConfig
    host: HostConfig
    operators: OperatorConfig
    energy: EnergyConfig | None = None
    area: AreaConfig | None = None
    errors: tuple[ErrorConfig, ...] = ()

    @field_validator("errors")
    @classmethod
    def _are_of_different_kinds(cls, errors: tuple[ErrorConfig, ...]) -> tuple[ErrorConfig, ...]:
        if len({error.kind for error in errors}) < len(errors):
            raise ValueError("each kind of networks stands once")
        return errors

    def __hash__(self) -> int:
        # Equal targets have equal names; hashing every number would cost more than the simulation.
        return hash(self.name)

    def figures(self) -> dict[str, Figure]:
        """Return every number that tells where it comes from, by its path, for example ``engine.clock_mhz``."""
        return dict(_figures(self, ""))


def _figures(section: BaseModel, path: str) -> Iterator[tuple[str, Figure]]:
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, Figure):
            yield path + key, value
        elif isinstance(value, BaseModel):
            yield from _figures(value, f"{path}{key}.")
