"""Features of candidates are what can be counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.own_parts import BOTH

from ednas.arch import load_architecture
from ednas.search.features import describe, tabulate


def test_the_base_and_table_6_have_the_shortcuts_and_kinds_that_they_have():
    base, published = (describe(load_architecture(name), {}) for name in ("base", "ednas_cityscapes_published"))
    assert base["shortcuts"] == 9
    assert published["shortcuts"] == 4
    assert base["share of ibn"] == 1
    assert "share of fused" not in base
    blocks = load_architecture("ednas_cityscapes_published").blocks
    assert published["share of fused"] == sum(block.kind == "fused" for block in blocks) / 16


def test_costs_are_logarithms_and_stages_are_means():
    found = describe(load_architecture("base"), {"latency_ms": 5.0, "macs": 1e6, "host_ms": 0.0})
    assert found["log latency_ms"] == math.log(5)
    assert found["log macs"] == math.log(1e6)
    assert "log host_ms" not in found
    assert found["stage 3: log filters"] == pytest.approx(math.log(40))
    assert found["mean kernel"] == pytest.approx((3 * 7 + 5 * 9) / 16)
    assert found["mean expansion"] == pytest.approx((1 + 15 * 6) / 16)
    assert (found["bifpn depth"], found["head lateral"]) == (4, 1)
    assert describe(replace(load_architecture("base"), bifpn_depth=1), {})["bifpn depth"] == 1


def test_parts_of_ones_own_are_described_by_their_costs_alone():
    found = describe(load_architecture(BOTH), {"macs": 8.0})
    assert found["log macs"] == math.log(8)
    assert all(math.isfinite(value) for value in found.values())


def test_what_a_candidate_lacks_is_0():
    table = tabulate([{"a": 1.0, "b": 2.0}, {"b": math.inf}], ["b", "a", "c"])
    assert np.array_equal(table, [[2, 1, 0], [0, 0, 0]])
