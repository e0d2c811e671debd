"""Where tensors of different sizes correspond."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ednas.nn.overlap import overlap

sides = st.integers(1, 5)
kernels = st.sampled_from([1, 3, 5, 7])
shapes = st.one_of(
    st.tuples(sides),
    st.tuples(sides, sides, kernels, kernels),
)


@given(shapes, shapes)
def test_common_parts_have_the_smaller_sides_and_lie_alike_around_the_centre(first, second):
    if len(first) != len(second):
        return
    one, other = overlap(first, second)
    wanted = tuple(map(min, zip(first, second, strict=True)))
    assert np.empty(first)[one].shape == np.empty(second)[other].shape == wanted
    for index, shape in ((one, first), (other, second)):
        assert all(part.start in (None, 0) for part in index[:2])
        for part, side in zip(index[2:], shape[2:], strict=True):
            assert part.start == side - part.stop  # as much on either side
