"""Cross-Stitch units."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import small_architecture

from ednas.mtl.sharing.cross_stitch import CrossStitch


def test_a_unit_mixes_channel_by_channel():
    sharing = CrossStitch(small_architecture(), ("a", "b"), start=0.9)
    first, second = torch.rand(2, 2, 8, 3, 3)
    mixed = sharing.join(0, [first, second])
    torch.testing.assert_close(mixed[0], 0.9 * first + 0.1 * second)
    torch.testing.assert_close(mixed[1], 0.1 * first + 0.9 * second)
    with torch.no_grad():
        sharing.units[0][0][1].weight[3] = 7.0
    changed = sharing.join(0, [first, second])
    torch.testing.assert_close(changed[0][:, 3], 0.9 * first[:, 3] + 7.0 * second[:, 3])
    torch.testing.assert_close(changed[0][:, :3], mixed[0][:, :3])


def test_without_mixing_it_is_a_network_for_each_task():
    sharing = CrossStitch(small_architecture(), ("a", "b"), start=1.0).eval()
    image = torch.rand(1, 3, 64, 64)
    for features, encoder in zip(sharing(image), sharing.encoders, strict=True):
        expected = [encoder(image)[stage] for stage in small_architecture().feature_stages]
        for found, value in zip(features, expected, strict=True):
            torch.testing.assert_close(found, value)


@pytest.mark.parametrize("tasks", [2, 3])
def test_there_is_a_unit_for_each_stage_and_pair_and_channel(tasks):
    sharing = CrossStitch(small_architecture(), "abc"[:tasks])
    assert sum(p.numel() for p in sharing.units.parameters()) == tasks**2 * sum(sharing.encoders[0].out_channels)
