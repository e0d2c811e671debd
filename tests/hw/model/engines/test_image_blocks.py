"""Blocks of images, as Vela chooses them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.hw.model.engines.image_blocks import EngineMemory, ImageLayer, elements_read

MEMORY = EngineMemory(kib=44, accumulator_granule=16, input_granule=8, micro_block=(2, 2, 8))


def image(
    height: int, width: int, filters: int, kernel: int = 3, input_width: int = 224, channels: int = 3
) -> ImageLayer:
    return ImageLayer(height, width, filters, (kernel, kernel), 2, input_width, channels)


# What Vela 5.2.0 printed for first layers on an ethos-u65-512 (--verbose-schedule): the stripes that it makes, its
# blocks of the output and of the input.
@pytest.mark.parametrize(
    ("layer", "rows", "block", "input_block"),
    [
        (image(112, 112, 32), 112, (6, 16, 32), (14, 34)),
        (image(112, 112, 32), 52, (6, 16, 32), (14, 34)),
        (image(112, 112, 32), 12, (12, 8, 32), (26, 18)),
        (image(112, 112, 32), 10, (10, 10, 32), (22, 22)),
        (image(112, 112, 32), 6, (6, 20, 16), (14, 42)),  # two blocks hold a stripe's input: half as many filters
        (image(112, 112, 64, 7), 24, (8, 16, 16), (22, 38)),
        (image(241, 321, 24, input_width=641), 8, (8, 12, 24), (18, 26)),
        (image(257, 257, 32, input_width=513), 8, (8, 12, 32), (18, 26)),
    ],
)
def test_blocks_are_those_that_vela_chooses(
    layer: ImageLayer, rows: int, block: tuple[int, int, int], input_block: tuple[int, int]
) -> None:
    high, wide, deep = (-(-side // step) for side, step in zip(layer[:3], block, strict=True))
    assert elements_read(layer, MEMORY, rows) == high * wide * deep * input_block[0] * input_block[1] * 3


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.integers(1, 7), st.integers(1, 7))
def test_every_pixel_that_the_output_needs_is_read(
    height: int, width: int, filters: int, kernel: int, channels: int
) -> None:
    layer = image(height, width, filters, kernel, 2 * width, channels)
    needed = ((height - 1) * 2 + 1) * ((width - 1) * 2 + 1) * channels if kernel > 1 else height * width * channels
    assert elements_read(layer, MEMORY, height) >= needed
