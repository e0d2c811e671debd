from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.reports import rows, show

from ednas.arch import load_architecture
from ednas.hw import Cost, load_target, simulate
from ednas.hw.graph.trace import trace_network
from ednas.report import labels
from ednas.report.tables.costs import costs_table, layers_table, parts_table, scopes_table

HEADS = {"segmentation": 19, "depth": 1}


@pytest.fixture(scope="module")
def coral():
    return load_target("coral_usb")


@pytest.fixture(scope="module")
def cost(coral):
    return simulate(trace_network(load_architecture("base"), HEADS, (64, 128)), coral)


def seconds_column(table):
    found = rows(show(table, 200))
    return [float(row[[cell.replace(".", "").isdigit() and "." in cell for cell in row].index(True)]) for row in found]


@pytest.mark.parametrize("largest", [None, 5])
def test_the_layers_add_up(cost, largest):
    found = rows(show(layers_table(cost, largest), 200))
    times = seconds_column(layers_table(cost, largest))
    assert len(found) == (largest or len(cost.layers)) + (3 if largest else 2)
    assert times[-1] == pytest.approx(cost.latency_ms, abs=1e-3)
    assert sum(times[:-1]) == pytest.approx(cost.latency_ms, abs=0.02)


def test_the_slowest_layers_come_first(cost):
    times = seconds_column(layers_table(cost, 8))[:8]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(max(layer.latency_ms for layer in cost.layers), abs=1e-4)


def test_the_parts_and_the_scopes_add_up(cost):
    *parts, total = seconds_column(parts_table(cost, "base"))
    assert sum(parts) == pytest.approx(total, abs=1e-3)
    assert sum(seconds_column(scopes_table(cost))) == pytest.approx(cost.accelerator_ms + cost.host_ms, abs=1e-2)
    assert [row[0] for row in rows(show(scopes_table(cost)))][:2] == ["stem", "block 1"]


def test_only_what_moves_has_a_column(cost):
    moved = replace(cost, layers=(cost.layers[0]._replace(streamed_bytes=5, reason="[red]because", where="host"),))
    assert "Streamed B" not in show(layers_table(cost))
    text = show(layers_table(moved), 200)
    assert "Streamed B" in text
    assert "Spilled B" not in text
    assert "[red]because" in text


def test_costs_are_side_by_side_and_say_what_is_unknown(cost):
    measured = Cost("litert", 12.5, notes=("30 runs",))
    text = show(costs_table([cost, measured]))
    found = {row[0]: row[2:] for row in rows(text)}
    assert found["Latency"] == [labels.show_latency(cost.latency_ms), "12.5"]
    assert found["Call"] == [labels.show_latency(cost.dispatch_ms), "–"]
    assert found["Energy"] == ["–" if cost.energy_mj is None else labels.show_latency(cost.energy_mj), "–"]
    assert "litert: 30 runs" in text
    alone = [row[0] for row in rows(show(costs_table([measured])))]
    assert alone == ["Latency", "Energy", "Area", "Peak memory"]
    assert [row[0] for row in rows(show(parts_table(measured)))] == ["total"]
