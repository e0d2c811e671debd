"""A network costs the same through every door: as a module, as a written file, as an exported file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ednas.arch import zoo
from ednas.hw import (
    LayerGraph,
    load_layer_list,
    load_target,
    load_tflite,
    simulate,
    target_names,
    trace_network,
    write_tflite,
)
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


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [  # Howard et al. 2017, table 6 and 7 (with 0.5 M and 2.6 M parameters); Sandler et al. 2018, tables 4 and 6
        ("mobilenet_v1_0.25_128_quant", 14e6, 0.47e6),
        ("mobilenet_v1_0.75_192_quant", 239e6, 2.6e6),
        ("mobilenet_v2_1.0_224_quant", 300e6, 3.47e6),
        ("deeplabv3_mnv2_pascal_quant", 2.75e9, 2.11e6),
    ],
)
def test_counts_of_real_networks_are_the_published_ones(
    shared_data: Path, name: str, macs: float, parameters: float
) -> None:
    graph = load_tflite(shared_data / "coral" / f"{name}.tflite")
    assert graph.macs == pytest.approx(macs, rel=0.035)
    biases = sum(layer.output[2] for layer in graph.layers if layer.weight_bytes)
    assert graph.weight_bytes - 3 * biases == pytest.approx(parameters, rel=0.03)
    assert {layer.dtype for layer in graph.layers} <= {"uint8", "int64"}


def test_real_files_hold_what_the_compiler_saw(shared_data: Path) -> None:
    published = json.loads((shared_data / "coral" / "published.json").read_text())
    for row in published["compiler"]["rows"]:
        graph = load_tflite(shared_data / "coral" / row["file"])
        assert graph.input_bytes == pytest.approx(row["input_bytes"], abs=64)  # the compiler pads
        assert graph.weight_bytes == pytest.approx(row["parameter_bytes"], rel=0.1)  # and lays out in groups of filters
        assert all(producer < index for index, layer in enumerate(graph.layers) for producer in layer.inputs)
    decoder = graph_named(shared_data, "posenet").layers[-1]
    assert (decoder.op, decoder.inputs) == ("CUSTOM:PosenetDecoderOp", (27, 28, 31))


def graph_named(shared_data: Path, prefix: str) -> LayerGraph:
    return load_tflite(next((shared_data / "coral").glob(f"{prefix}*.tflite")))


def test_a_file_and_a_layer_list_of_relatives_agree(shared_data: Path) -> None:
    """MobileNetV1 is the same network at any width: layer by layer, the larger costs (1 / 0.75)^2 at equal size."""
    listed = load_layer_list(shared_data / "coral" / "layer_lists.json", "mobilenet_v1_1.0_224").layers
    read = graph_named(shared_data, "mobilenet_v1_0.75").layers
    for ours, theirs in zip(read[:28], listed[:28], strict=True):
        assert (ours.op, ours.kernel) == (theirs.op, theirs.kernel if ours.op != "AVERAGE_POOL_2D" else (6, 6))
        assert ours.output[2] == theirs.output[2] * 3 // 4
        assert ours.groups == (theirs.groups * 3 // 4 or 1)
