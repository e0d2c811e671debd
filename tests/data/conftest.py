"""Datasets on disk in the format of every reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.dataset_files import MAKERS, Made


@pytest.fixture(params=list(MAKERS))
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """A dataset in each format."""
    return MAKERS[request.param](tmp_path / "data")


@pytest.fixture(params=list(MAKERS), scope="module")
def made_once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A dataset in each format, shared by the tests of a file: leave it as it was."""
    return MAKERS[request.param](tmp_path_factory.mktemp(request.param) / "data")
