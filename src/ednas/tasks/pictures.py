"""Pictures of labels and predictions: a colour scale, and the palette that previews of datasets use too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ednas.data.colors import palette
from ednas.data.sample import VOID

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
