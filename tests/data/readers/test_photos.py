"""Pictures without labels, as calibration takes them."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.dataset_files import make_folder
from PIL import Image

from ednas.data.cache import open_cache
from ednas.data.readers.photos import Photos, find_photos
from ednas.exceptions import DataError


def save(path, format_="PNG"):
    Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save(path, format=format_)


def test_the_pictures_of_a_folder_in_the_order_of_their_names(tmp_path):
    save(tmp_path / "b.jpg", "JPEG")
    save(tmp_path / "a.PNG")
    save(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").touch()
    photos = find_photos(tmp_path)
    assert [photos.source(index) for index in range(len(photos))] == ["a.PNG", "b.jpg"]
    assert photos.info.targets == photos[0].targets == {}
    assert open_cache(photos, (6, 8), tmp_path / "cache").image.shape == (2, 6, 8, 3)


def test_what_is_no_plain_folder_of_pictures(tmp_path):
    assert find_photos(tmp_path) is None
    assert find_photos(tmp_path / "nowhere") is None
    assert find_photos("streets") is None
    dataset = make_folder(tmp_path / "data").path
    save(dataset / "cover.png")
    assert find_photos(dataset) is None
    with pytest.raises(DataError, match="has no samples"):
        Photos(tmp_path)
