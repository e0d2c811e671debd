"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is slow, not wrong.
settings.register_profile("ednas", deadline=None)
settings.load_profile("ednas")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real development data; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("EDNAS_DATA", default))
    if not path.is_dir():
        pytest.skip(f"real data not found at {path}; set EDNAS_DATA to run this test")
    return path
