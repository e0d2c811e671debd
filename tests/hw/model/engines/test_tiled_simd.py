"""The array of tiles makes one patch of pixels by one group of channels a step: counted here one by one."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from ednas.hw import Layer, load_target
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
