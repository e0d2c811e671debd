"""Depths that are stored in another unit are noticed by their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.memory_dataset import SIZE, MemoryDataset

from ednas.data.cache import open_cache
from ednas.data.units import mean_depths, other_scales


def test_means_are_those_of_the_valid_labels(tmp_path: Path) -> None:
    data = MemoryDataset()
    depths = np.stack([data[index].targets["depth"] for index in range(len(data))])
    means = mean_depths(open_cache(data, SIZE, tmp_path))
    assert means.keys() == {"depth", "disparity"}
    assert means["depth"] == pytest.approx(depths[depths > 0].mean(dtype=np.float64))


def test_another_scale_is_named() -> None:
    trained = {"depth": 2.5, "disparity": 0.4}
    assert other_scales(trained, {"depth": 20.0}) == []
    assert other_scales(trained, {"normals": 1.0}) == []
    for other, shown in ((2500.0, "2500"), (0.0025, "0.0025")):
        (line,) = other_scales(trained, {"depth": other, "disparity": 0.3})
        assert line == (
            f"depth: the labels' mean is {shown}, where the network was trained on 2.5: is the scale right?"
        )
