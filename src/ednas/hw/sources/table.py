"""Latencies added up from a table of layers that a user measured on the device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.hw.cost import Cost, LayerCost
from ednas.hw.graph import ops
from ednas.hw.graph.layers import Layer, LayerGraph
from ednas.hw.sources.base import Source, register_source
from ednas.hw.sources.measurements import ROW_COLUMNS, read_layers, row_values


@dataclass(frozen=True)
class Table(Source):
    """A table of layers with their latencies.

    Attributes:
        path: The CSV file, see :mod:`ednas.hw.sources.measurements`.
    """

    path: Path

    @property
    def name(self) -> str:
        """What ``--target`` calls it."""
        return f"table:{self.path}"

    @cached_property
    def _latencies(self) -> dict[tuple[str, ...], float]:
        """Latencies by layer; the mean of rows that measure the same layer."""
        found: dict[tuple[str, ...], list[float]] = {}
        for layer, latency_ms in read_layers(self.path):
            found.setdefault(row_values(layer), []).append(latency_ms)
        return {key: sum(values) / len(values) for key, values in found.items()}

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return the sum of the layers' latencies; what happens between layers is not in it.

        Args:
            graph: The network.
            model: Not needed.

        Raises:
            TargetError: The table has no row for a layer; the message says how many are missing.
            ConfigError: The table is wrong.
        """
        del model
        missing = self.missing(graph)
        if missing:
            row = ",".join(row_values(missing[0]))
            raise TargetError(
                f"{self.path}: no row for {len(missing)} layer{'s' if len(missing) > 1 else ''}, the first with "
                f"{','.join(ROW_COLUMNS)} {row}; `ednas latency ... --missing-rows FILE.csv` writes them to be "
                "measured; or fit a target to the table: ednas targets calibrate"
            )
        layers = tuple(
            LayerCost(
                layer.name,
                layer.scope,
                layer.op,
                "accelerator",
                latency_ms=self._latencies.get(row_values(layer), 0.0),
                macs=layer.macs,
                parameter_bytes=layer.weight_bytes,
            )
            for layer in graph.layers
        )
        return Cost(
            target=self.name,
            latency_ms=sum(layer.latency_ms for layer in layers),
            parameter_bytes=graph.weight_bytes,
            notes=("the sum of layers that were measured one by one",),
            layers=layers,
        )

    def missing(self, graph: LayerGraph) -> list[Layer]:
        """Return the layers of a network that the table has no row for, each kind once.

        Raises:
            ConfigError: The table is wrong.
        """
        kinds: dict[tuple[str, ...], Layer] = {}
        for layer in graph.layers:
            if layer.op not in ops.RESHAPES:
                kinds.setdefault(row_values(layer), layer)
        return [layer for key, layer in kinds.items() if key not in self._latencies]


def _named(detail: str) -> Table:
    if not detail:
        raise TargetError("table: write table:FILE.csv")
    return Table(Path(detail))


register_source("table", _named)
