"""What a way to share a backbone between tasks is, and how one is found by name.

An architecture names it as ``sharing:NAME``, with its options: ``base sharing:cross_stitch(start=0.8)``. Without one,
all tasks read the features of one backbone: hard sharing. Ours are one file each in :mod:`ednas.mtl.sharing`; a new one
is a subclass of :class:`Sharing` with :func:`register_sharing`, there or in a plugin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.arch.parts import HARD, parse_part
from ednas.exceptions import ArchitectureError, ConfigError
from ednas.registry import Method, Registry


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
    """

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

    def penalty(self) -> Tensor | None:
        """Return what is added to the loss, a scalar; None = nothing."""
        return None

    def _at_feature_strides(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return of all stages' outputs those that necks and heads read."""
        return [stages[stage] for stage in self._feature_stages]


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
