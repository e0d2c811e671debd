"""Images that a model is calibrated and checked with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ednas.data.cache import CachedSplit
from ednas.data.loader import load_samples
from ednas.exceptions import DataError
from ednas.export.converter import Floats
from ednas.training.config import Normalisation
from ednas.training.model import normalise


def spread_images(data: CachedSplit, count: int, normalisation: Normalisation) -> Floats:
    """Return up to ``count`` normalised images ``(N, H, W, 3)``, spread evenly over a split."""
    chosen = np.unique(np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int))
    image = load_samples(data, chosen.tolist(), ())["image"]
    values: Floats = normalise(image, normalisation).permute(0, 2, 3, 1).contiguous().numpy()
    return values


def check_calibration(images: Sequence[Floats], shape: tuple[int, ...]) -> None:
    """Check the images that ranges of activations are taken from.

    Args:
        images: Normalised images.
        shape: Of the model's input, ``(1, H, W, 3)``.

    Raises:
        DataError: There is none, or one has another shape or holds values that are not finite.
    """
    if not images:
        raise DataError("there is no calibration image; give a dataset that has some")
    for index, image in enumerate(images):
        if image.shape != shape:
            found, expected = ("x".join(map(str, sides)) for sides in (image.shape, shape))
            raise DataError(f"calibration image {index} is {found}, but the model takes {expected}")
        if not np.isfinite(image).all():
            raise DataError(f"calibration image {index} holds NaN or infinite values")
