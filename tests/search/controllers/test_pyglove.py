"""PyGlove's algorithms as controllers."""

from __future__ import annotations

import random
from typing import Any

import pyglove as pg
import pytest
from helpers.controllers import ALL_STATES, simulate, smooth

from ednas.exceptions import ConfigError
from ednas.search.controllers import (
    Controller,
    ControllerConfig,
    RandomSearch,
    replay,
)
from ednas.search.controllers import pyglove as pyglove_controller
from ednas.search.controllers.pyglove import PyGlove, register_algorithm


class TestPyGlove:
    sizes = (4,) * 8

    @pytest.mark.slow
    def test_its_evolution_beats_random_search(self) -> None:
        def best_of(subject: Controller) -> float:
            return max(smooth(trial.genes) for trial in simulate(subject, 120))

        evolved = PyGlove(self.sizes, arguments={"population_size": 20, "tournament_size": 5})
        assert best_of(evolved) > best_of(RandomSearch(self.sizes))

    @pytest.mark.slow
    @pytest.mark.parametrize("algorithm", ["hill_climb", "random"])
    def test_other_algorithms_resume_too(self, algorithm: str) -> None:
        trials = simulate(PyGlove(self.sizes, algorithm=algorithm), 20, workers=3, states=ALL_STATES)
        assert len({trial.genes for trial in trials}) == 20
        replay(PyGlove(self.sizes, algorithm=algorithm), trials)

    def test_it_leaves_the_global_generator_alone(self) -> None:
        random.seed(1)
        expected = [random.random() for _ in range(2)]
        random.seed(1)
        first = random.random()
        simulate(PyGlove(self.sizes), 3)
        assert [first, random.random()] == expected

    def test_an_algorithm_of_ones_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pyglove_controller, "_algorithms", dict(pyglove_controller._algorithms))

        @pg.members([("seed", pg.typing.Int())])
        class Countdown(pg.DNAGenerator):
            """Proposes points in order, and remembers what it was told."""

            def _setup(self) -> None:
                self.told: list[float] = []

            def _propose(self) -> pg.DNA:
                if self.num_proposals == 3:
                    raise StopIteration
                return pg.DNA([self.num_proposals] * 8)

            def _feedback(self, dna: pg.DNA, reward: float) -> None:
                self.told.append(reward)

        register_algorithm("countdown", Countdown)
        subject = ControllerConfig(name="pyglove", options={"algorithm": "countdown"}).make(self.sizes, 7)
        trials = simulate(subject, 5)
        assert [trial.genes for trial in trials[:3]] == [(n,) * 8 for n in range(3)]
        assert isinstance(subject, PyGlove)
        assert subject._algorithm.told == [trial.reward for trial in trials[:3]]
        with pytest.raises(ConfigError, match="'countdown' exists already"):
            register_algorithm("countdown", pg.geno.Random)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"algorithm": "hil_climb"}, "did you mean 'hill_climb'"),
            ({"arguments": {"colour": 3}}, "algorithm 'regularized_evolution' of PyGlove: .*colour"),
            ({"arguments": {"population_size": "many"}}, "algorithm 'regularized_evolution' of PyGlove"),
            ({"arguments": {"seed": 1}}, "seed"),
        ],
    )
    def test_wrong_options_are_one_line(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said) as error:
            ControllerConfig(name="pyglove", options=options).make(self.sizes, 0)
        assert "\n" not in str(error.value)
