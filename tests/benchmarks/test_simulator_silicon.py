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


@pytest.mark.parametrize(("network", "weights", "ms"), [("resnet50", 21.76, 151.4), ("mobilenet_v3", 5.11, 35.2)])
def test_an_ethos_u85_is_as_fast_as_on_its_board(benchmark, shared_data, network, weights, ms):
    graph = benchmark.as_int8(load_ncnn(shared_data / "devices" / "ncnn" / "models" / f"{network}.param"))
    target = load_target("ethos_u85_256")
    assert simulate(graph, target).latency_ms == pytest.approx(ms, rel=0.1)
    packed = benchmark.packed(target, graph, weights)
    assert simulate(graph, packed).latency_ms == pytest.approx(ms, rel=0.05)
    assert simulate(graph, packed).parameter_bytes == pytest.approx(weights * 1e6, rel=0.05)  # and scales
