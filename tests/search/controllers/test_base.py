"""Controllers by name, with options."""

from __future__ import annotations

import pytest
from helpers.controllers import SIZES, simulate

from ednas.exceptions import ConfigError
from ednas.search.controllers import (
    ControllerConfig,
    RegularizedEvolution,
    register_controller,
)


class TestConfig:
    def test_options_are_completed(self) -> None:
        config = ControllerConfig(options={"population_size": 20}).complete()
        defaults = {"mutations": 1, "initial_mutations": None}
        assert config.options == {"population_size": 20, "tournament_size": 10, **defaults}
        assert config.complete() == config

    def test_the_default_tournament_fits_a_small_population(self) -> None:
        assert ControllerConfig(options={"population_size": 4}).complete().options["tournament_size"] == 4
        assert simulate(RegularizedEvolution(SIZES, population_size=4), 20)

    def test_unknown_names_come_with_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'evolution'"):
            ControllerConfig(name="evolutoin").complete()
        with pytest.raises(ConfigError, match="did you mean 'population_size'"):
            ControllerConfig(options={"populaton": 3}).complete()

    def test_a_name_cannot_be_taken_twice(self) -> None:
        with pytest.raises(ConfigError, match="exists already"):
            register_controller("random")(RegularizedEvolution)
