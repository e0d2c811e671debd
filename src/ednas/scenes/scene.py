"""What a scene is: solids, their surfaces, a camera, light, air and a sensor. Plain data, no size in pixels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ednas.scenes.camera import Camera
from ednas.scenes.primitives import MIRROR, Float, Primitives


@dataclass(frozen=True)
class Surfaces:
    """Table of what the solids' faces are made of; all arrays have M rows.

    Attributes:
        label: Class id, ``(M,)`` uint8.
        pattern: :class:`~ednas.scenes.textures.Pattern`, ``(M,)`` uint8.
        color: First colour, linear RGB, ``(M, 3)``.
        second: Second colour, linear RGB, ``(M, 3)``.
        params: Numbers whose meaning the pattern gives, ``(M, 4)``.
        phase: Random offset of the pattern, so that no two surfaces share their irregularities, ``(M,)``.
        gloss: Strength of the highlight, ``(M,)``.
        glow: Light given off, as a multiple of the colour, ``(M,)``.
    """

    label: npt.NDArray[np.uint8]
    pattern: npt.NDArray[np.uint8]
    color: Float
    second: Float
    params: Float
    phase: Float
    gloss: Float
    glow: Float


@dataclass(frozen=True)
class Light:
    """A lamp, or the sun as a lamp very far away.

    Attributes:
        position: World position in metres, ``(3,)``.
        color: Linear RGB irradiance, ``(3,)``, at the lamp's ``reach``, or everywhere if that is 0.
        reach: Distance in metres over which it fades; 0 = it does not fade.
        shadows: Whether solids block it.
    """

    position: Float
    color: Float
    reach: float = 0.0
    shadows: bool = True


@dataclass(frozen=True)
class Air:
    """What is between and behind the solids.

    Attributes:
        above: Ambient light from above, linear RGB ``(3,)``.
        below: Ambient light from below, linear RGB ``(3,)``.
        zenith: Sky colour overhead, ``(3,)``.
        horizon: Sky and fog colour at the horizon, ``(3,)``.
        clouds: Share of the sky that clouds cover, 0..1.
        visibility: Distance in metres at which fog takes 63 % of the light; 0 = no fog.
        phase: Random offset of the clouds.
    """

    above: Float
    below: Float
    zenith: Float
    horizon: Float
    clouds: float = 0.0
    visibility: float = 0.0
    phase: float = 0.0


@dataclass(frozen=True)
class Sensor:
    """What turns light into numbers.

    Attributes:
        gain: White balance and what is added to the automatic exposure, ``(3,)``; about 1.
        noise: Standard deviation of the noise at mid-grey, in units of the full range.
        blur: Weight of each neighbour in the lens blur, 0..0.25.
        vignette: Loss of light in the corners, 0..1.
    """

    gain: Float
    noise: float
    blur: float
    vignette: float


@dataclass(frozen=True)
class Scene:
    """Everything needed to render at any size.

    Attributes:
        name: ``streets`` or ``rooms``.
        seed: Seed of the scene; the sensor noise is drawn from it too.
        camera: The camera.
        primitives: The solids.
        surfaces: What they are made of.
        lights: Lamps, or the sun.
        air: Ambient light, sky and fog.
        sensor: Exposure, noise, blur.
        handed: +1, or -1 for a mirrored copy.
    """

    name: str
    seed: int
    camera: Camera
    primitives: Primitives
    surfaces: Surfaces
    lights: tuple[Light, ...]
    air: Air
    sensor: Sensor
    handed: float = 1.0


def mirrored(scene: Scene) -> Scene:
    """Return the scene mirrored at x = 0: its picture is the mirrored picture, and normals change the sign of x.

    Textures, clouds and sensor noise are mirrored too, so ``render`` of both agrees pixel by pixel.
    """
    lights = tuple(dataclasses.replace(light, position=light.position * MIRROR) for light in scene.lights)
    return dataclasses.replace(
        scene,
        camera=scene.camera.mirrored(),
        primitives=scene.primitives.mirrored(),
        lights=lights,
        handed=-scene.handed,
    )
