"""The protocol of weightings, and how one is found by name.

Before every step a weighting says how much each task's loss counts, from the losses (:class:`LossWeighting`) or from
how the tasks' gradients lie to each other (:class:`GradientWeighting`); after it, it may learn. The losses that it sees
are those of the tasks times the recipe's ``loss_weights``, averaged over all processes; a task of which a batch has no
label keeps its last one. A new one is one file in this folder::

    @register_weighting("mine")
    class MyWeighting(LossWeighting):
        class Options(StrictModel):
            temperature: float = 1.0

        def __init__(self, tasks, seed=0, *, temperature=1.0): ...
        def weigh(self, losses, step): ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ednas.arch.parts import parse_part, part_text
from ednas.config import StrictModel
from ednas.exceptions import ArchitectureError, ConfigError
from ednas.registry import Method, Registry

FIXED = "fixed"
"""The weighting by the recipe's weights alone."""


@dataclass(frozen=True)
class Taken:
    """A step that was taken.

    Attributes:
        step: Its number, from 0.
        losses: Of the tasks before it, ``(T,)``.
        look: Measures the same batch's losses after it, ``(T,)``, for another forward pass.
    """

    step: int
    losses: Tensor
    look: Callable[[], Tensor]


class Weighting(Method, nn.Module, ABC):
    """Decides how much each task's loss counts; its options are keyword arguments of its constructor.

    What it remembers lies in buffers and parameters, and what it draws is a function of the seed and the step: so a
    run that was broken off goes on exactly.

    Args:
        tasks: Number of tasks T, at least 2.
        seed: The run's.
    """

    def __init__(self, tasks: int, seed: int = 0) -> None:
        super().__init__()
        self.tasks = tasks
        self.seed = seed
        self.known: Tensor
        self.register_buffer("known", torch.ones(tasks))

    def remember(self, losses: Tensor) -> Tensor:
        """Return losses ``(T,)`` in which a task that the batch has no label of, whose loss is 0, has its last one."""
        self.known.copy_(torch.where(losses > 0, losses, self.known))
        return self.known.clone()

    def update(self, taken: Taken) -> None:
        """Learn from a step that was taken."""


class LossWeighting(Weighting):
    """Decides by the losses."""

    @abstractmethod
    def weigh(self, losses: Tensor, step: int) -> Tensor:
        """Return what each loss is multiplied by, ``(T,)``.

        Args:
            losses: Of the tasks, above 0, without gradients, ``(T,)``.
            step: Number of the step, from 0.
        """


class GradientWeighting(Weighting):
    """Decides by the gradients: one backward pass a task.

    What is multiplied are the tasks' gradients of weights that several tasks share; others have one task's alone.
    """

    @abstractmethod
    def weigh(self, gramian: Tensor, losses: Tensor, step: int) -> Tensor:
        """Return what each task's gradient is multiplied by, ``(T,)``.

        Args:
            gramian: Inner products of the tasks' gradients of what they share, ``(T, T)``, float64, on the CPU.
            losses: Of the tasks, without gradients, ``(T,)``.
            step: Number of the step, from 0.
        """


class Learned(nn.Module):
    """A vector that Adam learns from gradients that it is given.

    Args:
        start: Its values in the beginning, ``(T,)``.
        learning_rate: Adam's.
        weight_decay: Adam's, coupled.

    Attributes:
        values: The vector.
    """

    def __init__(self, start: Tensor, learning_rate: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        self.values = nn.Parameter(start)
        self.register_buffer("step", torch.zeros(()))
        self.register_buffer("exp_avg", torch.zeros_like(start))
        self.register_buffer("exp_avg_sq", torch.zeros_like(start))
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay

    def learn(self, gradient: Tensor) -> None:
        """Go a step against a gradient, ``(T,)``."""
        optimizer = torch.optim.Adam(
            [self.values], self._learning_rate, weight_decay=self._weight_decay, capturable=self.values.is_cuda
        )
        optimizer.state[self.values] = dict(self.named_buffers())  # changed in place, and so saved with the module
        self.values.grad = gradient
        optimizer.step()


WeightingClass = TypeVar("WeightingClass", bound=type[Weighting])

_registry: Registry[Weighting] = Registry("weighting", "ednas.mtl.weighting")


class WeightingConfig(StrictModel):
    """How much each task's loss counts, beside the recipe's ``loss_weights``, and the weighting's own options.

    In YAML also a text, as an architecture names its parts: ``dwa``, or ``dwa(window=50)``.

    Attributes:
        name: One of :func:`weighting_names`; ``fixed`` = by the recipe's weights alone.
        options: The weighting's ``Options``; what is not given has its default.
    """

    name: str = FIXED
    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            name, options = parse_part(value)
        except ArchitectureError:
            raise ValueError(f"'{value:.80}' names no weighting; write it like dwa or dwa(window=50)") from None
        return {"name": name, "options": options}

    def complete(self) -> WeightingConfig:
        """Return the same with every option spelled out.

        Raises:
            ConfigError: Unknown weighting or option, with the nearest known one, or a wrong value.
        """
        return WeightingConfig(name=self.name, options=_registry.complete(self.name, self.options))

    @property
    def text(self) -> str:
        """The text form, with the options that were given."""
        return part_text(self.name, self.options)

    def make(self, tasks: int, seed: int = 0) -> Weighting:
        """Return a fresh weighting of T tasks; of a single task, there is nothing to weigh.

        Raises:
            ConfigError: As :meth:`complete`; or a package that it needs is missing.
        """
        options = self.complete().options
        if tasks == 1:
            return _registry.find(FIXED)(1)
        return _registry.find(self.name)(tasks, seed, **options)


def register_weighting(name: str) -> Callable[[WeightingClass], WeightingClass]:
    """Make a weighting known by name; a decorator.

    Raises:
        ConfigError: The name is taken by another weighting.
    """
    return _registry.register(name)


def weighting_names() -> tuple[str, ...]:
    """Names of all weightings: those of this package and those registered by others."""
    return _registry.names()


def check_window(window: int, steps: int, name: str) -> None:
    """Check that losses can be averaged over the last ``window`` of some steps.

    Raises:
        ConfigError: There are fewer.
    """
    if window > steps:
        raise ConfigError(f"weighting.options: window = {window} is more than {name} = {steps}")
