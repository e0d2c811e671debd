from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ednas.config import parse
from ednas.data.augment import PADDING, AugmentConfig, Batch, Geometry, as_batch, augment, draw_geometry, transform
from ednas.data.sample import VOID, TargetKind
from ednas.exceptions import ConfigError

KINDS: dict[str, TargetKind] = {
    "segmentation": "labels",
    "depth": "distance",
    "disparity": "disparity",
    "normals": "normals",
}
EVERYTHING = AugmentConfig(crop=(10, 24), brightness=0.3, contrast=0.3, saturation=0.3, hue=20)


def stored_batch(seed: int, count: int = 4, size: tuple[int, int] = (14, 18)) -> Batch:
    """Random samples in the types that a cache holds, one pixel in ten invalid."""
    random = np.random.default_rng(seed)
    shape = (count, *size)
    valid = random.random(shape) < 0.9
    normals = random.normal(size=(*shape, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    depth = np.where(valid, random.uniform(1, 80, shape), 0).astype(np.float32)[:, None]
    return {
        "image": torch.from_numpy(random.integers(0, 256, (*shape, 3), dtype=np.uint8)).permute(0, 3, 1, 2),
        "segmentation": torch.from_numpy(np.where(valid, random.integers(0, 7, shape), VOID).astype(np.uint8)),
        "depth": torch.from_numpy(depth),
        "disparity": torch.from_numpy(np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)),
        "normals": torch.from_numpy((normals * valid[..., None]).astype(np.float16)).permute(0, 3, 1, 2),
    }


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def geometry(
    size: tuple[int, int], scale: float, top: float = 0.0, left: float = 0.0, mirrored: bool = False
) -> Geometry:
    one = torch.ones(1, dtype=torch.float64)
    return Geometry(size, scale * one, top * one, left * one, torch.tensor([mirrored]))


def assert_same(actual: Batch, expected: Batch, atol: float = 0.0) -> None:
    assert actual.keys() == expected.keys()
    for name in actual:
        torch.testing.assert_close(actual[name], expected[name], atol=atol, rtol=0, msg=lambda text, n=name: n + text)


# Rendering: the augmented labels of a scene are the labels of the augmented scene.


@dataclass(frozen=True)
class Scene:
    """A floor, a slanted wall and a ball before a pinhole camera, behind a change of space.

    Everything is ray-cast from the shapes alone. A camera looking at the space transformed by diag(m, 1, 1/s) sees
    along the ray d what the plain scene shows along diag(m, 1, s) d, and the transformed depth of that point, its z
    over s, is the parameter along either ray.
    """

    focal: float
    centre: tuple[float, float]
    stretch: float = 1.0
    mirror: float = 1.0

    def cast(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depth along the axis and number of the surface at pixel coordinates ``(u, v)``."""
        x = self.mirror * (u - self.centre[0]) / self.focal
        y = (v - self.centre[1]) / self.focal
        z = np.full_like(x, self.stretch)
        ray = np.stack([x, y, z], axis=-1)
        hits = [self._plane(ray, (0, 1, 0), 1.5), self._plane(ray, (0.4, -0.1, 1.0), 9.0), self._ball(ray)]
        depth = np.stack(hits)
        return depth.min(axis=0), depth.argmin(axis=0)

    @staticmethod
    def _plane(ray: np.ndarray, normal: tuple[float, float, float], distance: float) -> np.ndarray:
        slope = ray @ np.array(normal)
        return np.where(slope > 1e-9, distance / np.where(slope > 1e-9, slope, 1), np.inf)

    @staticmethod
    def _ball(ray: np.ndarray) -> np.ndarray:
        middle, radius = np.array([0.5, 0.2, 4.0]), 1.2
        a, b = (ray**2).sum(-1), ray @ middle
        root = b**2 - a * (middle @ middle - radius**2)
        return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)

    def normals(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit normals facing the camera, by differences of back-projected depth; and where they hold (no edges)."""
        step = 1e-6
        around = [(u + step, v), (u - step, v), (u, v + step), (u, v - step)]
        points, surfaces = [], []
        for uu, vv in around:
            depth, surface = self.cast(uu, vv)
            back = np.stack([(uu - self.centre[0]) / self.focal, (vv - self.centre[1]) / self.focal, np.ones_like(uu)])
            points.append(np.moveaxis(back * depth, 0, -1))
            surfaces.append(surface)
        normal = np.cross(points[2] - points[3], points[0] - points[1])
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        normal *= -np.sign((normal * points[0]).sum(-1, keepdims=True))
        return normal, np.all([s == surfaces[0] for s in surfaces], axis=0)


def pixel_centres(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    v, u = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5, indexing="ij")
    return u, v


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("scale", "top", "left"), [(1.0, 0, 0), (1.5, 9.3, 20.7), (0.6, -5.0, -8.5), (2.0, 30, 11)])
def test_labels_agree_with_the_transformed_scene_rendered_anew(
    scale: float, top: float, left: float, mirrored: bool
) -> None:
    size, crop = (48, 64), (40, 56)
    scene = Scene(focal=50, centre=(33.0, 22.0))
    u, v = pixel_centres(size)
    depth, surface = scene.cast(u, v)
    normals, _ = scene.normals(u, v)
    batch = {
        "image": torch.zeros(1, 3, *size),
        "segmentation": torch.from_numpy(surface)[None],
        "depth": torch.from_numpy(depth.astype(np.float32))[None, None],
        "disparity": torch.from_numpy((1 / depth).astype(np.float32))[None, None],
        "normals": torch.from_numpy(normals.astype(np.float32)).permute(2, 0, 1)[None],
    }
    result = transform(batch, KINDS, geometry(crop, scale, top, left, mirrored))

    # The same camera before the transformed scene, its principal point moved along with the picture.
    centre_u, centre_v = scale * scene.centre[0] - left, scale * scene.centre[1] - top
    if mirrored:
        centre_u = crop[1] - centre_u
    seen = Scene(scene.focal, (centre_u, centre_v), stretch=scale, mirror=-1.0 if mirrored else 1.0)
    # Nearest pixels: what is compared is the ray through the centre of the pixel that the value was taken from.
    u, v = pixel_centres(crop)
    source_u = np.floor(((crop[1] - u if mirrored else u) + left) / scale) + 0.5
    source_v = np.floor((v + top) / scale) + 0.5
    inside = (source_u > 0) & (source_u < size[1]) & (source_v > 0) & (source_v < size[0])
    u, v = scale * source_u - left, scale * source_v - top
    if mirrored:
        u = crop[1] - u
    assert (np.abs(u - pixel_centres(crop)[0]) <= scale / 2 + 1e-9).all()
    depth, surface = seen.cast(u, v)
    normals, smooth = seen.normals(u, v)
    smooth &= inside
    assert smooth.mean() > 0.3

    np.testing.assert_array_equal(result["segmentation"][0].numpy()[smooth], surface[smooth])
    np.testing.assert_allclose(result["depth"][0, 0].numpy()[smooth], depth[smooth], rtol=1e-5)
    np.testing.assert_allclose(result["disparity"][0, 0].numpy()[smooth], 1 / depth[smooth], rtol=1e-5)
    np.testing.assert_allclose(result["normals"][0].permute(1, 2, 0).numpy()[smooth], normals[smooth], atol=1e-4)
    assert (result["segmentation"][0].numpy()[~inside] == VOID).all()
    for name in ("depth", "disparity", "normals"):
        assert (result[name][0].numpy()[:, ~inside] == 0).all()
    assert (result["image"][0].numpy()[:, ~inside] == PADDING).all()


def test_a_slanted_plane_by_hand() -> None:
    # z = 2 + x: normal (1, 0, -1) / sqrt 2. Twice as close: z' = 1 + x / 2: normal (1, 0, -2) / sqrt 5.
    normal = torch.tensor([1.0, 0.0, -1.0])[None, :, None, None].expand(1, 3, 4, 4) / 2**0.5
    batch = {"image": torch.zeros(1, 3, 4, 4), "normals": normal}
    magnified = transform(batch, {"normals": "normals"}, geometry((4, 4), 2.0))["normals"][0, :, 1, 1]
    torch.testing.assert_close(magnified, torch.tensor([1.0, 0.0, -2.0]) / 5**0.5)
    mirrored = transform(batch, {"normals": "normals"}, geometry((4, 4), 1.0, mirrored=True))["normals"][0, :, 1, 1]
    torch.testing.assert_close(mirrored, torch.tensor([-1.0, 0.0, -1.0]) / 2**0.5)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("scale", "top", "left"), [(1.0, 0.0, 0.0), (1.37, 4.2, 11.9), (0.7, -3.3, 1.0)])
def test_images_move_with_their_labels_to_a_fraction_of_a_pixel(
    scale: float, top: float, left: float, mirrored: bool
) -> None:
    size, crop = (30, 40), (24, 32)
    u, v = pixel_centres(size)
    ramps = torch.from_numpy(np.stack([u / 40, v / 30, (u + v) / 70]).astype(np.float32))[None]
    result = transform({"image": ramps}, {}, geometry(crop, scale, top, left, mirrored))["image"][0].numpy()
    u, v = pixel_centres(crop)
    x, y = ((crop[1] - u if mirrored else u) + left) / scale, (v + top) / scale
    inner = (x > 0.5) & (x < size[1] - 0.5) & (y > 0.5) & (y < size[0] - 0.5)
    expected = np.stack([x / 40, y / 30, (x + y) / 70])
    np.testing.assert_allclose(result[:, inner], expected[:, inner], atol=1e-5)
    outside = (x < 0) | (x >= size[1]) | (y < 0) | (y >= size[0])
    assert (result[:, outside] == PADDING).all()


# Properties


@given(st.integers(0, 2**32))
@settings(max_examples=examples(25))
def test_mirrored_twice_is_the_original(seed: int) -> None:
    batch = stored_batch(seed)
    mirror = AugmentConfig(scale=(1, 1), mirror=1)
    once = augment(batch, KINDS, mirror, generator())
    original = as_batch(batch, KINDS)
    torch.testing.assert_close(once["segmentation"], original["segmentation"].flip(-1))
    torch.testing.assert_close(once["normals"][:, 0], -original["normals"][:, 0].flip(-1))
    assert_same(augment(once, KINDS, mirror, generator()), original, atol=1e-4)


@given(st.integers(0, 2**32), st.floats(0.2, 3), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=examples(50))
def test_no_value_is_invented_and_invalid_stays_invalid(seed: int, scale: float, height: int, width: int) -> None:
    batch = stored_batch(seed)
    config = AugmentConfig(scale=(scale, scale), crop=(height, width))
    result = augment(batch, KINDS, config, generator(seed))
    for i in range(4):
        assert set(result["segmentation"][i].unique().tolist()) <= {*batch["segmentation"][i].unique().tolist(), VOID}
        known = batch["depth"][i].unique().numpy()
        for restored in (result["depth"][i] * scale, 1 / (result["disparity"][i] / scale)):
            values = torch.where(restored.isinf(), 0, restored).unique().numpy()
            nearest = np.abs(values[:, None] - np.append(known, 0)).min(axis=1)
            assert (nearest <= 1e-5 * np.maximum(values, 1)).all()
    void = result["segmentation"] == VOID
    torch.testing.assert_close(result["depth"][:, 0] == 0, void)
    torch.testing.assert_close(result["disparity"][:, 0] == 0, void)
    torch.testing.assert_close(~result["normals"].any(dim=1), void)
    torch.testing.assert_close(result["normals"].norm(dim=1)[~void], torch.ones(int((~void).sum())))
    torch.testing.assert_close((result["depth"] * result["disparity"])[:, 0][~void], torch.ones(int((~void).sum())))


@given(st.integers(0, 2**32))
@settings(max_examples=examples(25))
def test_result_depends_on_the_generator_alone_and_the_input_is_not_touched(seed: int) -> None:
    batch = stored_batch(seed)
    before = {name: values.clone() for name, values in batch.items()}
    first = augment(batch, KINDS, EVERYTHING, generator(seed))
    assert_same(augment(batch, KINDS, EVERYTHING, generator(seed)), first)
    assert_same(batch, before)
    assert (augment(batch, KINDS, EVERYTHING, generator(seed + 1))["image"] != first["image"]).any()
    assert_same(augment(as_batch(batch, KINDS), KINDS, EVERYTHING, generator(seed)), first, atol=1e-6)


def test_result_follows_the_batch_convention() -> None:
    result = augment(stored_batch(0), KINDS, EVERYTHING, generator())
    shapes = {name: (values.dtype, tuple(values.shape)) for name, values in result.items()}
    assert shapes == {
        "image": (torch.float32, (4, 3, 10, 24)),
        "segmentation": (torch.int64, (4, 10, 24)),
        "depth": (torch.float32, (4, 1, 10, 24)),
        "disparity": (torch.float32, (4, 1, 10, 24)),
        "normals": (torch.float32, (4, 3, 10, 24)),
    }
    assert 0 <= result["image"].min() <= result["image"].max() <= 1
    for name in ("image", "depth", "disparity", "normals"):
        assert result[name].is_contiguous(memory_format=torch.channels_last)
    assert result["segmentation"].is_contiguous()


def test_samples_of_a_batch_are_augmented_independently() -> None:
    batch = {name: values[:1].expand(8, *values.shape[1:]) for name, values in stored_batch(0).items()}
    result = augment(batch, KINDS, EVERYTHING, generator())
    assert len({tuple(image.flatten().tolist()) for image in result["image"]}) == 8


def test_scales_places_and_mirrors_cover_their_ranges() -> None:
    draws = torch.rand(20_000, 4, generator=generator(), dtype=torch.float64)
    drawn = draw_geometry(draws, AugmentConfig(crop=(50, 50), mirror=0.3), (60, 100))
    scale, top, left = drawn.scale.numpy(), drawn.top.numpy(), drawn.left.numpy()
    assert 0.5 <= scale.min() < 0.51
    assert 1.49 < scale.max() <= 1.5
    assert abs(scale.mean() - 1) < 0.01
    assert abs(drawn.mirrored.double().mean() - 0.3) < 0.02
    for offset, room in ((top, scale * 60 - 50), (left, scale * 100 - 50)):
        assert (offset >= np.minimum(room, 0)).all()
        assert (offset <= np.maximum(room, 0)).all()
        assert abs(np.mean(offset / room) - 0.5) < 0.01


def test_without_a_crop_the_size_is_kept() -> None:
    assert augment(stored_batch(0), KINDS, AugmentConfig(), generator())["image"].shape == (4, 3, 14, 18)


# Colours

STILL = {"scale": (1.0, 1.0), "mirror": 0.0}


def colours(seed: int = 0) -> Tensor:
    """Images of middling colours, so that nothing is clipped."""
    return 0.4 + 0.2 * torch.rand(6, 3, 8, 9, generator=generator(seed))


def luminance(image: Tensor) -> Tensor:
    return (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1)


def test_brightness_is_a_factor() -> None:
    image = colours()
    ratio = augment({"image": image}, {}, AugmentConfig(**STILL, brightness=0.2), generator())["image"] / image
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
    factors = ratio[:, 0, 0, 0]
    assert 0.8 <= factors.min() < factors.max() <= 1.2


def test_contrast_keeps_the_mean_luminance() -> None:
    image = colours()
    result = augment({"image": image}, {}, AugmentConfig(**STILL, contrast=0.5), generator())["image"]
    torch.testing.assert_close(luminance(result).mean(dim=(1, 2)), luminance(image).mean(dim=(1, 2)))
    ratio = luminance(result).std(dim=(1, 2)) / luminance(image).std(dim=(1, 2))
    assert 0.5 <= ratio.min() < ratio.max() <= 1.5


@pytest.mark.parametrize("option", [{"saturation": 0.5}, {"hue": 40.0}])
def test_saturation_and_hue_keep_luminance(option: dict[str, float]) -> None:
    image = colours()
    result = augment({"image": image}, {}, AugmentConfig(**STILL, **option), generator())["image"]
    torch.testing.assert_close(luminance(result), luminance(image), atol=1e-5, rtol=0)
    assert (result - image).abs().max() > 0.01
    grey = image[:, :1].expand(-1, 3, -1, -1)
    unchanged = augment({"image": grey}, {}, AugmentConfig(**STILL, **option), generator())["image"]
    torch.testing.assert_close(unchanged, grey, atol=1e-5, rtol=0)


def test_colours_change_neither_targets_nor_padding_nor_geometry() -> None:
    batch = stored_batch(3)
    plain = augment(batch, KINDS, AugmentConfig(scale=(0.5, 0.7)), generator(5))
    coloured = augment(
        batch,
        KINDS,
        AugmentConfig(scale=(0.5, 0.7), brightness=0.5, contrast=0.5, saturation=0.5, hue=90),
        generator(5),
    )
    assert_same({n: coloured[n] for n in KINDS}, {n: plain[n] for n in KINDS})
    padding = (plain["image"] == PADDING).all(dim=1)
    assert padding.any()
    assert (coloured["image"].movedim(1, -1)[padding] == PADDING).all()
    assert (coloured["image"] != plain["image"]).any()


# Configuration


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": [1.5, 0.5]}, "'scale': must be"),
        ({"scale": [0.0, 0.5]}, "'scale': must be"),
        ({"crop": [0, 5]}, "'crop': height and width"),
        ({"mirror": 1.5}, "'mirror'"),
        ({"brightness": 1.0}, "'brightness'"),
        ({"hue": -1}, "'hue'"),
        ({"miror": 0.5}, "did you mean 'mirror'"),
    ],
)
def test_wrong_configurations_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(AugmentConfig, values, "recipe.yaml")


def test_lists_of_a_yaml_file_are_taken() -> None:
    config = parse(AugmentConfig, {"scale": [0.75, 1.25], "crop": [224, 224]}, "recipe.yaml")
    assert (config.scale, config.crop) == ((0.75, 1.25), (224, 224))
