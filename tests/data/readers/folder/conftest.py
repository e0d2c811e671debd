"""A described folder on disk."""

from __future__ import annotations

import pytest
from helpers.dataset_files import make_folder


@pytest.fixture
def root(tmp_path):
    return make_folder(tmp_path / "data").path
