"""Where latencies come from: one interface for the simulator, a compiler and real devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ednas.arch import Architecture
from ednas.hw.cost import Cost
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.graph.trace import trace_network
from ednas.hw.model.simulator import estimate, simulate
from ednas.hw.model.target import Target


class Source(Protocol):
    """A way to the cost of a network."""

    @property
    def name(self) -> str:
        """What ``--target`` calls it."""
        ...

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return what one inference costs.

        Args:
            graph: The network.
            model: Its ``.tflite`` file, if there is one; else a source that needs a file writes one from the graph.

        Raises:
            TargetError: The source is not available here, or cannot run the network.
        """
        ...


@dataclass(frozen=True)
class Simulated:
    """The simulator of a target.

    Attributes:
        target: The target.
    """

    target: Target

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return the simulated cost; ``model`` is not needed."""
        del model
        return simulate(graph, self.target)


def network_cost(
    source: Source, architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]
) -> Cost:
    """Return what one inference of a multi-task network costs, by the quickest way that the source has.

    The simulator remembers the pieces of networks and needs no graph of the whole; other sources are given one.

    Args:
        source: The source.
        architecture: The network.
        heads: Output channels by task.
        input_size: ``(height, width)`` in pixels.

    Raises:
        TargetError: The source is not available here, or cannot run the network.
    """
    if isinstance(source, Simulated):
        return estimate(architecture, heads, input_size, source.target)
    return source.cost(trace_network(architecture, heads, input_size))
