"""Images for calibration and checks: spread, normalised, and looked at."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.tiny_exports import SIZE, tiny_manifest

from ednas.data import CachedSplit
from ednas.exceptions import DataError
from ednas.export.calibration import check_calibration, spread_images


def test_images_are_spread_over_the_split_and_normalised(cached: CachedSplit, images: np.ndarray) -> None:
    normalisation = tiny_manifest().normalisation
    np.testing.assert_allclose(spread_images(cached, 2, normalisation), images[[0, len(images) - 1]], atol=1e-5)
    whole = spread_images(cached, 100, normalisation)
    assert whole.dtype == np.float32
    assert whole.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(whole, images, atol=1e-5)


def test_wrong_images_are_refused() -> None:
    shape = (1, *SIZE, 3)
    good = np.zeros(shape, np.float32)
    check_calibration([good], shape)
    for images, message in (
        ([], "there is no calibration image"),
        ([good, good[:, 1:]], "calibration image 1 is 1x31x64x3, but the model takes 1x32x64x3"),
        ([good, good + np.float32("inf")], "calibration image 1 holds NaN or infinite values"),
    ):
        with pytest.raises(DataError, match=message):
            check_calibration(images, shape)
