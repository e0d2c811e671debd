"""From a scene to its picture and exact labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ednas.exceptions import DataError
from ednas.scenes.classes import Street
from ednas.scenes.primitives import Float
from ednas.scenes.rooms import build_room
from ednas.scenes.scene import Scene
from ednas.scenes.shading import radiance
from ednas.scenes.streets import build_street
from ednas.scenes.tracing import see
from ednas.seeding import derive_seed

SMALLEST, LARGEST = 32, 4096
"""Limits of an image's height and width in pixels."""

BASELINE = 0.22
"""Distance between the eyes of the imagined stereo camera of ``streets``, in metres (as Cityscapes)."""

_MIDDLE = 0.3
"""Mean light that the automatic exposure aims at."""

_BUILDERS: Mapping[str, Callable[[int], Scene]] = {"streets": build_street, "rooms": build_room}

SCENES = tuple(_BUILDERS)
"""Names of the built-in kinds of scene."""


@dataclass(frozen=True)
class Rendering:
    """A picture and its labels.

    Attributes:
        image: RGB, ``(H, W, 3)`` uint8.
        labels: Class ids, ``(H, W)`` uint8; the sky is a class of ``streets``.
        depth: ``(H, W)`` float32: normalised disparity in ``streets``, metres along the optical axis in ``rooms``;
            0 where nothing is hit.
        normals: Unit vectors in the camera frame, ``(H, W, 3)`` float32; zero where nothing is hit.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    depth: Float
    normals: Float


def check_scene(scene: str) -> None:
    """Raise DataError unless ``scene`` is the name of a built-in kind of scene."""
    if scene not in SCENES:
        raise DataError(f"unknown synthetic scene {scene!r}; use one of: {', '.join(SCENES)}")


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) as plain integers.

    Raises:
        DataError: They are not two integers between :data:`SMALLEST` and :data:`LARGEST`.
    """
    values = tuple(size) if isinstance(size, (tuple, list)) else ()
    whole = all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in values)
    if len(values) != 2 or not whole or not all(SMALLEST <= value <= LARGEST for value in values):
        raise DataError(
            f"synthetic image size {size!r} is not (height, width) with whole numbers from {SMALLEST} to {LARGEST}"
        )
    return int(values[0]), int(values[1])


def check_seed(seed: int) -> int:
    """Return the seed as a plain integer.

    Raises:
        DataError: It is not a whole number >= 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise DataError(f"synthetic seed {seed!r} is not a whole number >= 0")
    return int(seed)


def describe_scene(scene: str, seed: int) -> Scene:
    """Build the scene that :func:`render` shows: a pure function of its arguments.

    Args:
        scene: ``streets`` or ``rooms``.
        seed: Which of the endlessly many, >= 0.

    Raises:
        DataError: The scene's name or the seed is wrong.
    """
    check_scene(scene)
    return _BUILDERS[scene](check_seed(seed))


def disparity_scale(focal: float) -> float:
    """Return the factor from 1/depth (1/m) to normalised disparity.

    As in Cityscapes' files and AdaShare's targets made of them: pixels at width 2048, times 256, over 65535.

    Args:
        focal: Focal length divided by the image's width.
    """
    return focal * 2048 * BASELINE * 256 / 65535


def _blurred(image: Float, weight: float) -> Float:
    """Three-tap blur along both axes; the border repeats."""
    for axis in (0, 1):
        first, last = np.take(image, [0], axis), np.take(image, [-1], axis)
        padded = np.concatenate([first, image, last], axis)
        before, after = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
        image = image * np.float32(1 - 2 * weight) + (before + after) * np.float32(weight)
    return image


def _develop(scene: Scene, light: Float) -> npt.NDArray[np.uint8]:
    """Turn linear light ``(H, W, 3)`` into a picture: blur, vignette, automatic exposure, gamma, noise."""
    sensor = scene.sensor
    height, width = light.shape[:2]
    image = _blurred(light, sensor.blur)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    corner = 1 - np.float32(sensor.vignette / 2) * (x * x + (y * y)[:, None])
    exposure = np.float32(_MIDDLE / max(float(light.mean()), 1e-3))
    image = image * (corner[..., None] * (exposure * sensor.gain))
    # A shoulder instead of a hard limit for highlights, then gamma 2.
    image = np.sqrt(image / (1 + np.float32(0.25) * image * image))
    generator = np.random.default_rng(derive_seed(scene.seed, "sensor", height, width))
    grain = generator.standard_normal(image.shape, dtype=np.float32)
    if scene.handed < 0:
        grain = grain[:, ::-1]
    image += grain * np.float32(sensor.noise)
    return (np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def render_scene(scene: Scene, size: tuple[int, int]) -> Rendering:
    """Render a described scene (perhaps mirrored, or with another camera).

    Args:
        scene: The scene.
        size: (height, width) in pixels, each from 32 to 4096.

    Raises:
        DataError: The size is wrong.
    """
    size = check_size(size)
    rays = scene.camera.rays(size).reshape(-1, 3)
    hits = see(scene, size)
    light = radiance(scene, hits, rays, 1 / (scene.camera.focal * size[1]))
    if scene.name == "streets":
        hits.label[hits.primitive < 0] = Street.SKY
        depth = np.float32(disparity_scale(scene.camera.focal)) / hits.t
    else:
        depth = np.where(np.isfinite(hits.t), hits.t, np.float32(0))
    return Rendering(
        image=_develop(scene, light.reshape(*size, 3)),
        labels=hits.label.reshape(size),
        depth=depth.reshape(size),
        normals=hits.normal.reshape(*size, 3),
    )


def render(scene: str, seed: int, size: tuple[int, int]) -> Rendering:
    """Build and render a scene: a pure function of its arguments.

    Args:
        scene: ``streets`` or ``rooms``.
        seed: Which scene, >= 0.
        size: (height, width) in pixels, each from 32 to 4096.

    Raises:
        DataError: An argument is wrong.
    """
    return render_scene(describe_scene(scene, seed), size)
