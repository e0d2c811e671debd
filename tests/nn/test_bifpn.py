"""The neck: how levels are resized, which shapes they have, and what reaches what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ednas.nn.bifpn import BiFPN, halve, upsample_nearest

sides = st.integers(1, 9)


@given(sides, sides)
def test_halving_takes_the_largest_of_three(height: int, width: int) -> None:
    x = torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(height * 10 + width))

    def window(side: int, index: int) -> slice:
        # Even sides are padded at their end alone, odd ones at both.
        first = 2 * index - side % 2
        return slice(max(first, 0), first + 3) if side > 1 else slice(0, 1)

    expected = np.array(
        [
            [x[0, :, window(height, y), window(width, z)].amax((1, 2)).tolist() for z in range(-(-width // 2))]
            for y in range(-(-height // 2))
        ]
    )
    np.testing.assert_allclose(halve(x)[0].permute(1, 2, 0), expected, rtol=1e-6)


@given(sides, sides, st.integers(0, 1), st.integers(0, 1))
def test_upsampling_repeats_pixels(height: int, width: int, odd_height: int, odd_width: int) -> None:
    size = (2 * height - odd_height, 2 * width - odd_width)
    x = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    rows = [y * height // size[0] for y in range(size[0])]
    columns = [z * width // size[1] for z in range(size[1])]
    assert torch.equal(upsample_nearest(x, size)[0, 0], x[0, 0][rows][:, columns])


@pytest.mark.parametrize("size", [(64, 128), (37, 50)])
def test_every_level_has_half_the_sides_of_the_one_below(size: tuple[int, int]) -> None:
    sides = [tuple(-(-side // stride) for side in size) for stride in (8, 16, 32, 64, 128)]
    features = [torch.randn(2, channels, *side) for channels, side in zip((4, 6, 8), sides, strict=False)]
    levels = BiFPN((4, 6, 8), width=5, depth=2).eval()(features)
    assert [tuple(level.shape) for level in levels] == [(2, 5, *side) for side in sides]


@pytest.mark.parametrize(("depth", "both_ways"), [(1, False), (2, True)])
def test_one_layer_passes_down_and_two_pass_up_too(depth: int, both_ways: bool) -> None:
    torch.manual_seed(0)
    neck = BiFPN((4, 6, 8), width=8, depth=depth).eval()
    features = [torch.randn(1, channels, 16 >> i, 16 >> i, requires_grad=True) for i, channels in enumerate((4, 6, 8))]
    lowest, *_, highest = neck(features)
    down = torch.autograd.grad(lowest.sum(), features, retain_graph=True)
    assert all(gradient.abs().sum() > 0 for gradient in down)
    up = torch.autograd.grad(highest.sum(), features, allow_unused=True)
    assert up[2].abs().sum() > 0
    assert (up[0] is not None and bool(up[0].abs().sum() > 0)) is both_ways
