"""A network of every way to share is exported: its file predicts what the network does, and costs what it costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from helpers.small_training import TARGETS, settled, small_architecture

from ednas.export.run import ExportConfig, export_model
from ednas.hw import LayerGraph, load_tflite, trace_network
from ednas.nn.sharing import sharing_names
from ednas.training import build_model

SIZE = (64, 96)
HEADS = {"segmentation": 4, "depth": 1}


def work(graph: LayerGraph) -> Counter[tuple[object, ...]]:
    """The layers that multiply; the converter pads the image once for all stems, and folds factors into others."""
    return Counter((layer.op, layer.output, layer.macs) for layer in graph.layers if layer.macs)


@pytest.mark.slow
@pytest.mark.parametrize("sharing", [name for name in sharing_names() if name not in ("hard", "test_swapped")])
def test_a_file_is_the_network(sharing: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = small_architecture().with_parts(sharing=settled(sharing, tuple(HEADS)))
    model = build_model(architecture, tuple(HEADS), TARGETS, input_size=SIZE)
    exported = export_model(model, tmp_path / "model", ExportConfig())
    assert max(exported.check.parity.values()) < exported.check.parity_limit
    graph, file = trace_network(architecture, HEADS, SIZE), load_tflite(tmp_path / "model" / "model.tflite")
    assert work(file) == work(graph)
