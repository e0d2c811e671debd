from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.reports import HOSTILE, rows, show

from ednas.arch import load_architecture
from ednas.hw.summary import summarise
from ednas.report import labels
from ednas.report.tables.architecture import architecture_table

HEADS = {"segmentation": 19, "depth": 1}


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


def test_hostile_names_are_not_read_as_markup():
    architecture = replace(load_architecture("base"), name=f"[red]{HOSTILE}")
    assert "[red]" in show(architecture_table(architecture))
