"""What every engine gives: the cycles of one layer and the bytes that it moves on the chip."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ednas.hw.graph.layers import Layer
from ednas.hw.model.figure import PositiveFigure


class Work(NamedTuple):
    """What one layer asks of an engine.

    Attributes:
        cycles: Cycles of the engine while operands arrive in time.
        on_chip_bytes: Bytes moved between the on-chip memory and the array: activations, parameters, partial sums.
    """

    cycles: int
    on_chip_bytes: int


class Engine(Protocol):
    """A way to compute layers: the ``engine`` section of a target, with the model that its numbers are for."""

    @property
    def kind(self) -> str:
        """The name of the engine in a target's file."""
        ...

    @property
    def clock_mhz(self) -> PositiveFigure:
        """Its clock, MHz."""
        ...

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a cycle in which every multiplier is busy."""
        ...

    def work(self, layer: Layer) -> Work:
        """Return what a layer asks of the engine. Pure: the same for equal layers."""
        ...

    def parameter_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's parameters in the engine's layout."""
        ...
