from __future__ import annotations

import pytest

from ednas.hw import load_target, target_names
from ednas.hw.cost import LayerCost
from ednas.report.cost.traffic import memory_roofs, moved_bytes


def test_what_a_layer_moves():
    layer = LayerCost("a", "", "CONV_2D", "accelerator", "parameters", 4.0)
    assert (moved_bytes(layer, True), moved_bytes(layer, False)) == (0, 0)
    layer = layer._replace(streamed_bytes=3, spilled_bytes=4, on_chip_bytes=5)
    assert (moved_bytes(layer, True), moved_bytes(layer, False)) == (7, 5)


@pytest.mark.parametrize("name", target_names())
def test_there_is_one_memory_off_the_chip_or_the_link_for_it(name):
    roofs = memory_roofs(load_target(name))
    assert [roof.is_off_chip for roof in roofs][-1:] == [True]
    assert len({roof.is_off_chip for roof in roofs}) == len(roofs)
    assert all(roof.bytes_per_s > 0 for roof in roofs)


def test_without_the_hardware_there_is_none():
    assert memory_roofs(None) == []
