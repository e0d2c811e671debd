"""What a network costs, quantity by quantity: title, unit and format, for limits, tables, reports and texts alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_LARGEST_ROUNDING = 0.05


@dataclass(frozen=True)
class Quantity:
    """One of the costs of a network; lower is better.

    Attributes:
        title: Name for people.
        unit: Unit for people; empty for counts.
        style: How a value is formatted.
        is_fixed: Whether the device alone decides it, so that all networks have the same.
    """

    title: str
    unit: str
    style: str
    is_fixed: bool = False

    def show(self, value: float) -> str:
        """Return a value with its unit; with three significant digits where the style would round most of it away."""
        text = f"{value:{self.style}}"
        is_lost = abs(float(text.replace(",", "")) - value) > _LARGEST_ROUNDING * abs(value)
        return f"{f'{value:.3g}' if is_lost else text} {self.unit}".rstrip()


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        "latency_ms": Quantity("latency", "ms", ".2f"),
        "latency_p90_ms": Quantity("latency p90", "ms", ".2f"),
        "energy_mj": Quantity("energy", "mJ", ".3f"),
        "area_mm2": Quantity("area", "mm²", ".2f", is_fixed=True),
        "peak_memory_kb": Quantity("peak memory", "KiB", ",.0f"),
        "accelerator_cycles": Quantity("cycles", "", ",.0f"),
        "host_ms": Quantity("host time", "ms", ".2f"),
        "streamed_bytes": Quantity("streamed parameters", "B", ",.0f"),
        "spilled_bytes": Quantity("spilled activations", "B", ",.0f"),
        "params": Quantity("parameters", "", ",.0f"),
        "macs": Quantity("MACs", "", ",.0f"),
    }
)
"""What a search can limit and draw its Pareto set over, by the names that configurations and results use; a source may
know fewer."""

PARTS: Mapping[str, Quantity] = MappingProxyType(
    {
        "latency_p10_ms": Quantity("latency p10", "ms", ".2f"),
        "dispatch_ms": Quantity("call", "ms", ".2f"),
        "transfer_ms": Quantity("transfer", "ms", ".2f"),
        "accelerator_ms": Quantity("accelerator time", "ms", ".2f"),
        "parameter_bytes": Quantity("parameters", "B", ",.0f"),
        "instruction_bytes": Quantity("instructions", "B", ",.0f"),
    }
)
"""What else a :class:`~ednas.hw.cost.Cost` holds: the parts of its sums."""


def show(name: str, value: float) -> str:
    """Return a quantity for people: ``latency 5.00 ms``."""
    return f"{QUANTITIES[name].title} {QUANTITIES[name].show(value)}"
