from __future__ import annotations

import io
import re

import pytest
from report_fakes import HOSTILE, fake_comparison
from rich.console import Console

from ednas.arch import load_architecture
from ednas.hw.simulator import estimate
from ednas.hw.summary import summarise
from ednas.hw.target import load_target
from ednas.report import labels
from ednas.report.tables import architecture_table, comparison_table, latency_table
from ednas.scoring import ModelMetrics, compare

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
    assert len(found) == 1 + 16 + 1
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
    assert [row[1] for row in found[18:20]] == ["Head: segmentation", "Head: depth"]


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
        "segmentation": {"miou": 40.0, "pixel_acc": 80.0}, "depth": {"abs_err": 0.0123, "rel_err": 0.3},
        "normals": {"mean_angle": 12.0, "within_11": 50.0, "within_22": 80.0, "within_30": 90.0},
    }  # fmt: skip
    text = show(comparison_table(ModelMetrics("a", "standard", metrics), [ModelMetrics("b", "standard", metrics)]), 80)
    assert "…" not in text
    assert len(rows(text)) == 8 + 3 + 1


def test_the_latency_table_adds_up():
    cost = estimate(load_architecture("base"), HEADS, (64, 128), load_target("coral_usb"))
    found = rows(show(latency_table(cost)))
    times = [float(row[5]) for row in found]
    assert times[-1] == pytest.approx(cost.latency_ms, abs=1e-3)
    assert sum(times[:-1]) == pytest.approx(cost.latency_ms, abs=0.02)
    short = rows(show(latency_table(cost, largest=5)))
    assert len(short) == 5 + 4
    assert sum(float(row[5]) for row in short[:-1]) == pytest.approx(cost.latency_ms, abs=0.01)


def test_hostile_names_are_not_read_as_markup():
    architecture = load_architecture("base").clone(override={"name": f"[red]{HOSTILE}"})
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
