"""What an evaluator is made from, and how it is found by name.

A new evaluator is one file in this folder, or a user's plugin::

    class MyOptions(StrictModel):
        images: int = 64


    @register_evaluator("mine", MyOptions)
    def make(setting: Setting, options: MyOptions) -> Evaluator:
        return MyEvaluator(setting.training, options.images)

What takes long (a supernet's training) is done by that function, before the first candidate. It must be able to go on
where it was broken off, from what it keeps in ``setting.folder``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import Field

from ednas.arch import SearchSpace
from ednas.arch.space import Genes
from ednas.config import StrictModel, parse
from ednas.exceptions import ConfigError, hint
from ednas.search.evaluators.base import Evaluation, Evaluator
from ednas.search.objective import CostModel, Objective
from ednas.search.progress import SearchCallback

if TYPE_CHECKING:
    from ednas.training.config import TrainConfig

PROXY = "proxy"
"""The evaluator that trains every candidate, as the paper does."""

Judge = Callable[[Evaluator, Sequence[str], str], Mapping[str, Evaluation]]
"""Has an evaluator judge networks, given by their text forms, where the search evaluates its candidates: in worker
processes, on other machines. The last argument says what is done, for people. Networks that fail are missing."""


@dataclass(frozen=True)
class Setting:
    """What a search tells its evaluator.

    Attributes:
        training: How a candidate is trained, and on what.
        space: Where candidates come from.
        cost: What one costs; picklable.
        objective: What is searched for.
        initial: Networks that are known to be good, as genes; the first one is within the limits, as nearly as one is.
        digest: Of the training data.
        input_size: ``(H, W)`` that is trained at, where an architecture does not say.
        device: Where to compute.
        folder: The evaluator's own, for what it keeps.
        train: Trains networks by ``training``, unless that was done before, and returns what came of it.
        judge: Has another evaluator judge networks.
        callbacks: Told how far the preparation is.
    """

    training: TrainConfig
    space: SearchSpace
    cost: CostModel
    objective: Objective
    initial: Sequence[Genes]
    digest: str
    input_size: tuple[int, int]
    device: str
    folder: Path
    train: Callable[[Sequence[str], str], Mapping[str, Evaluation]]
    judge: Judge
    callbacks: Sequence[SearchCallback] = ()

    def accepts(self, cost: Mapping[str, float]) -> bool:
        """Whether a candidate of these costs would be evaluated."""
        return not self.objective.hopeless(cost)


Maker = Callable[[Setting, Any], Evaluator]

MakerType = TypeVar("MakerType", bound=Maker)


@dataclass(frozen=True)
class _Registered:
    options: type[StrictModel]
    make: Maker
    tells_losses: bool


_registry: dict[str, _Registered] = {}


class EvaluatorConfig(StrictModel):
    """Which evaluator, and its own options.

    Attributes:
        name: One of :func:`evaluator_names`.
        options: What is not given has its default.
    """

    place: ClassVar[str] = "evaluator.options"

    name: str = PROXY
    options: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def trains_all(self) -> bool:
        """Whether every candidate is trained to the end of the recipe."""
        return self.name == PROXY and self.options.get("rungs", 1) == 1

    @property
    def tells_losses(self) -> bool:
        """Whether candidates can be judged by training losses.

        Raises:
            ConfigError: Unknown evaluator.
        """
        return _find(self.name).tells_losses

    def complete(self) -> Self:
        """Return the same with every option spelled out.

        Raises:
            ConfigError: Unknown evaluator or option, with the nearest known one, or a wrong value.
        """
        options = parse(_find(self.name).options, self.options, self.place)
        return self.model_copy(update={"options": options.model_dump(mode="json")})

    def make(self, setting: Setting) -> Evaluator:
        """Return the evaluator, after all that it has to do before the first candidate.

        Raises:
            EdnasError: An option, the data, the space or what it finds in its folder are wrong.
        """
        found = _find(self.name)
        return found.make(setting, parse(found.options, self.options, self.place))


def register_evaluator(
    name: str, options: type[StrictModel], *, tells_losses: bool = False
) -> Callable[[MakerType], MakerType]:
    """Make an evaluator known by name; a decorator of the function that makes it.

    Args:
        name: What configurations call it.
        options: Its options; each has a default.
        tells_losses: Whether its evaluations hold training losses, measured or predicted.

    Raises:
        ConfigError: The name is taken by another evaluator.
    """

    def register(maker: MakerType) -> MakerType:
        known = _registry.setdefault(name, _Registered(options, maker, tells_losses)).make
        if (known.__module__, known.__qualname__) != (maker.__module__, maker.__qualname__):
            raise ConfigError(f"an evaluator '{name}' exists already; choose another name")
        return maker

    return register


def evaluator_names() -> tuple[str, ...]:
    """Names of all evaluators: those of this package and those registered by others."""
    package = importlib.import_module("ednas.search.evaluators")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return tuple(sorted(_registry))


def _find(name: str) -> _Registered:
    known = evaluator_names()
    if name not in known:
        raise ConfigError(f"unknown evaluator '{name}'; {hint(name, known)}")
    return _registry[name]
