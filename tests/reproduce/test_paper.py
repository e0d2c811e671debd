"""What the paper prints; ``test_scoring.py`` holds its gains to its metrics."""

from __future__ import annotations

import pytest

from ednas.reproduce.paper import BACKBONES, COSTS, NOISE, ROWS, printed, printed_noise


def test_a_row_comes_with_all_that_is_printed_of_it():
    found = printed("table2", "EDNAS+JAReD")
    assert found.values["depth"] == {"abs_err": 0.0143, "rel_err": 0.281}
    assert (found.delta, found.task_deltas, found.cost.gflop) == (10.9, {"segmentation": 8.6, "depth": 13.3}, 4.1)
    assert printed("table4", "MT edge").delta is None  # the baseline there
    assert printed("table3", "MT edge").delta == -11.3


def test_costs_are_of_rows_that_there_are():
    for table, model in COSTS:
        assert printed(table, model).cost is COSTS[table, model]


def test_table_1_says_how_much_less_jared_spreads():
    """Its last line, from the lines above."""
    less = {
        metric: 100 * (1 - NOISE["JAReD"].spread[metric] / NOISE["L1"].spread[metric])
        for metric in ("miou", "abs_err", "rel_err")
    }
    assert less == pytest.approx({"miou": 36.0, "abs_err": 56.8, "rel_err": 87.8}, abs=0.1)
    better = {
        metric: 100 * (1 - NOISE["JAReD"].values[metric] / NOISE["L1"].values[metric])
        for metric in ("abs_err", "rel_err")
    }
    assert better == pytest.approx({"abs_err": 4.7, "rel_err": 8.6}, abs=0.1)
    assert printed_noise("L1").spread["depth"]["rel_err"] == pytest.approx(0.041 * 0.3541)


def test_the_networks_of_tables_6_and_7_are_as_described():
    from ednas.arch import load_architecture
    from ednas.reproduce.searches import BACKBONE, describe_backbones

    joint = describe_backbones([load_architecture("ednas_cityscapes")])[BACKBONE]
    assert joint == {"fused_percent": BACKBONES["joint"]["fused_percent"], "ibn_2_percent": 100, "ibn_7_percent": 100}
    depth = describe_backbones([load_architecture("nas_depth")])[BACKBONE]
    assert depth["fused_percent"] == BACKBONES["depth"]["fused_percent"]


def test_no_row_is_printed_twice():
    names = [(row.table, row.model) for row in ROWS]
    assert len(set(names)) == len(names)
