"""The ask/tell protocol of controllers, and how a controller is found by name and brought back after an interruption.

**Exact resuming without saved state.** Proposal t is a pure function of the seed, t, the proposals before it and the
trials told before it, in the order in which they were told: random numbers come from ``derive_seed(seed, "propose",
t)``, never from a generator that lives on. The store holds all of that, so :func:`replay` rebuilds a controller by
asking and telling it the history again, and checks on the way that it proposes what is stored.

A new controller is one file in this folder::

    @register_controller("mine")
    class MyController(Controller):
        class Options(StrictModel):
            temperature: float = 1.0

        def __init__(self, sizes, seed=0, *, temperature=1.0): ...
        def _propose(self, rng, attempt): ...
        def _learn(self, trial): ...
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from ednas.arch.space import Genes
from ednas.config import StrictModel
from ednas.exceptions import ConfigError, StudyError
from ednas.registry import Method, Registry
from ednas.scoring import violation
from ednas.search.objective import Objective
from ednas.search.trial import Trial, TrialState
from ednas.seeding import derive_seed

MAX_ATTEMPTS = 200
"""Draws for one proposal before the controller falls back to the first free point after a random one."""

MIN_REDRAWS = 10
"""Draws with one mutation more before another one is added."""


@dataclass(frozen=True)
class Proposal:
    """What a controller wants evaluated.

    Attributes:
        genes: The index of the chosen candidate for each decision.
        parent: Number of the trial that the genes were mutated from, if any.
    """

    genes: Genes
    parent: int | None = None


class Controller(Method, ABC):
    """Proposes candidates and learns from their results; its options are keyword arguments of its constructor.

    Args:
        sizes: Number of candidates of each decision of the space.
        seed: The search's seed.

    Attributes:
        sizes: As given.
        told: How many trials were told.
        limits: What candidates should not exceed, by quantity, for controllers that look at costs; none unless
            :meth:`ControllerConfig.make` was given some.
        objectives: What the Pareto set is drawn over: ``accuracy`` and quantities.
        follows_objectives: Whether proposals depend on the objectives, so that they may not change in a search.
        initial: What is proposed before anything else.
    """

    limits: Mapping[str, float] = MappingProxyType({})
    objectives: Sequence[str] = Objective.objectives
    follows_objectives: ClassVar[bool] = False
    initial: Sequence[Genes] = ()

    def __init__(self, sizes: Sequence[int], seed: int = 0) -> None:
        if any(size < 1 for size in sizes):
            raise ConfigError("controller: a decision has no candidate")
        self.sizes = tuple(sizes)
        self.told = 0
        self._seed = seed
        self._asked = 0
        self._space_size = prod(self.sizes)
        self._proposed: set[Genes] = set()
        self._mutable = [index for index, size in enumerate(self.sizes) if size > 1]

    def ask(self) -> Proposal | None:
        """Return the next candidate, one that was never proposed before; None when every point of the space was."""
        if len(self._proposed) >= self._space_size:
            return None
        if self._asked < len(self.initial):
            proposal = Proposal(self.initial[self._asked])
        else:
            proposal = self._fresh(random.Random(derive_seed(self._seed, "propose", self._asked)))
        self._proposed.add(proposal.genes)
        self._asked += 1
        return proposal

    def tell(self, trial: Trial) -> None:
        """Take in a finished trial; results that cannot be compared (failed, NaN, infinite) teach nothing.

        Raises:
            StudyError: The trial still runs.
        """
        if trial.state is TrialState.RUNNING:
            raise StudyError(f"trial {trial.number} still runs, a controller learns from finished trials only")
        self.told += 1
        if trial.scored or trial.state is TrialState.PRUNED:
            self._learn(trial)

    def skip(self) -> None:
        """Pass over a trial that failed, and so taught nothing, and was evaluated anew later."""
        self.told += 1

    @abstractmethod
    def _propose(self, rng: random.Random, attempt: int) -> Proposal:
        """Draw a candidate; it is drawn again where it was proposed before.

        Args:
            rng: The only source of randomness.
            attempt: 0 for the first draw of this proposal, and so on up to :data:`MAX_ATTEMPTS`; a controller that
                searches near known points should look wider as it grows.
        """

    @abstractmethod
    def _learn(self, trial: Trial) -> None:
        """Take in a trial that is done with a finite reward, or pruned (no reward, but a cost)."""

    def _random_genes(self, rng: random.Random) -> Genes:
        return tuple(rng.randrange(size) for size in self.sizes)

    def _first_genes(self, rng: random.Random, attempt: int, initial_mutations: int | None) -> Genes:
        """Return a member of a first population: a variant of an initial candidate, or a random one for None."""
        if self.initial and initial_mutations is not None:
            return self._mutate(rng, rng.choice(self.initial), initial_mutations, attempt)
        return self._random_genes(rng)

    def _mutate(self, rng: random.Random, genes: Genes, mutations: int, attempt: int) -> Genes:
        """Change that many decisions, drawn uniformly, to other values, drawn uniformly; more in later attempts."""
        more = attempt // max(MIN_REDRAWS, MAX_ATTEMPTS // max(1, len(self._mutable)))
        child = list(genes)
        for index in rng.sample(self._mutable, min(mutations + more, len(self._mutable))):
            step = rng.randrange(1, self.sizes[index])
            child[index] = (child[index] + step) % self.sizes[index]
        return tuple(child)

    def _excess(self, trial: Trial) -> tuple[float, float]:
        """Return how far a candidate is from meeting the limits, then its latency: what to order refused ones by."""
        return violation(trial.cost, self.limits), trial.latency_ms or 0.0

    def _fresh(self, rng: random.Random) -> Proposal:
        for attempt in range(MAX_ATTEMPTS):
            proposal = self._propose(rng, attempt)
            if proposal.genes not in self._proposed:
                return proposal
        # Almost everything nearby was proposed. Among the next len(proposed) + 1 points one is free, for certain.
        start = rng.randrange(self._space_size)
        points = (self._point((start + offset) % self._space_size) for offset in range(len(self._proposed) + 1))
        return Proposal(next(genes for genes in points if genes not in self._proposed))

    def _point(self, index: int) -> Genes:
        """Return point ``index`` of the space: the index's digits in the mixed radix of the decisions."""
        genes = []
        for size in reversed(self.sizes):
            index, gene = divmod(index, size)
            genes.append(gene)
        return tuple(reversed(genes))


def replay(controller: Controller, trials: Iterable[Trial], retried: Collection[int] = ()) -> None:
    """Bring a fresh controller to where a stored search stands, by asking and telling it the whole history again.

    Args:
        controller: Freshly made, with the seed and settings of the search.
        trials: All trials of the store, in any order.
        retried: Places among the finished trials of failures that were evaluated anew.

    Raises:
        StudyError: The controller proposes something else than what is stored, or the history has a gap.
    """
    asked = sorted(trials, key=lambda trial: trial.number)
    done = {trial.done_order: trial for trial in asked if trial.done_order is not None}
    ended = len(done) + len(retried)
    if {*done, *retried} != set(range(ended)):
        raise StudyError("the study's finished trials have a gap in their order; it is damaged, start a new study")

    def tell_next() -> None:
        if controller.told in done:
            controller.tell(done[controller.told])
        else:
            controller.skip()

    for trial in asked:
        if trial.asked_after > ended:
            raise StudyError(f"trial {trial.number} was asked after trials that are missing; start a new study")
        while controller.told < trial.asked_after:
            tell_next()
        proposal = controller.ask()
        if proposal != Proposal(trial.genes, trial.parent):
            raise StudyError(
                f"trial {trial.number} of the study is not what this search proposes there; the study was made by "
                "another version of the controller: resume it with that version, or start a new study"
            )
    while controller.told < ended:
        tell_next()


ControllerClass = TypeVar("ControllerClass", bound=type[Controller])

_registry: Registry[Controller] = Registry("controller", "ednas.search.controllers")


class ControllerConfig(StrictModel):
    """Which controller, and its own options.

    Attributes:
        name: One of :func:`controller_names`.
        options: The controller's ``Options``; what is not given has its default.
    """

    name: str = "evolution"
    options: Mapping[str, Any] = Field(default_factory=dict)

    def complete(self) -> ControllerConfig:
        """Return the same with every option spelled out.

        Raises:
            ConfigError: Unknown controller or option, with the nearest known one, or a wrong value.
        """
        return ControllerConfig(name=self.name, options=_registry.complete(self.name, self.options))

    def make(
        self,
        sizes: Sequence[int],
        seed: int,
        limits: Mapping[str, float] | None = None,
        initial: Iterable[Genes] = (),
        objectives: Sequence[str] = Objective.objectives,
    ) -> Controller:
        """Return a fresh controller for a space.

        Args:
            sizes: Number of candidates of each decision of the space.
            seed: The search's seed.
            limits: What candidates should not exceed, by quantity.
            initial: What is proposed before anything else; what comes again is proposed once.
            objectives: What the Pareto set is drawn over: ``accuracy`` and quantities.

        Raises:
            ConfigError: As :meth:`complete`.
        """
        controller = _registry.find(self.name)(sizes, seed, **self.complete().options)
        controller.limits = dict(limits or {})
        controller.initial = tuple(dict.fromkeys(initial))
        controller.objectives = tuple(objectives)
        return controller


def register_controller(name: str) -> Callable[[ControllerClass], ControllerClass]:
    """Make a controller known by name; a decorator.

    Raises:
        ConfigError: The name is taken by another controller.
    """
    return _registry.register(name)


def controller_names() -> tuple[str, ...]:
    """Names of all controllers: those of this package and those registered by others."""
    return _registry.names()
