"""What layers move, and what the memories allow."""

from __future__ import annotations

from dataclasses import dataclass

from ednas.hw.cost import LayerCost
from ednas.hw.model.target import Target


@dataclass(frozen=True)
class Roof:
    """What a memory allows: ``bytes per second`` times the intensity, for dots of that memory.

    Attributes:
        title: The memory, for people.
        bytes_per_s: Its bandwidth.
        is_off_chip: Whether it is off the chip.
    """

    title: str
    bytes_per_s: float
    is_off_chip: bool


def moved_bytes(layer: LayerCost, is_off_chip: bool) -> int:
    """Return the bytes of a layer's traffic from and to off-chip memory, or on the chip; 0 where none is known."""
    return (layer.streamed_bytes or 0) + (layer.spilled_bytes or 0) if is_off_chip else layer.on_chip_bytes or 0


def memory_roofs(target: Target | None) -> list[Roof]:
    """Return the memories' bandwidths; where there is no off-chip memory, the link stands for it."""
    if target is None:
        return []
    on_chip, off_chip = target.memory.on_chip_gb_per_s, target.memory.off_chip_gb_per_s
    roofs = [Roof("on-chip memory", on_chip.value * 1e9, is_off_chip=False)] if on_chip else []
    if off_chip:
        return [*roofs, Roof("off-chip memory", off_chip.value * 1e9, is_off_chip=True)]
    return [*roofs, Roof("link", target.link.bandwidth_mb_per_s.value * 1e6, is_off_chip=True)]
