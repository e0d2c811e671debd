"""Texts of options that several commands have."""

from __future__ import annotations

import pytest

from ednas.cli.options import parse_limits, parse_tiling, parse_values
from ednas.exceptions import ConfigError
from ednas.training.tiles import DEFAULT_OVERLAP, Tiling


def test_limits() -> None:
    assert parse_limits(["energy_mj=1.2", "params = 0.8*baseline"]) == {"energy_mj": "1.2", "params": "0.8*baseline"}


@pytest.mark.parametrize("texts", [["energy_mj"], ["=2"], ["macs="], ["macs=1", "macs=2"]])
def test_limits_that_cannot_be_read(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="write each quantity once, QUANTITY=VALUE"):
        parse_limits(texts)


def test_controller_options_are_written_as_in_yaml() -> None:
    texts = ["population_size=20", "kick = null", "arguments={population_size: 6}", "algorithm=hill_climb"]
    expected = {"population_size": 20, "kick": None, "arguments": {"population_size": 6}, "algorithm": "hill_climb"}
    assert parse_values(texts, "controller option", "a=1") == expected
    assert parse_values(None, "controller option", "a=1") == {}


def test_tiles() -> None:
    assert parse_tiling(None, None, (64, 128)) is None
    assert parse_tiling("auto", None, (64, 128)) == Tiling((64, 128), DEFAULT_OVERLAP)
    assert parse_tiling("32x64", 0.5, (64, 128)) == Tiling((32, 64), 0.5)
    with pytest.raises(ConfigError, match="--overlap: is that of tiles"):
        parse_tiling(None, 0.5, (64, 128))
