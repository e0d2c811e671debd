"""PyGlove's algorithms as controllers: for those who know them, and to compare ours with them.

Their randomness is in generators of their own, in mutators that nobody seeds, and in Python's global one. All of these
are the same again when the same calls come in the same order from the same seeds, which is how a search is resumed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyglove as pg
from pydantic import Field

from ednas.arch.space import Genes
from ednas.config import StrictModel
from ednas.exceptions import ConfigError, hint
from ednas.search.controllers.base import Controller, Proposal, register_controller
from ednas.search.trial import Trial

Algorithm = Callable[..., Any]
"""Takes ``seed`` and arguments, gives a ``pg.DNAGenerator``."""

MAX_REPEATS = 20
"""Proposals of what was proposed before, in a row, after which one is drawn at random; each takes tens of ms."""

_algorithms: dict[str, Algorithm] = {
    "regularized_evolution": pg.evolution.regularized_evolution,
    "hill_climb": pg.evolution.hill_climb,
    "random": pg.geno.Random,
}


def register_algorithm(name: str, algorithm: Algorithm) -> None:
    """Make an algorithm of one's own known, for ``controller: {name: pyglove, options: {algorithm: NAME}}``.

    Args:
        name: What configurations call it.
        algorithm: Takes ``seed`` and the arguments of the configuration, gives a ``pg.DNAGenerator`` with one
            objective: the reward.

    Raises:
        ConfigError: The name is taken.
    """
    if _algorithms.setdefault(name, algorithm) is not algorithm:
        raise ConfigError(f"an algorithm '{name}' exists already; choose another name")


@register_controller("pyglove")
class PyGlove(Controller):
    """Asks an algorithm of PyGlove, and tells it the rewards of what it proposed.

    For what was proposed before it is asked again, and told the known reward at once. Candidates that were pruned or
    failed have no reward, and the algorithm never hears of them again.

    Args:
        sizes: Number of candidates of each decision.
        seed: The search's seed.
        algorithm: ``regularized_evolution``, ``hill_climb``, ``random``, or one that was registered
            (:func:`register_algorithm`).
        arguments: The algorithm's own, for example ``{"population_size": 20}``.

    Raises:
        ConfigError: There is no such algorithm, or it refuses its arguments.
    """

    class Options(StrictModel):
        """Which algorithm leads the search.

        Attributes:
            algorithm: ``regularized_evolution``, ``hill_climb``, ``random``, or one that a plugin has registered.
            arguments: The algorithm's own, for example ``{population_size: 20}``.
        """

        algorithm: str = "regularized_evolution"
        arguments: Mapping[str, Any] = Field(default_factory=dict)

    def __init__(
        self,
        sizes: Sequence[int],
        seed: int = 0,
        *,
        algorithm: str = "regularized_evolution",
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(sizes, seed)
        if algorithm not in _algorithms:
            raise ConfigError(f"unknown algorithm '{algorithm}' of PyGlove; {hint(algorithm, _algorithms)}")
        spec = pg.dna_spec(pg.List([pg.oneof(range(size)) for size in self.sizes]))
        try:
            with _seeded(seed):
                self._algorithm = _algorithms[algorithm](seed=seed, **(arguments or {}))
                self._algorithm.setup(spec)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"algorithm '{algorithm}' of PyGlove: {' '.join(str(error).split())}") from None
        self._waiting: dict[Genes, Any] = {}
        self._rewards: dict[Genes, float] = {}

    def _propose(self, rng: random.Random, attempt: int) -> Proposal:
        if attempt >= MAX_REPEATS:
            return Proposal(self._random_genes(rng))
        with _seeded(rng.getrandbits(32)):
            try:
                dna = self._algorithm.propose()
            except (StopIteration, ValueError):  # nothing more, or no parent yet: nothing that it proposed was scored
                return Proposal(self._random_genes(rng))
            genes = tuple(dna.to_numbers(flatten=True))
            if genes in self._rewards:
                self._algorithm.feedback(dna, self._rewards[genes])
            else:
                self._waiting.setdefault(genes, dna)
        return Proposal(genes)

    def _learn(self, trial: Trial) -> None:
        dna = self._waiting.pop(trial.genes, None)
        if dna is not None and trial.reward is not None:
            self._rewards[trial.genes] = trial.reward
            with _seeded(trial.number):
                self._algorithm.feedback(dna, trial.reward)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's global generator, which PyGlove draws from, begins at a seed, and is as before behind the block."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
