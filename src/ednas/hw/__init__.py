"""What a network costs on a device: layer graphs, the simulator, and other sources of latency.

Names that need torch (tracing and what builds on it), SciPy or a runtime are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ednas.hw.cost import Cost, LayerCost
from ednas.hw.graph.layer_list import load_layer_list, network_names
from ednas.hw.graph.layers import Layer, LayerGraph
from ednas.hw.model.simulator import estimate, simulate
from ednas.hw.model.target import Target
from ednas.hw.targets.files import load_target, target_names

if TYPE_CHECKING:
    from ednas.hw.graph.trace import trace_module, trace_network
    from ednas.hw.networks import Network, load_network
    from ednas.hw.sources import Source, load_source, register_source
    from ednas.hw.sources.measurements import read_measurements
    from ednas.hw.summary import BlockSummary, Summary, counts, summarise
    from ednas.hw.targets.calibration import Calibration, Sample, calibrate
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

_LAZY = {
    "BlockSummary": "summary",
    "Calibration": "targets.calibration",
    "Network": "networks",
    "Sample": "targets.calibration",
    "Source": "sources",
    "Summary": "summary",
    "calibrate": "targets.calibration",
    "counts": "summary",
    "load_network": "networks",
    "load_source": "sources",
    "load_tflite": "tflite.reader",
    "read_measurements": "sources.measurements",
    "register_source": "sources",
    "summarise": "summary",
    "trace_module": "graph.trace",
    "trace_network": "graph.trace",
    "write_tflite": "tflite.writer",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"ednas.hw.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
