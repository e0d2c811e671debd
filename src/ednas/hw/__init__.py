"""What a network costs on a device: layer graphs, counts and the latency simulator.

Names that need torch (tracing and what builds on it) are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ednas.hw.graph import Layer, LayerGraph
from ednas.hw.layer_list import load_layer_list, network_names
from ednas.hw.cost import Cost, LayerCost
from ednas.hw.simulator import estimate, simulate
from ednas.hw.target import Target, load_target, target_names

if TYPE_CHECKING:
    from ednas.hw.summary import BlockSummary, Summary, summarise
    from ednas.hw.trace import trace_module, trace_network

__all__ = [
    "BlockSummary",
    "Cost",
    "Layer",
    "LayerCost",
    "LayerGraph",
    "Summary",
    "Target",
    "estimate",
    "load_layer_list",
    "load_target",
    "network_names",
    "simulate",
    "summarise",
    "target_names",
    "trace_module",
    "trace_network",
]

_LAZY = {
    "BlockSummary": "ednas.hw.summary",
    "Summary": "ednas.hw.summary",
    "summarise": "ednas.hw.summary",
    "trace_module": "ednas.hw.trace",
    "trace_network": "ednas.hw.trace",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
