"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from helpers.cli import Run
from hypothesis import settings

from ednas.cli import main

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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process; returns exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ednas", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return call
