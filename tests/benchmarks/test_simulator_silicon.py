"""What the benchmark of a chip compares: networks as they are known, and two of them close to the measurement."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ednas.hw import load_target, simulate
from ednas.hw.ncnn.reader import load_ncnn

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("simulator_silicon")


def test_inception_v3_has_its_published_size(benchmark):
    graph = benchmark.inception_v3()
    assert graph.macs == pytest.approx(5.71e9, rel=0.01)  # torchvision: 5.71 GFLOPS, 27.16 M parameters with the
    parameters = sum(layer.weight_bytes for layer in graph.layers)  # auxiliary classifier, 23.83 M without
    assert parameters == pytest.approx(23.83e6, rel=0.01)
    assert [layer.output for layer in graph.layers[-3:]] == [(8, 8, 2048), (1, 1, 2048), (1, 1, 1000)]


@pytest.mark.parametrize(("network", "weights", "ms"), [("resnet50", 21.76, 151.4), ("mobilenet_v3", 5.11, 35.2)])
def test_an_ethos_u85_is_as_fast_as_on_its_board(benchmark, shared_data, network, weights, ms):
    graph = benchmark.as_int8(load_ncnn(shared_data / "devices" / "ncnn" / "models" / f"{network}.param"))
    target = load_target("ethos_u85_256")
    assert simulate(graph, target).latency_ms == pytest.approx(ms, rel=0.1)
    packed = benchmark.packed(target, graph, weights)
    assert simulate(graph, packed).latency_ms == pytest.approx(ms, rel=0.05)
    assert simulate(graph, packed).parameter_bytes == pytest.approx(weights * 1e6, rel=0.05)  # and scales
