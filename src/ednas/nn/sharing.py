"""What a way to share a backbone between tasks is, and how one is found by name.

An architecture names it as ``sharing:NAME``, with its options: ``base sharing:cross_stitch(start=0.8)``. Without one,
all tasks read the features of one backbone: hard sharing. Ours are one file each in :mod:`ednas.mtl.sharing`; a new one
is a subclass of :class:`Sharing` with :func:`register_sharing`, there or in a plugin.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.arch.parts import HARD, parse_part, part_text
from ednas.config import StrictModel
from ednas.exceptions import ArchitectureError, ConfigError
from ednas.registry import Method, Registry

_COPIES = (
    (re.compile(r"^encoder\.encoders\.(?P<copy>\d+)\."), "encoder."),
    (re.compile(r"^encoder\.encoder(?P<copy>)\."), "encoder."),
    (re.compile(r"^encoder\.branches\.(\d+)\.(?P<copy>\d+)\."), r"encoder.stages.\1."),
    (re.compile(r"^decoders\.(?P<copy>\d+)\."), ""),
)
"""How the copies that ways to share have of a backbone, of its stages, or of neck and heads are called."""


class Original(NamedTuple):
    """What a tensor of a network is a copy of.

    Attributes:
        name: What it would be called where all tasks share one backbone and one neck.
        copy: Which copy it is; empty where there is one.
    """

    name: str
    copy: str


def original_of(name: str) -> Original:
    """Return what a tensor is a copy of.

    Example:
        >>> original_of("encoder.branches.4.1.0.expand.0.weight")
        Original(name='encoder.stages.4.0.expand.0.weight', copy='1')
    """
    for pattern, replacement in _COPIES:
        if match := pattern.match(name):
            return Original(pattern.sub(replacement, name), match["copy"])
    return Original(name, "")


class Sharing(Method, nn.Module, ABC):
    """The backbone of several tasks; its options are keyword arguments of its constructor.

    What joins tasks, beside backbones and necks, is called ``units``: a submodule of that name is learned without
    weight decay, and at :attr:`unit_rate` times the encoder's learning rate.

    Args:
        architecture: The stem and blocks of one backbone.
        tasks: Names of the tasks, at least two.

    Attributes:
        groups: Tasks that read the same features, and have one neck; every task alone unless a method says otherwise.
        unit_rate: How many times as fast the units learn.
        can_be_cut: Whether networks can be cut out of a supernet: where all is computed by modules with parameters.
    """

    can_be_cut = True

    def __init__(self, architecture: Architecture, tasks: Sequence[str]) -> None:
        super().__init__()
        self.groups: tuple[tuple[str, ...], ...] = tuple((task,) for task in tasks)
        self.unit_rate = 1.0
        self._feature_stages = architecture.feature_stages

    @abstractmethod
    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map a normalised image ``(N, 3, H, W)`` to each group's features at strides 4, 8, 16 and 32.

        Their channels are those of the architecture's stages.
        """

    def penalty(self, losses: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return what is added to the loss, a scalar; None = nothing.

        Args:
            losses: Of the tasks in this step, as they count, without gradients, ``(T,)``.
        """
        return None

    def unfold(self) -> None:
        """Give every layer that runs weights of its own, in place, before what is deployed is folded into them.

        Only what runs parts of others' weights has anything to do.
        """

    def _at_feature_strides(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return of all stages' outputs those that necks and heads read."""
        return [stages[stage] for stage in self._feature_stages]


class LearnedOptions(StrictModel):
    """How a pattern is learned.

    Attributes:
        share: Length of that, as a share of the training's steps.
        warm_up: Share of it in which the weights alone learn.
        rate: How many times as fast as the backbone the units learn.
    """

    share: Annotated[float, Field(gt=0, le=10)] = 1.0
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.2
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class GumbelOptions(LearnedOptions):
    """How a pattern is learned by Gumbel-softmax.

    Attributes:
        temperature: In the beginning: what is drawn is mixed.
        last_temperature: In the end: it is almost one or the other.
    """

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    last_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.5

    def temperature_at(self, progress: float | None) -> float:
        """Return the temperature at some progress (:meth:`LearnedSharing.progress`): it falls exponentially."""
        return float(self.temperature * (self.last_temperature / self.temperature) ** (progress or 0.0))


class LearnedSharing(Sharing):
    """A way to share whose pattern is learned before the network is trained: by ``ednas train``, on its own.

    While it is learned, a step moves either the units, which say what is shared, by data that are held out, or all
    other weights: in turns, after a warm-up. Then the same way with the pattern among its options is trained from the
    beginning.

    Args:
        architecture: The stem and blocks of one backbone.
        tasks: Names of the tasks.
        options: How the pattern is learned.
        is_settled: Whether the options name it, so that nothing is left to be learned.

    Attributes:
        is_settled: As given.
        units: While the pattern is learned, logits: a row for each choice, a column for each that may be chosen.
        share: How long it is learned, as a share of the steps of the training itself.
    """

    units: nn.ParameterList

    def __init__(
        self, architecture: Architecture, tasks: Sequence[str], options: LearnedOptions, *, is_settled: bool
    ) -> None:
        super().__init__(architecture, tasks)
        self.is_settled = is_settled
        self.share = options.share
        self.unit_rate = options.rate
        self._warm_up = options.warm_up

    def since_warm_up(self, step: int, steps: int) -> int:
        """Return how many steps were after the warm-up; below 0 during it.

        Args:
            step: Number of the step, from 0.
            steps: Steps of the learning in all.
        """
        return step - round(self._warm_up * steps)

    def moves_units(self, step: int, steps: int) -> bool:
        """Return whether a step moves the units, and not the other weights: every second one after the warm-up."""
        after = self.since_warm_up(step, steps)
        return after >= 0 and after % 2 == 1

    def progress(self, step: int, steps: int) -> float | None:
        """Return how far the learning is after the warm-up, from 0 to 1; None before."""
        after = self.since_warm_up(step, steps)
        return None if after < 0 else after / max(1, after + steps - step)

    @abstractmethod
    def begin_step(self, step: int, steps: int, seed: int) -> None:
        """Prepare a step of the learning; what is drawn is a function of the arguments and the units alone."""

    @abstractmethod
    def pattern(self) -> Mapping[str, Any]:
        """Return the options that name what was learned."""


SharingClass = TypeVar("SharingClass", bound=type[Sharing])

_registry: Registry[Sharing] = Registry("sharing", "ednas.mtl.sharing")


def register_sharing(name: str) -> Callable[[SharingClass], SharingClass]:
    """Make a way to share known by name; a decorator.

    Raises:
        ConfigError: The name is taken by another one.
    """
    return _registry.register(name)


def sharing_names() -> tuple[str, ...]:
    """Names of all ways to share: hard sharing, those of this package, and those registered by others."""
    return (HARD, *_registry.names())


def make_sharing(architecture: Architecture, tasks: Sequence[str]) -> Sharing:
    """Make the backbone of several tasks that an architecture names.

    Raises:
        ArchitectureError: It is not known, refuses its options, or does not fit the architecture or the tasks.
    """
    name, given = parse_part(architecture.sharing)
    try:
        options = _registry.complete(name, given)
        return _registry.find(name)(architecture, tasks, **options)
    except ConfigError as error:
        raise ArchitectureError(str(error)) from None


def gumbel_noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw from Gumbel's distribution: added to logits, it makes the largest of them a draw by their softmax."""
    uniform = torch.rand(*shape, generator=generator).clamp(1e-10, 1 - 1e-7)
    return -torch.log(-torch.log(uniform))


def settled_text(architecture: Architecture, pattern: Mapping[str, Any]) -> str:
    """Return the text form of an architecture's way to share with a pattern that was learned among its options."""
    name, given = parse_part(architecture.sharing)
    return part_text(name, {**given, **pattern})
