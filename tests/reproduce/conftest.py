"""A small table, made once for all tests that look at it."""

from __future__ import annotations

import pytest
from helpers.small_reproduction import searched_table, small_scale, small_table

from ednas.reproduce import run


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def scale(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("EDNAS_CACHE", str(cache))
    monkeypatch.setattr(run, "TABLES", {"small": small_table, "searched": searched_table})
    return small_scale(tmp_path / "data")


@pytest.fixture(scope="session")
def made(tmp_path_factory, cache):
    """The small table after two of three seeds, and its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDNAS_CACHE", str(cache))
        patch.setattr(run, "TABLES", {"small": small_table})
        out = tmp_path_factory.mktemp("out")
        (result,) = run.reproduce(["small"], small_scale(out / "data"), out, runs=2, device="cpu")
        return result, out
