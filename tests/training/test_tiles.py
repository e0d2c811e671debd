import math
from itertools import pairwise

import pytest
import torch
from helpers.small_training import SIZE
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from ednas.exceptions import ConfigError
from ednas.training.tiles import Tiling, forward_tiles

sides = st.integers(1, 150)
tile_sides = st.integers(32, 80)
overlaps = st.floats(0, 0.9)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pointwise(images):
    """A 1x1 convolution for each of two tasks."""
    weight = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, 4.0]])[..., None, None]
    return {"segmentation": F.conv2d(images, weight), "depth": F.conv2d(images, weight[:1]) + 3}


def blur(radius):
    """A network that sees ``radius`` pixels far, and zeros past the border of its input."""
    weight = noise(1, 3, 2 * radius + 1, 2 * radius + 1)
    return lambda images: {"depth": F.conv2d(images, weight, padding=radius)}


@given(sides, sides, tile_sides, tile_sides, overlaps, st.integers(1, 3))
def test_a_pointwise_network_predicts_what_it_predicts_for_the_whole(height, width, rows, columns, overlap, count):
    images = noise(count, 3, height, width)
    found = forward_tiles(pointwise, images, Tiling((rows, columns), overlap), batch_size=16)
    expected = pointwise(images)
    assert found.keys() == expected.keys()
    for task, values in expected.items():
        torch.testing.assert_close(found[task], values, atol=1e-5, rtol=1e-5)


@given(sides, sides, tile_sides, tile_sides, overlaps)
def test_windows_cover_the_image_and_overlap_as_much_as_asked(height, width, rows, columns, overlap):
    image = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
    boxes = set()

    def forward(images):
        for window in images:
            top, left = (int(value) for value in window[:2, 0, 0])
            bottom, right = (int(value) + 1 for value in window[:2, -1, -1])
            assert (bottom - top, right - left) == (min(rows, height), min(columns, width)) == window.shape[1:]
            boxes.add((top, bottom, left, right))
        return {"depth": images[:, :1]}

    forward_tiles(forward, torch.cat([image, image[:1]])[None], Tiling((rows, columns), overlap), batch_size=16)
    for length, tile, spans in (
        (height, rows, sorted({(top, bottom) for top, bottom, _, _ in boxes})),
        (width, columns, sorted({(left, right) for _, _, left, right in boxes})),
    ):
        assert (spans[0][0], spans[-1][1]) == (0, length)
        for (_, stop), (start, _) in pairwise(spans):
            assert stop - start >= math.floor(overlap * tile)


@given(sides, sides, tile_sides, overlaps)
def test_a_constant_stays_constant(height, width, tile, overlap):
    images = noise(1, 3, height, width)
    found = forward_tiles(lambda x: {"depth": torch.full_like(x[:, :1], 7)}, images, Tiling((tile, tile), overlap))
    torch.testing.assert_close(found["depth"], torch.full((1, 1, height, width), 7.0))


@pytest.mark.parametrize(("tile", "overlap", "radius"), [((64, 64), 0.25, 2), ((64, 96), 0.5, 4), ((32, 40), 0.9, 3)])
@pytest.mark.parametrize("size", [(100, 150), (64, 131), (40, 200)])
def test_what_windows_lack_at_their_borders_does_not_count(size, tile, overlap, radius):
    images = noise(2, 3, *size)
    found = forward_tiles(blur(radius), images, Tiling(tile, overlap))["depth"]
    torch.testing.assert_close(found, blur(radius)(images)["depth"], atol=1e-5, rtol=1e-5)


def test_without_overlap_the_borders_do_count():
    images = noise(1, 3, 64, 128)
    found = forward_tiles(blur(2), images, Tiling((64, 64), 0.0))["depth"]
    wrong = (found - blur(2)(images)["depth"]).abs().amax((0, 1, 2)) > 1e-3
    assert wrong.nonzero().flatten().tolist() == [62, 63, 64, 65]


def test_windows_that_disagree_are_blended_without_a_jump():
    def forward(images):
        return {"depth": images.mean((1, 2, 3), keepdim=True).expand(-1, 1, *images.shape[2:])}

    ramp = torch.linspace(0, 1, 256).expand(1, 3, 64, 256)
    row = forward_tiles(forward, ramp, Tiling((64, 128), 0.25))["depth"][0, 0, 0]
    steps = row.diff()
    assert (steps >= 0).all()
    assert steps.max() < 0.1 * (row[-1] - row[0])


def test_a_tile_as_large_as_the_image_changes_nothing(build):
    model = build()
    model.network.eval()
    images = noise(2, 3, *SIZE)
    with torch.inference_mode():
        expected = model.forward(images)
        for tile in (SIZE, (48, 64), (100, 100)):
            found = forward_tiles(model.forward, images, Tiling(tile))
            for task, values in expected.items():
                torch.testing.assert_close(found[task], values)


def test_the_batch_size_changes_nothing_and_is_not_exceeded(build):
    model = build()
    model.network.eval()
    images = noise(2, 3, 75, 90)
    sizes = []

    def forward(windows):
        sizes.append(len(windows))
        return model.forward(windows)

    with torch.inference_mode():
        one, many = (forward_tiles(forward, images, Tiling((32, 64)), batch_size=size) for size in (1, 7))
    assert max(sizes) == 7
    for task, values in one.items():
        torch.testing.assert_close(many[task], values, atol=1e-4, rtol=1e-4)


def test_an_image_smaller_than_any_tile(build):
    model = build()
    model.network.eval()
    with torch.inference_mode():
        found = forward_tiles(model.forward, noise(1, 3, 5, 90), Tiling((32, 64)))
    assert found["normals"].shape == (1, 3, 5, 90)
    assert all(values.isfinite().all() for values in found.values())


@pytest.mark.parametrize(
    ("size", "overlap", "message"),
    [
        ((31, 64), 0.25, "tile 31x64: height and width must be at least 32"),
        ((64, 0), 0.25, "at least 32"),
        ((64, 64), 0.95, "overlap 0.95: must be a share of the tile from 0 to 0.9"),
        ((64, 64), -0.1, "overlap -0.1"),
        ((64, 64), math.nan, "overlap nan"),
    ],
)
def test_wrong_tilings(size, overlap, message):
    with pytest.raises(ConfigError, match=message):
        Tiling(size, overlap)


def test_a_wrong_batch_size():
    with pytest.raises(ConfigError, match="batch size 0"):
        forward_tiles(pointwise, noise(1, 3, 40, 40), Tiling((32, 32)), batch_size=0)
