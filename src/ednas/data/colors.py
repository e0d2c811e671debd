"""Colours for label maps, depth and normals: numpy in, RGB out, invalid pixels black."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.data.sample import VOID, TargetInfo

_CITYSCAPES = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 0, 70),
    (0, 60, 100),
    (0, 80, 100),
    (0, 0, 230),
    (119, 11, 32),
)

_GOLDEN_RATIO = 0.618033988749895

_RAMP = ((36, 12, 79), (62, 73, 137), (38, 130, 142), (53, 183, 121), (180, 222, 44), (253, 231, 37))
"""From dark (far) to bright (near)."""


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


def color_labels(labels: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.uint8]:
    """Colour a label map.

    Args:
        labels: ``(H, W)``, integers 0 to 255.
        num_classes: Number of classes, for the palette.

    Returns:
        ``uint8`` ``(H, W, 3)``; void (255) is black.
    """
    return palette(num_classes)[labels.astype(np.uint8)]


def color_depth(
    depth: npt.NDArray[Any], *, low: float | None = None, high: float | None = None, near_is_large: bool = False
) -> npt.NDArray[np.uint8]:
    """Colour a depth or disparity map: near is bright, far is dark, invalid (0) is black.

    Args:
        depth: ``(H, W)``, 0 = invalid.
        low: Value at one end of the ramp; None: the 2nd percentile of the valid values.
        high: Value at the other end; None: the 98th percentile.
        near_is_large: True for a disparity.

    Returns:
        ``uint8`` ``(H, W, 3)``.
    """
    values = depth.astype(np.float64)
    ok = np.isfinite(values) & (values > 0)
    if not ok.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    low = float(np.percentile(values[ok], 2)) if low is None else low
    high = float(np.percentile(values[ok], 98)) if high is None else high
    share = np.clip((np.where(ok, values, low) - low) / max(high - low, 1e-12), 0, 1)
    share = share if near_is_large else 1 - share
    stops = np.linspace(0, 1, len(_RAMP))
    channels = [np.interp(share, stops, channel) for channel in np.array(_RAMP, np.float64).T]
    return np.where(ok[:, :, None], np.stack(channels, axis=-1), 0).round().astype(np.uint8)


def color_normals(normals: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Colour surface normals: (n + 1) / 2 in each channel, invalid (zero vectors) black.

    Args:
        normals: ``(H, W, 3)``, components in [-1, 1].

    Returns:
        ``uint8`` ``(H, W, 3)``.
    """
    ok = np.abs(normals).sum(axis=-1, keepdims=True) > 0
    return np.where(ok, np.clip((normals + 1) * 127.5, 0, 255), 0).round().astype(np.uint8)


def color_target(values: npt.NDArray[Any], info: TargetInfo) -> npt.NDArray[np.uint8]:
    """Colour a target by its kind: ``(H, W)`` or ``(H, W, 3)`` to ``uint8`` ``(H, W, 3)``."""
    if info.kind == "labels":
        return color_labels(values, info.num_classes)
    if info.kind == "normals":
        return color_normals(values)
    return color_depth(values, near_is_large=info.kind == "disparity")
