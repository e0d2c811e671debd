"""NDDR layers."""

from __future__ import annotations

import torch
from helpers.small_training import small_architecture

from ednas.mtl.sharing.nddr import NDDR


def test_a_layer_begins_as_a_weighted_sum_of_the_tasks_features():
    sharing = NDDR(small_architecture(), ("a", "b"), start=0.8, activation=False).eval()
    first, second = torch.rand(2, 2, 8, 3, 3)
    found = sharing.join(0, [first, second])
    scale = 1 / (1 + 1e-3) ** 0.5  # fresh batch normalisation
    torch.testing.assert_close(found[0], scale * (0.8 * first + 0.2 * second))
    torch.testing.assert_close(found[1], scale * (0.2 * first + 0.8 * second))


def test_every_output_channel_reads_all_channels_of_all_tasks():
    sharing = NDDR(small_architecture(), ("a", "b", "c"))
    channels = sharing.encoders[0].out_channels
    convs = sum(p.numel() for p in sharing.units.parameters() if p.dim() == 4)
    assert convs == sum(3 * (3 * count) * count for count in channels)


def test_it_ends_with_relu6_unless_one_says_otherwise():
    x = [torch.full((1, 8, 2, 2), value) for value in (-50.0, 50.0)]
    clipped = NDDR(small_architecture(), ("a", "b")).eval().join(0, x)
    assert (clipped[0].min(), clipped[1].max()) == (0, 6)
    linear = NDDR(small_architecture(), ("a", "b"), activation=False).eval().join(0, x)
    assert (linear[0] < -30).all()


def test_a_shortcut_reads_features_of_all_strides():
    sharing = NDDR(small_architecture(), ("a", "b"), shortcut=True).eval()
    image = torch.rand(1, 3, 64, 96)
    plain = NDDR(small_architecture(), ("a", "b")).eval()
    plain.load_state_dict({k: v for k, v in sharing.state_dict().items() if not k.startswith("shortcuts")})
    for task, (found, without) in enumerate(zip(sharing(image), plain(image), strict=True)):
        for one, other in zip(found[:-1], without[:-1], strict=True):
            assert torch.equal(one, other)
        pooled = [torch.nn.functional.adaptive_avg_pool2d(x, without[-1].shape[2:]) for x in without]
        torch.testing.assert_close(found[-1], sharing.shortcuts[task](torch.cat(pooled, 1)))
