from __future__ import annotations

import pytest
from helpers.profiles import examples
from helpers.strategies import layer_graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.hw import load_target, simulate, target_names
from ednas.report.cost.roofline import dots


@settings(max_examples=examples(40))
@given(layer_graphs(), st.sampled_from(target_names()))
def test_every_dot_lies_below_its_roofs(graph, name):
    target = load_target(name)
    peak = target.engine.macs_per_cycle * target.engine.clock_mhz.value * 1e6
    on_chip, off_chip = target.memory.on_chip_gb_per_s, target.memory.off_chip_gb_per_s
    off_chip_rate = off_chip.value * 1e9 if off_chip else target.link.bandwidth_mb_per_s.value * 1e6
    for dot in dots(simulate(graph, target), target):
        assert dot.rate <= peak * (1 + 1e-9) or target.engine.kind == "ncnn"  # Winograd's method multiplies less often
        bandwidth = off_chip_rate if dot.is_off_chip else on_chip.value * 1e9 if on_chip else float("inf")
        assert dot.rate <= dot.intensity * bandwidth * (1 + 1e-9)
        if dot.layer.bound_by in ("parameters", "activations"):
            assert dot.is_off_chip
            assert dot.rate == pytest.approx(dot.intensity * bandwidth)
