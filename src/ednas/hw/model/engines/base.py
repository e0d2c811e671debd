"""What every engine gives: the cycles of one layer, and the bytes that layers move on the chip and to and from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from ednas.config import StrictModel
from ednas.hw.graph.layers import Layer
from ednas.hw.graph.lifetimes import Lifetimes
from ednas.hw.model import memory


class Work(NamedTuple):
    """What one layer asks of an engine.

    Attributes:
        cycles: Cycles of the engine while operands arrive in time.
        on_chip_bytes: Bytes moved between the on-chip memory and the array: activations, parameters, partial sums.
    """

    cycles: int
    on_chip_bytes: int


class Engine(StrictModel, ABC):
    """A way to compute layers: the ``engine`` section of a target, with the model that its numbers are for."""

    fused: ClassVar[frozenset[str]] = frozenset()
    """Operators that become part of the layer before, if nothing else reads that: they take what it does not hide."""

    @property
    @abstractmethod
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a cycle in which every multiplier is busy."""

    @abstractmethod
    def work(self, layer: Layer) -> Work:
        """Return what a layer asks of the engine. Pure: the same for equal layers."""

    @abstractmethod
    def parameter_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's parameters in the engine's layout."""

    def needed_bytes(self, layers: Sequence[Layer], times: Lifetimes, end: int) -> int:
        """Return the bytes of on-chip memory with which no activation leaves the chip.

        Args:
            layers: The layers that the accelerator runs, in the order of execution.
            times: Their tensors' lifetimes.
            end: Tensors that are needed until this layer leave as they are made.
        """
        return memory.striped_bytes(layers, times, end)

    def spilled_bytes(self, layers: Sequence[Layer], times: Lifetimes, capacity: int) -> list[int]:
        """Return the bytes that each layer moves to and from off-chip memory because activations do not fit.

        Args:
            layers: The layers that the accelerator runs, in the order of execution.
            times: Their tensors' lifetimes.
            capacity: Bytes of on-chip memory for activations.
        """
        return memory.spilled_bytes(layers, times, capacity)
