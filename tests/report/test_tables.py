from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from report_fakes import HOSTILE, fake_comparison
from rich.console import Console

from ednas.arch import load_architecture
from ednas.hw import Cost, load_target, simulate, target_names
from ednas.hw.calibration import Calibration, RowError
from ednas.hw.summary import summarise
from ednas.hw.trace import trace_network
from ednas.metrics import METRICS, ModelMetrics
from ednas.report import labels
from ednas.report.tables import (
    architecture_table,
    calibration_tables,
    classes_table,
    comparison_table,
    costs_table,
    layers_table,
    metrics_table,
    parts_table,
    scopes_table,
    target_table,
    targets_table,
)
from ednas.scoring import compare

HEADS = {"segmentation": 19, "depth": 1}


def show(table, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in text.splitlines() if "│" in line]


def test_the_architecture_table_is_table_6():
    architecture = load_architecture("ednas_cityscapes")
    found = rows(show(architecture_table(architecture)))
    assert found[0] == ["0", "Conv2D", "2", "3", "32", "–"]
    assert found[2] == ["2", "IBN", "2", "5", "36", "6"]
    assert len(found) == 1 + 16 + 2
    assert sum(row[1] == "FusedIBN" for row in found) == 14


def test_the_architecture_table_with_costs_adds_up():
    architecture = load_architecture("base")
    summary = summarise(architecture, HEADS, (64, 128))
    text = show(architecture_table(architecture, summary))
    found = rows(text)
    assert found[-1][1] == "Total"
    assert found[-1][7:9] == [labels.show_count(summary.params), labels.show_count(summary.macs)]
    assert sum(float(row[9]) for row in found[:-1]) == pytest.approx(100, abs=1)
    assert "input 64×128" in text
    assert found[17][1] == "BiFPN ×4"
    assert [row[1] for row in found[18:21]] == ["Lateral 1/4", "Head: segmentation", "Head: depth"]


def test_numbers_are_aligned_to_the_right():
    summary = summarise(load_architecture("base"), HEADS, (64, 128))
    lines = [line for line in show(architecture_table(load_architecture("base"), summary)).splitlines() if "│" in line]
    columns = [line.split("│")[8] for line in lines]
    assert all(column.endswith(" ") and not column.endswith("  ") for column in columns)


def test_the_comparison_table_shows_values_gains_and_costs():
    text = show(comparison_table(fake_comparison()))
    for fact in ("46.52 ± 0.31 (+16.2)", "0.3100 ± 0.0040 (−2.3)", "+7.9", "mIoU % ↑", "Latency ms", "3.42 M"):
        assert fact in text


def test_the_comparison_table_takes_metrics():
    single = ModelMetrics("single", "standard", {"depth": {"abs_err": 0.5, "rel_err": 0.2}})
    multi = ModelMetrics("multi [bold]x[/bold]", "standard", {"depth": {"abs_err": 0.4, "rel_err": 0.19}})
    for text in (
        show(comparison_table(single, [multi])),
        show(comparison_table(single, [multi], compare(single, [multi]))),
    ):
        assert "multi [bold]x[/bold]" in text
        assert "+12.5" in text
        assert "Latency" not in text


def test_three_tasks_fit_into_80_characters():
    metrics = {
        "segmentation": dict.fromkeys(list(METRICS)[:3], 40.0),
        "depth": dict.fromkeys(list(METRICS)[3:10], 50.0),
        "normals": dict.fromkeys(list(METRICS)[10:], 90.0),
    }
    one, other = (ModelMetrics(name, "standard", metrics, units={"depth": {"rmse": "m"}}) for name in "ab")
    text = show(comparison_table(one, [other]), 80)
    assert "…" not in text
    assert len(rows(text)) == len(METRICS) + 3 + 1
    found = [row[1] for row in rows(text)]
    assert found.index("Rel. error ↓") < found.index("Δ %", 4) < found.index("RMSE m ↓")
    assert "(" not in next(line for line in text.splitlines() if "RMSE m" in line)


def test_the_metrics_table_begins_with_the_papers():
    metrics = {
        "tasks": {"depth": {"rmse": 0.5, "abs_err": 0.25, "delta_1": 80.0}, "edges": {"f1": 0.5}},
        "higher_is_better": {"f1": True},
        "units": {"depth": {"abs_err": "m", "rmse": "m"}},
    }
    assert rows(show(metrics_table(metrics))) == [
        ["depth", "Abs. error m ↓", "0.2500"],
        ["", "RMSE m ↓", "0.5000"],
        ["", "δ1 % ↑", "80.00"],
        ["edges", "f1 ↑", "0.5000"],
    ]
    spread = {"depth": {"abs_err": 0.125, "rmse": 0, "delta_1": 0}, "edges": {"f1": 0}}
    assert rows(show(metrics_table(metrics, spread)))[0][2] == "0.2500 ± 0.1250"


def test_a_class_that_does_not_occur_has_a_dash():
    classes = {"road": {"iou": 50.0, "acc": 75.0}, "[red]sky": {"iou": None, "acc": None}}
    assert rows(show(classes_table("segmentation", classes))) == [["road", "50.00", "75.00"], ["[red]sky", "–", "–"]]


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


def test_every_built_in_target_can_be_shown():
    targets = [load_target(name) for name in target_names()]
    listed = show(targets_table(targets), 100)
    for target in targets:
        assert target.name in listed
        text = show(target_table(target), 200)
        for path, figure in target.figures().items():
            key = path.rpartition(".")[2]
            line = next(line for line in text.splitlines() if f" {key} " in line)
            assert labels.show_figure(figure.value) in line
            assert figure.provenance in line


def test_the_list_of_targets_fits_into_80_characters(coral):
    assert "…" not in show(targets_table([coral]), 80)


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("clock_mhz", "MHz"), ("off_chip_gb_per_s", "GB/s"), ("dispatch_ms", "ms"), ("element_ns", "ns"),
        ("instruction_bytes_per_layer", "B/layer"), ("on_chip_um2_per_kib", "µm²/KiB"), ("mac_pj", "pJ"),
        ("link_pj_per_byte", "pJ/byte"), ("convolution_gmac_per_s", "GMAC/s"), ("pointwise_factor", ""),
    ],
)  # fmt: skip
def test_units_are_those_of_the_keys(key, unit):
    assert labels.show_unit(key) == unit


def test_every_rate_has_a_unit():
    keys = {path.rpartition(".")[2] for name in target_names() for path in load_target(name).figures()}
    without = {key for key in keys if not labels.show_unit(key)}
    assert not {key for key in without if "_per_" in key}


def test_a_calibration_says_old_new_and_errors(coral):
    rows_ = (RowError("[b]one[/b]", 2.0, 2.2, 1.9), RowError("two", 4.0, 4.0, 4.4))
    result = Calibration(coral, {"link.dispatch_ms": (0.68, 1.02)}, rows_, (0.04, 0.06))
    changes, errors, total = (show(table) for table in calibration_tables(result))
    assert rows(changes) == [["link.dispatch_ms", "0.68", "1.02", "+50.0", "ms"]]
    assert rows(errors)[0] == ["[b]one[/b]", "2.00", "2.20", "+10.0", "1.90", "−5.0"]
    assert [row[1] for row in rows(total)] == ["5.0", "7.5", "5.0 (4.0 to 6.0)"]


def test_hostile_names_are_not_read_as_markup():
    architecture = replace(load_architecture("base"), name=f"[red]{HOSTILE}")
    assert "[red]" in show(architecture_table(architecture))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (999, "999"),
        (1234, "1.23 k"),
        (45_600_000, "45.6 M"),
        (7.5e9, "7.50 G"),
    ],
)
def test_counts(value, text):
    assert labels.show_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0123, "0.0123"), (1.5, "1.50"), (12.34, "12.3"), (123.4, "123"), (0, "0")]
)
def test_latencies(value, text):
    assert labels.show_latency(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (9.24, "+9.2"), (-0.5, "−0.5"), (0.04, "0.0"), (-0.04, "0.0")]
)
def test_deltas(value, text):
    assert labels.show_delta(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (3.21, "3.2 s"), (42, "42 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations(value, text):
    assert labels.show_seconds(value) == text
