"""What a network costs on a device: layer graphs, the simulator, and other sources of latency.

Names are imported when first used: tracing needs torch, and the command line names quantities in its help.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ednas.hw.cost import Cost, LayerCost
    from ednas.hw.graph.layer_list import load_layer_list, network_names
    from ednas.hw.graph.layers import Layer, LayerGraph
    from ednas.hw.graph.trace import trace_module, trace_network
    from ednas.hw.model.simulator import estimate, simulate
    from ednas.hw.model.target import Target
    from ednas.hw.networks import Network, load_network
    from ednas.hw.sources import Source, load_source, register_source
    from ednas.hw.sources.measurements import read_measurements
    from ednas.hw.summary import BlockSummary, Summary, count_shared, counts, summarise
    from ednas.hw.targets.calibration import Calibration, Sample, calibrate
    from ednas.hw.targets.files import load_target, target_names
    from ednas.hw.tflite.reader import load_tflite
    from ednas.hw.tflite.writer import write_tflite

__all__ = [
    "BlockSummary",
    "Calibration",
    "Cost",
    "Layer",
    "LayerCost",
    "LayerGraph",
    "Network",
    "Sample",
    "Source",
    "Summary",
    "Target",
    "calibrate",
    "count_shared",
    "counts",
    "estimate",
    "load_layer_list",
    "load_network",
    "load_source",
    "load_target",
    "load_tflite",
    "network_names",
    "read_measurements",
    "register_source",
    "simulate",
    "summarise",
    "target_names",
    "trace_module",
    "trace_network",
    "write_tflite",
]

_MODULES = {
    "cost": ("Cost", "LayerCost"),
    "graph.layer_list": ("load_layer_list", "network_names"),
    "graph.layers": ("Layer", "LayerGraph"),
    "graph.trace": ("trace_module", "trace_network"),
    "model.simulator": ("estimate", "simulate"),
    "model.target": ("Target",),
    "networks": ("Network", "load_network"),
    "sources": ("Source", "load_source", "register_source"),
    "sources.measurements": ("read_measurements",),
    "summary": ("BlockSummary", "Summary", "count_shared", "counts", "summarise"),
    "targets.calibration": ("Calibration", "Sample", "calibrate"),
    "targets.files": ("load_target", "target_names"),
    "tflite.reader": ("load_tflite",),
    "tflite.writer": ("write_tflite",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"ednas.hw.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
