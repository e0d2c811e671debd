"""Latencies added up from a table of layers that a user measured on the device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.hw import ops
from ednas.hw.cost import Cost, LayerCost
from ednas.hw.graph import Layer, LayerGraph
from ednas.hw.measurements import read_layers

_Key = tuple[object, ...]


@dataclass(frozen=True)
class Table:
    """A table of layers with their latencies.

    Attributes:
        path: The CSV file, see :mod:`ednas.hw.measurements`.
    """

    path: Path

    @property
    def name(self) -> str:
        """What ``--target`` calls it."""
        return f"table:{self.path}"

    @cached_property
    def _latencies(self) -> dict[_Key, float]:
        """Latencies by layer; the mean of rows that measure the same layer."""
        found: dict[_Key, list[float]] = {}
        for layer, latency_ms in read_layers(self.path):
            found.setdefault(_key(layer), []).append(latency_ms)
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
        latencies = self._latencies
        missing = [layer for layer in graph.layers if layer.op not in ops.RESHAPES and _key(layer) not in latencies]
        if missing:
            raise TargetError(
                f"{self.path}: no row for {len({_key(layer) for layer in missing})} layers, the first is "
                f"{_row(missing[0])}; measure them too, or fit a target to the table: ednas targets calibrate"
            )
        layers = tuple(
            LayerCost(layer.name, layer.scope, layer.op, "accelerator", "compute", latencies.get(_key(layer), 0.0))
            for layer in graph.layers
        )
        return Cost(
            target=self.name,
            latency_ms=sum(layer.latency_ms for layer in layers),
            notes=("the sum of layers that were measured one by one",),
            layers=layers,
        )


def _key(layer: Layer) -> _Key:
    return layer.op, layer.input, layer.output, layer.kernel, layer.stride, layer.dilation, layer.groups


def _row(layer: Layer) -> str:
    """Return a layer as a row of the table."""
    shapes = ["x".join(map(str, sides)) for sides in (layer.input, layer.output, layer.kernel)]
    return ",".join([layer.op, *shapes, str(layer.stride), str(layer.groups)])
