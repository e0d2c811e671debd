"""The heads: resizing against a formula, and what they predict from."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ednas.nn.heads import DenseHead, resize_bilinear

sides = st.tuples(st.integers(1, 7), st.integers(1, 7))


def weights(old: int, new: int) -> np.ndarray:
    """The share ``(new, old)`` that every old pixel has in a new one, whose middles are at half pixels."""
    share = np.zeros((new, old))
    for i in range(new):
        place = min(max((i + 0.5) * old / new - 0.5, 0), old - 1)
        low = int(place)
        share[i, low] += 1 - (place - low)
        share[i, min(low + 1, old - 1)] += place - low
    return share


@given(sides, sides)
def test_resizing_is_bilinear_between_the_middles_of_pixels(old: tuple[int, int], new: tuple[int, int]) -> None:
    x = torch.rand(1, 2, *old, generator=torch.Generator().manual_seed(1))
    expected = weights(old[0], new[0]) @ x[0].double().numpy() @ weights(old[1], new[1]).T
    np.testing.assert_allclose(resize_bilinear(x, new)[0], expected, atol=1e-5)


def test_details_reach_the_prediction() -> None:
    torch.manual_seed(0)
    head = DenseHead(width=6, channels=3).eval()
    p3, detail = torch.randn(2, 6, 4, 5), torch.randn(2, 6, 7, 10)
    plain, detailed = head(p3, (7, 10)), head(p3, (7, 10), detail)
    assert plain.shape == detailed.shape == (2, 3, 7, 10)
    assert not torch.allclose(plain, detailed)
    # What stands before the details is never below 0: so far below, they leave nothing of it.
    nothing = head(p3, (7, 10), torch.full_like(detail, -1e4))
    assert torch.allclose(nothing, head(torch.randn_like(p3), (7, 10), torch.full_like(detail, -1e4)))
