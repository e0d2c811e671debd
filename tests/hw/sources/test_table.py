"""A table of measured layers adds up to a network's latency, or says what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ednas.arch import zoo
from ednas.exceptions import TargetError
from ednas.hw import Layer, LayerGraph, trace_network
from ednas.hw.sources import load_source
from ednas.hw.sources.measurements import layers_text, row_values
from ednas.hw.sources.table import Table
from ednas.report.cost import draw_cost

GRAPH = trace_network(zoo.architecture("base"), {"depth": 1}, (64, 64))


def written(folder: Path, graph: LayerGraph) -> Path:
    path = folder / "layers.csv"
    rows = ["op,input,output,kernel,stride,groups,latency_ms"]
    for number, layer in enumerate(
        dict.fromkeys((x.op, x.input, x.output, x.kernel, x.stride, x.groups) for x in graph.layers)
    ):
        op, input_, output, kernel, stride, groups = layer
        shapes = ["x".join(map(str, sides)) for sides in (input_, output, kernel)]
        rows.append(f"{op},{','.join(shapes)},{stride},{groups},{number + 1}")
    path.write_text("\n".join(rows))
    return path


def test_the_latency_is_the_sum_of_the_rows(tmp_path: Path) -> None:
    source = load_source(f"table:{written(tmp_path, GRAPH)}")
    cost = source.cost(GRAPH)
    numbers: dict[object, int] = {}
    expected = 0
    for layer in GRAPH.layers:
        key = (layer.op, layer.input, layer.output, layer.kernel, layer.stride, layer.groups)
        expected += numbers.setdefault(key, len(numbers) + 1)
    assert cost.latency_ms == expected
    assert sum(layer.latency_ms for layer in cost.layers) == expected
    assert (cost.accelerator_cycles, cost.energy_mj) == (None, None)


def test_rows_of_the_same_layer_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "layers.csv"
    path.write_text("op,input,output,latency_ms\nADD,8x8x16,8x8x16,1\nADD,8x8x16,8x8x16,3\n")
    add = next(layer for layer in GRAPH.layers if layer.op == "ADD")
    graph = LayerGraph((type(add)("a", "network", "ADD", (8, 8, 16), (8, 8, 16)),), 0, 0)
    assert load_source(f"table:{path}").cost(graph).latency_ms == 2


def test_a_layer_without_a_row_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, GRAPH)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1] + lines[3:]))
    with pytest.raises(TargetError) as caught:
        load_source(f"table:{path}").cost(GRAPH)
    assert "no row for 2 layers" in str(caught.value)
    assert f"op,input,output,kernel,stride,dilation,groups {','.join(row_values(GRAPH.layers[0]))};" in str(
        caught.value
    )


def test_what_only_the_file_tells_is_told_and_the_rest_is_not(tmp_path: Path) -> None:
    cost = load_source(f"table:{written(tmp_path, GRAPH)}").cost(GRAPH)
    assert sum(layer.macs for layer in cost.layers) == GRAPH.macs
    assert cost.parameter_bytes == sum(layer.parameter_bytes or 0 for layer in cost.layers) == GRAPH.weight_bytes
    unknown = ("bound_by", "compute_ms", "cycles", "utilisation", "on_chip_bytes", "streamed_bytes", "spilled_bytes")
    assert {getattr(layer, name) for layer in cost.layers for name in unknown} == {None}
    assert "Not distinguished" in draw_cost(cost)


def test_the_missing_rows_complete_a_table(tmp_path: Path) -> None:
    dilated = [Layer(str(i), "", "CONV_2D", (8, 8, 4), (8, 8, 4), kernel=(3, 3), dilation=i) for i in (2, 1, 2)]
    graph = LayerGraph(tuple(dilated), 1, 1)
    path = tmp_path / "layers.csv"
    path.write_text("op,input,output,latency_ms\nADD,8x8x16,8x8x16,1\n")
    missing = Table(path).missing(graph)
    assert missing == dilated[:2]
    path.write_text(
        "".join(f"{line}1\n" for line in layers_text(missing).splitlines()).replace("latency_ms1", "latency_ms")
    )
    assert Table(path).missing(graph) == []
    assert Table(path).cost(graph).latency_ms == 3
