"""Where latencies come from: one interface for the simulator, compilers and real devices, and how one is found by name.

A new source is one file in this folder and a line in :data:`_BUILT_IN`; a user's own is a file that is given as a
plugin. Either ends with::

    class Stopwatch(Source):
        name = "stopwatch"

        def cost(self, graph, model=None):
            return Cost(self.name, latency_ms=...)


    register_source("stopwatch", lambda detail: Stopwatch())
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ednas.arch import Architecture
from ednas.exceptions import ConfigError
from ednas.hw.cost import Cost
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.model.simulator import estimate, simulate
from ednas.hw.model.target import Target
from ednas.hw.targets.files import load_target, target_names


class Source(ABC):
    """A way to the cost of a network.

    Attributes:
        target: The hardware that it simulates; None: it measures, or asks somebody else, and what it says of a network
            need not be the same twice.
    """

    target: Target | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """What ``--target`` calls it."""

    @abstractmethod
    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return what one inference costs.

        Args:
            graph: The network.
            model: Its ``.tflite`` file, if there is one; else a source that needs a file writes one from the graph.

        Raises:
            TargetError: The source is not available here, or cannot run the network.
        """

    def network_cost(self, architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> Cost:
        """Return what one inference of a multi-task network costs, by the quickest way that the source has.

        Args:
            architecture: The network.
            heads: Output channels by task.
            input_size: ``(height, width)`` in pixels.

        Raises:
            TargetError: The source is not available here, or cannot run the network.
        """
        from ednas.hw.graph.trace import trace_network

        return self.cost(trace_network(architecture, heads, input_size))

    def definition(self) -> dict[str, Any]:
        """Return what identifies the source, as JSON values: a search is not resumed with another one."""
        return {"name": self.name}


class Simulated(Source):
    """The simulator of a target, which remembers the pieces of networks."""

    def __init__(self, target: Target) -> None:
        self.target: Target = target

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return the simulated cost; ``model`` is not needed."""
        del model
        return simulate(graph, self.target)

    def network_cost(self, architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> Cost:
        """Return the simulated cost; see :meth:`Source.network_cost`."""
        return estimate(architecture, heads, input_size, self.target)

    def definition(self) -> dict[str, Any]:
        """Return all of the target on which a cost depends."""
        return self.target.model_dump(mode="json", exclude={"compiler"})


SourceFactory = Callable[[str], Source]
"""Makes a source from what follows its name and a colon; empty if nothing does."""

# Imported on first use: each module registers its source.
_BUILT_IN = {
    "litert": "ednas.hw.sources.litert",
    "vela": "ednas.hw.sources.vela",
    "edgetpu": "ednas.hw.sources.edgetpu",
    "edgetpu_compiler": "ednas.hw.sources.edgetpu",
    "table": "ednas.hw.sources.table",
}
_registry: dict[str, SourceFactory] = {}


def register_source(name: str, factory: SourceFactory, *, replace: bool = False) -> None:
    """Make a source of latencies known, so that ``--target NAME`` and a search's ``target: NAME`` mean it.

    Args:
        name: The name, without a colon; it comes before a target of that name.
        factory: Called with what follows ``NAME:``, for example a file; returns a :class:`Source`.
        replace: Allow the name to be taken already (in a notebook, where a cell runs twice).

    Raises:
        ConfigError: The name is taken, or none.
    """
    if not name or ":" in name:
        raise ConfigError(f"source '{name}': a name is not empty and has no colon")
    is_own = _BUILT_IN.get(name) == factory.__module__
    if name in (*source_names(), *target_names()) and not is_own and not replace:
        raise ConfigError(f"a source '{name}' exists already; choose another name, or pass replace=True")
    if name in _BUILT_IN and not is_own:
        importlib.import_module(_BUILT_IN[name])  # else it would come later and take the name back
    _registry[name] = factory


def source_names() -> list[str]:
    """Names of all known sources besides the simulated targets, sorted."""
    return sorted({*_registry, *_BUILT_IN})


def load_source(text: str) -> Source:
    """Return the source that a text names.

    Args:
        text: A target's name or YAML file (simulated); ``litert`` (measured on this computer, a file as it is,
            anything else in int8), ``litert:int8`` or ``litert:float32`` (which refuse a file of another type);
            ``vela:ethos-u55-256`` (Arm's compiler); ``edgetpu`` (a Coral that is plugged in); ``edgetpu_compiler``;
            ``table:FILE.csv`` (measured layers); or a registered one, ``NAME`` or ``NAME:...``.

    Raises:
        TargetError: There is no such source or target, or its file is wrong.
    """
    name, _, detail = text.partition(":")
    if name not in source_names():
        return Simulated(load_target(text))
    if name not in _registry:
        importlib.import_module(_BUILT_IN[name])
    return _registry[name](detail)
