"""The array of tiles makes one patch of pixels by one group of channels a step: counted here one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from ednas.hw import Layer, load_target
from ednas.hw.graph.lifetimes import lifetimes
from ednas.hw.model.engines.tiled_simd import TiledSimd

ENGINE = load_target("coral_usb").engine
assert isinstance(ENGINE, TiledSimd)
shapes = st.tuples(st.integers(2, 13), st.integers(2, 13), st.integers(1, 150))


def patches(shape: tuple[int, int, int]) -> int:
    """Patches of 4 x 4 pixels by 64 channels that hold any element of an output."""
    return len({(y // 4, x // 4, channel // 64) for y, x, channel in product(*map(range, shape))})


def layer(op: str, output: tuple[int, int, int], channels: int, kernel: int = 1, weights: int = 0) -> Layer:
    return Layer("layer", "", op, (*output[:2], channels), output, (kernel, kernel), weight_bytes=weights)


@given(shapes, st.integers(1, 40), st.sampled_from((1, 3, 5)))
def test_a_convolution_takes_its_window_and_depth_in_every_patch(output, channels, kernel) -> None:
    factor = (ENGINE.pointwise_factor if kernel == 1 else ENGINE.dense_factor).value
    found = ENGINE.work(layer("CONV_2D", output, channels, kernel)).cycles
    assert found == round(patches(output) * channels * kernel**2 * factor)


@given(shapes, st.sampled_from((3, 5)))
def test_a_depthwise_convolution_takes_its_window_alone(output, kernel) -> None:
    found = ENGINE.work(layer("DEPTHWISE_CONV_2D", output, output[2], kernel)).cycles
    assert found == round(patches(output) * kernel**2 * ENGINE.depthwise_factor.value)


@given(shapes)
def test_elements_copies_and_reshapes(output) -> None:
    added, copied, reshaped = (ENGINE.work(layer(op, output, output[2])) for op in ("ADD", "CONCATENATION", "RESHAPE"))
    assert added.cycles == round(patches(output) * ENGINE.elementwise_factor.value)
    assert copied.cycles == round(patches(output) * ENGINE.move_factor.value)
    assert reshaped == (0, 0)


@given(st.integers(1, 3000))
def test_a_single_pixel_spreads_its_channels_over_all_tiles(channels) -> None:
    groups = len({channel // (4 * 4 * 64) for channel in range(channels)})
    found = ENGINE.work(layer("CONV_2D", (1, 1, channels), 10)).cycles
    assert found == round(groups * 10 * ENGINE.pointwise_factor.value)


@given(st.integers(1, 300), st.integers(1, 50))
def test_parameters_are_laid_out_over_whole_groups_of_lanes(channels, each) -> None:
    stored = [each + ENGINE.scale_bytes_per_filter.value for _ in range(64) for _ in {c // 64 for c in range(channels)}]
    assert ENGINE.parameter_bytes(layer("CONV_2D", (4, 4, channels), 8, weights=each * channels)) == round(sum(stored))


def kept(channels: int) -> list[Layer]:
    """Return layers that do not fit on the chip, and after them a tensor that two of them read."""
    image = layer("CONV_2D", (513, 513, 64), 3)
    inputs = [(-1,), (0,), (1,), (1,), (2, 3)]
    small = layer("AVERAGE_POOL_2D", (33, 33, 8), channels)
    layers = [image, layer("CONV_2D", (33, 33, channels), 64), small, small, layer("ADD", (33, 33, 8), 8)]
    return [replace(one, inputs=read) for one, read in zip(layers, inputs, strict=True)]


def spilled(layers: list[Layer], kib: int = 3072) -> list[int]:
    times = lifetimes(layers, (), {})
    if ENGINE.needed_bytes(layers, times, len(layers)) <= kib << 10:
        return [0] * len(layers)
    return ENGINE.spilled_bytes(layers, times, kib << 10)


def test_a_kept_tensor_of_half_a_tile_is_written_once_and_read_three_times_by_each_reader() -> None:
    # 33 x 33 pixels are 9 x 9 in a tile: 1,280 channels take 103,680 of its 196,608 bytes.
    size = 33 * 33 * 1280
    assert spilled(kept(1280)) == [0, size, 3 * size, 3 * size, 0]
    assert spilled(kept(1200)) == [0] * 5
    assert spilled(kept(1280), kib=4096) == [0] * 5


def test_half_a_tile_is_too_much() -> None:
    # As in a U-Net of a MobileNetV2 at 256 x 256: 128 x 128 x 96 are 98,304 bytes in a tile.
    layers = [replace(one, output=(128, 128, 96)) if number == 1 else one for number, one in enumerate(kept(96))]
    assert spilled(layers)[1] == 128 * 128 * 96
