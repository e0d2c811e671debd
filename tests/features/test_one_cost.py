"""A network costs the same through every door: as a module, as a written file, as an exported file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ednas.arch import zoo
from ednas.hw import LayerGraph, load_target, load_tflite, simulate, target_names, trace_network, write_tflite
from ednas.nn import MultiTaskNetwork

HEADS = {"segmentation": 19, "depth": 1}
SIZE = (128, 256)


def content(graph: LayerGraph) -> Counter[tuple[object, ...]]:
    return Counter(
        (x.op, x.input, x.output, x.kernel, x.stride, x.dilation, x.groups, x.macs, x.weight_bytes, x.dtype)
        for x in graph.layers
    )


@pytest.mark.parametrize("name", zoo.names())
def test_a_written_file_costs_what_the_network_costs_on_every_target(name: str, tmp_path: Path) -> None:
    graph = trace_network(zoo.architecture(name), HEADS, SIZE)
    write_tflite(graph, tmp_path / "model.tflite")
    read = load_tflite(tmp_path / "model.tflite")
    assert content(read) == content(graph)
    for target in map(load_target, target_names()):
        assert simulate(read, target).latency_ms == pytest.approx(simulate(graph, target).latency_ms)


class Deployed(nn.Module):
    """A network as it is exported: a tuple of predictions."""

    def __init__(self, network: MultiTaskNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.predict_heads(image).values())


@pytest.mark.slow
def test_an_exported_file_holds_the_layers_that_were_traced(tmp_path: Path) -> None:
    litert_torch = pytest.importorskip("litert_torch", reason="the converter to LiteRT is not installed")
    architecture = zoo.architecture("base")
    module = Deployed(MultiTaskNetwork(architecture, HEADS).eval())
    wrapped = litert_torch.to_channel_last_io(module, args=[0], outputs=[0, 1]).eval()
    path = tmp_path / "model.tflite"
    litert_torch.convert(wrapped, (torch.zeros(1, *SIZE, 3),)).export(str(path))
    traced, exported = trace_network(architecture, HEADS, SIZE), load_tflite(path)
    # The float file has four times the weights; all else is the same.
    assert Counter(key[:8] for key in content(exported).elements()) == Counter(
        key[:8] for key in content(traced).elements()
    )
    assert (exported.input_bytes, exported.output_bytes) == (4 * traced.input_bytes, 4 * traced.output_bytes)
