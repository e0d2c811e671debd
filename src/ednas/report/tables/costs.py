"""What an inference costs: its parts, quantities, parts of the network, layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from ednas.hw.quantities import PARTS, QUANTITIES
from ednas.report.labels import MISSING, show_count, show_latency
from ednas.report.tables.layout import names, new_table, numbers, per_model

if TYPE_CHECKING:
    from ednas.hw.cost import Cost, LayerCost

_ALWAYS_SHOWN = ("energy_mj", "area_mm2", "peak_memory_kb")
_BAR_WIDTH = 12
_ROUNDING = 1e-6

_TIMES = ("latency_ms", "latency_p10_ms", "latency_p90_ms", "dispatch_ms", "transfer_ms", "accelerator_ms", "host_ms")
_SIZES = (
    "accelerator_cycles",
    "energy_mj",
    "area_mm2",
    "peak_memory_kb",
    "parameter_bytes",
    "streamed_bytes",
    "spilled_bytes",
    "instruction_bytes",
)
_SHOW: Mapping[str, Callable[[float], str]] = {
    **dict.fromkeys(("ms", "mJ", "mm²"), show_latency),
    **dict.fromkeys(("", "B"), show_count),
    "KiB": "{:,.0f}".format,
}
"""How values of a unit are written side by side."""


def parts_table(cost: Cost, name: str = "") -> Table:
    """Return the parts of one inference with their times: call, transfer, accelerator, host.

    Args:
        cost: The cost.
        name: The network's name.
    """
    title = f"{name + ' on ' if name else ''}{cost.target}: {show_latency(cost.latency_ms)} ms{_sureness(cost)}"
    table = new_table(title, "Part", *_time_columns(), "What it is")
    for part, value, what in (
        ("call", cost.dispatch_ms, "fixed time of a call"),
        ("transfer", cost.transfer_ms, "input, outputs, instructions"),
        ("accelerator", cost.accelerator_ms, _bounds(cost)),
        ("host", cost.host_ms, _host_reason(cost)),
    ):
        if value is not None:
            table.add_row(part, *_time(value, cost), Text(what))
    table.add_section()
    table.add_row("total", *_time(cost.latency_ms, cost), style="bold")
    if cost.notes:
        table.caption = Text("\n".join(cost.notes))
    return table


def costs_table(costs: Sequence[Cost], *, times: bool = True) -> Table:
    """Return costs side by side, one a column; a dash where a source does not tell.

    What no source tells is left out, but for energy, area and memory: that they are unknown is worth knowing.

    Args:
        costs: The costs.
        times: Whether to begin with the times.
    """
    table = new_table("Costs", "Quantity", "Unit", *per_model(*[cost.target for cost in costs]))
    known = {**QUANTITIES, **PARTS}
    for name in (*(_TIMES if times else ()), *_SIZES):
        values = [getattr(cost, name) for cost in costs]
        if name not in _ALWAYS_SHOWN and set(values) == {None}:
            continue
        title, unit = known[name].title.capitalize(), known[name].unit
        table.add_row(title, unit, *[MISSING if value is None else _SHOW[unit](value) for value in values])
    if len(costs) > 1:
        table.caption = Text("\n".join(f"{cost.target}: {note}" for cost in costs for note in cost.notes))
    return table


def _sureness(cost: Cost) -> str:
    """Return between what the latency is likely to be."""
    if cost.latency_p10_ms is None or cost.latency_p90_ms is None:
        return ""
    return f" (8 of 10 such networks: {show_latency(cost.latency_p10_ms)} to {show_latency(cost.latency_p90_ms)})"


def scopes_table(cost: Cost) -> Table:
    """Return the parts of the network with their times."""
    scopes: dict[str, list[LayerCost]] = {}
    for layer in cost.layers:
        scopes.setdefault(layer.scope, []).append(layer)
    counts = numbers("Layers", "MACs", "Parameters B")
    table = new_table("By part of the network", *names("Part"), *_time_columns(), *counts)
    for scope, layers in scopes.items():
        table.add_row(
            Text(scope),
            *_time(sum(layer.latency_ms for layer in layers), cost),
            str(len(layers)),
            show_count(sum(layer.macs for layer in layers)),
            show_count(sum(layer.parameter_bytes or 0 for layer in layers)),
        )
    return table


def layers_table(cost: Cost, largest: int | None = None) -> Table:
    """Return the layers with their times, what limits each, and why the host runs it; then the rest and the total.

    Args:
        cost: The cost.
        largest: Show so many of the slowest layers only, the slowest first; all in the order of execution by default.
    """
    layers = list(cost.layers)
    if largest is not None:
        layers = sorted(layers, key=lambda layer: -layer.latency_ms)[:largest]
    moves = [("Streamed B", "streamed_bytes"), ("Spilled B", "spilled_bytes")]
    moves = [(heading, key) for heading, key in moves if any(getattr(layer, key) for layer in cost.layers)]
    parts = ["Part"] if len({layer.scope for layer in layers}) > 1 else []
    has_reasons = any(layer.reason for layer in layers)
    title = "Layers" if len(layers) == len(cost.layers) else f"The {len(layers)} slowest of {len(cost.layers)} layers"
    blanks = [""] * (1 + len(parts))
    figures = numbers("MACs", "Busy %", *(heading for heading, _ in moves))
    reasons = [Column("Why on the host", overflow="fold", max_width=60)] if has_reasons else []
    table = new_table(title, *names("Layer", *parts, "Operator"), *_time_columns(), "Bound by", *figures, *reasons)
    for layer in layers:
        table.add_row(
            *map(Text, (layer.name, *([layer.scope] if parts else []), layer.op)),
            *_time(layer.latency_ms, cost),
            Text(layer.bound_by or MISSING),
            show_count(layer.macs),
            f"{100 * layer.utilisation:.0f}" if layer.cycles and layer.utilisation is not None else MISSING,
            *[show_count(getattr(layer, key)) for _, key in moves],
            *([Text(layer.reason)] if has_reasons else []),
        )
    table.add_section()
    layers_ms = sum(layer.latency_ms for layer in layers)
    rest = len(cost.layers) - len(layers)
    if rest:
        rest_ms = sum(layer.latency_ms for layer in cost.layers) - layers_ms
        table.add_row(f"{rest} more", *blanks, *_time(rest_ms, cost))
    fixed_ms = cost.latency_ms - sum(layer.latency_ms for layer in cost.layers)
    if fixed_ms > _ROUNDING * cost.latency_ms:
        table.add_row("call, transfer", *blanks, *_time(fixed_ms, cost))
    table.add_row("total", *blanks, *_time(cost.latency_ms, cost), style="bold")
    return table


def _time_columns() -> list[Column]:
    return [*numbers("Time ms", "%"), Column("", width=_BAR_WIDTH, no_wrap=True)]


def _time(milliseconds: float, cost: Cost) -> tuple[RenderableType, ...]:
    """Return a time, its share of the latency in percent, and a bar."""
    share = milliseconds / cost.latency_ms if cost.latency_ms > 0 else 0.0
    return f"{milliseconds:.4f}", f"{100 * share:.1f}", Bar(1.0, 0.0, min(share, 1.0), width=_BAR_WIDTH, color="blue")


def _bounds(cost: Cost) -> str:
    """Return how much of the accelerator's time is bound by what: ``compute 1.20, parameters 0.30``."""
    times: dict[str, float] = {}
    for layer in cost.layers:
        if layer.bound_by and layer.where == "accelerator" and layer.latency_ms > 0:
            times[layer.bound_by] = times.get(layer.bound_by, 0.0) + layer.latency_ms
    return ", ".join(f"{bound} {show_latency(value)}" for bound, value in sorted(times.items(), key=lambda t: -t[1]))


def _host_reason(cost: Cost) -> str:
    reasons = [layer.reason for layer in cost.layers if layer.reason]
    layers = f"{len(reasons)} layers, the first" if len(reasons) > 1 else "1 layer"
    return f"{layers}: {reasons[0]}" if reasons else ""
