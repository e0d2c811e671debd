"""Colours of label maps, depth and normals, the same wherever ednas paints: numpy in, RGB out."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.data.sample import VOID, TargetInfo

Color = tuple[int, int, int]
"""RGB, 0 to 255."""

Picture = npt.NDArray[np.uint8]
"""RGB, ``(H, W, 3)``."""

NO_LABEL: Color = (0, 0, 0)
"""Pixels without a class or a normal."""

NO_DEPTH: Color = (128, 128, 128)
"""Pixels without a depth. Grey is no colour of the scale, whose dark end is nearly black."""

SKY: Color = (135, 190, 235)
"""Pixels that are infinitely far."""

# fmt: off
_CITYSCAPES = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
    (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)

# A dark-to-bright scale from violet over red to pale yellow; luminance rises steadily, so that it also reads in grey.
_SCALE = (
    (18, 8, 46), (62, 15, 96), (110, 25, 110), (158, 42, 99), (202, 66, 75), (233, 103, 45), (247, 152, 24),
    (245, 204, 62), (250, 250, 176),
)
# fmt: on

_GOLDEN_RATIO = 0.618033988749895

_CLIPPED = 2.0
"""Percent of the pixels beyond either end of a depth's scale: a few outliers would make the rest one colour."""


@lru_cache(maxsize=16)
def palette(num_classes: int) -> npt.NDArray[np.uint8]:
    """Colour of every label.

    Args:
        num_classes: 19 gives the Cityscapes colours; any other number colours of well spread hues.

    Returns:
        ``uint8`` ``(256, 3)``, read-only; black from ``num_classes`` on.
    """
    colours = np.zeros((VOID + 1, 3), np.uint8)
    if num_classes == len(_CITYSCAPES):
        colours[:num_classes] = _CITYSCAPES
    else:
        for i in range(num_classes):
            hue, saturation, value = (i * _GOLDEN_RATIO) % 1, (0.75, 0.45)[i % 2], (0.95, 0.7, 0.85)[i % 3]
            colours[i] = [round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value)]
    colours.setflags(write=False)
    return colours


def color_labels(labels: npt.NDArray[Any], num_classes: int) -> Picture:
    """Colour a label map ``(H, W)`` of whole numbers; void and other ids that are no class are black."""
    ids = labels.astype(np.int64)
    return palette(num_classes)[np.where((ids >= 0) & (ids < num_classes), ids, VOID)]


def color_scale(nearness: npt.NDArray[Any]) -> Picture:
    """Colour numbers ``(H, W)`` from 0 (far, dark) to 1 (near, bright)."""
    stops = np.linspace(0, 1, len(_SCALE))
    channels = [np.interp(nearness, stops, channel) for channel in np.array(_SCALE, np.float64).T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def depth_range(depth: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the values at the two ends of the colour scale, the rule for every picture of a depth.

    These are the 2nd and the 98th percentile of all that is painted together; (0, 1) where no pixel has a depth.
    """
    values = depth[np.isfinite(depth) & (depth > 0)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (_CLIPPED, 100 - _CLIPPED))
    return float(low), float(high)


def color_depth(
    depth: npt.NDArray[Any], *, near_is_large: bool = False, value_range: tuple[float, float] | None = None
) -> Picture:
    """Colour a depth or disparity map: near is bright, far is dark; what has no depth is grey, the sky light blue.

    Args:
        depth: ``(H, W)``; 0 and NaN = no depth, infinity = sky.
        near_is_large: True for a disparity.
        value_range: Smallest and largest value of the scale; None: :func:`depth_range`.
    """
    values = depth.astype(np.float64)
    has_depth = np.isfinite(values) & (values > 0)
    low, high = depth_range(values) if value_range is None else value_range
    share = np.where(has_depth, values, low) - low
    share = np.clip(share / (high - low), 0, 1) if high > low else np.full(values.shape, 0.5)
    picture = color_scale(share if near_is_large else 1 - share)
    picture[~has_depth] = NO_DEPTH
    picture[np.isposinf(values)] = SKY
    return picture


def color_normals(normals: npt.NDArray[Any]) -> Picture:
    """Colour surface normals ``(H, W, 3)``: (n + 1) / 2 in each channel, invalid (zero vectors) black."""
    ok = (normals != 0).any(axis=-1, keepdims=True)
    return np.where(ok, np.clip((normals + 1) * 127.5, 0, 255), 0).round().astype(np.uint8)


def color_target(values: npt.NDArray[Any], info: TargetInfo, value_range: tuple[float, float] | None = None) -> Picture:
    """Colour a target by its kind, ``(H, W)`` or ``(H, W, 3)``; ``value_range`` is that of :func:`color_depth`."""
    if info.kind == "labels":
        return color_labels(values, info.num_classes)
    if info.kind == "normals":
        return color_normals(values)
    return color_depth(values, near_is_large=info.kind == "disparity", value_range=value_range)


def sky_pixels(
    labels: Mapping[str, npt.NDArray[Any]], targets: Mapping[str, TargetInfo]
) -> npt.NDArray[np.bool_] | np.bool_:
    """Return where one of the maps of classes among ``labels`` says sky, ``(H, W)``; False where none of them can."""
    sky: npt.NDArray[np.bool_] | np.bool_ = np.False_
    for name, values in labels.items():
        if targets[name].kind == "labels" and "sky" in targets[name].class_names:
            sky = sky | (values == targets[name].class_names.index("sky"))
    return sky


def mark_sky(depth: npt.NDArray[Any], sky: npt.NDArray[np.bool_] | np.bool_) -> npt.NDArray[Any]:
    """Return a depth ``(..., H, W)`` that is infinite in the sky, as :func:`color_depth` expects."""
    return np.where(sky, np.float32(np.inf), depth)
