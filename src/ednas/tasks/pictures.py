"""Pictures of labels and predictions: palettes and a colour scale, without a plotting library."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ednas.data.sample import VOID

# The colours that the Cityscapes authors publish for their 19 training classes, in the order of the training ids.
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

# A dark-to-bright scale from violet over red to pale yellow; luminance rises steadily, so that it also reads in grey.
_SCALE = np.array(
    [
        (18, 8, 46),
        (62, 15, 96),
        (110, 25, 110),
        (158, 42, 99),
        (202, 66, 75),
        (233, 103, 45),
        (247, 152, 24),
        (245, 204, 62),
        (250, 250, 176),
    ],
    dtype=np.float64,
)

_GOLDEN_ANGLE = 0.618033988749895


@lru_cache(maxsize=32)
def palette(num_classes: int) -> npt.NDArray[np.uint8]:
    """Colours of class ids: the Cityscapes palette for 19 classes, distinct generated ones otherwise.

    Args:
        num_classes: Number of classes, 1 to 255.

    Returns:
        ``uint8`` ``(256, 3)``, read-only; black from ``num_classes`` on, so that void (255) is black.
    """
    colours = np.zeros((256, 3), dtype=np.uint8)
    if num_classes == len(_CITYSCAPES):
        colours[: len(_CITYSCAPES)] = _CITYSCAPES
    else:
        for index in range(num_classes):
            # Steps of the golden angle keep neighbouring ids apart; saturation and value change once per turn.
            saturation, value = (0.75, 0.95, 0.45)[index // 9 % 3], (0.95, 0.7, 0.85)[index // 27 % 3]
            colour = colorsys.hsv_to_rgb(index * _GOLDEN_ANGLE % 1.0, saturation, value)
            colours[index] = np.rint(np.multiply(colour, 255)).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def paint_classes(labels: npt.NDArray[np.generic], num_classes: int) -> npt.NDArray[np.uint8]:
    """Paint class ids ``(H, W)``; void and ids out of range are black."""
    ids = labels.astype(np.int64)
    return palette(num_classes)[np.where((ids >= 0) & (ids < num_classes), ids, VOID)]


def paint_scale(
    values: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_], low: float, high: float
) -> npt.NDArray[np.uint8]:
    """Paint numbers on a perceptual scale, dark at ``low``, bright at ``high``.

    Args:
        values: ``(H, W)``.
        valid: ``(H, W)``; other pixels are black.
        low: Value at the dark end; smaller ones are clipped.
        high: Value at the bright end; may be below ``low`` to turn the scale round.
    """
    span = high - low
    position = (np.where(valid, values, low).astype(np.float64) - low) / span if span else np.full(values.shape, 0.5)
    position = np.clip(position, 0.0, 1.0)
    stops = np.linspace(0.0, 1.0, len(_SCALE))
    picture = np.stack([np.interp(position, stops, _SCALE[:, channel]) for channel in range(3)], axis=-1)
    return np.where(valid[..., None], np.rint(picture), 0).astype(np.uint8)


def paint_normals(normals: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Paint unit vectors ``(H, W, 3)`` as RGB = (n + 1) / 2; pixels that are not valid are black."""
    encoded = np.where(valid[..., None], (np.clip(normals, -1.0, 1.0) + 1.0) * 127.5, 0.0)
    return np.rint(encoded).astype(np.uint8)
