"""A network for each task: nothing is shared."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.nn.blocks import initialise
from ednas.nn.encoder import Encoder
from ednas.nn.sharing import Sharing, register_sharing


@register_sharing("single")
class Single(Sharing):
    """A backbone for each task, side by side; others join them after each stage.

    Args:
        architecture: The stem and blocks of each.
        tasks: Names of the tasks.

    Attributes:
        encoders: The backbones, in the order of the tasks.
    """

    def __init__(self, architecture: Architecture, tasks: Sequence[str]) -> None:
        super().__init__(architecture, tasks)
        self.encoders = nn.ModuleList(Encoder(architecture).apply(initialise) for _ in tasks)

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each task's features."""
        current = [image for _ in self.encoders]
        stages: list[list[Tensor]] = []
        for index in range(len(self._channels)):
            outputs = [encoder.forward_stage(index, x) for encoder, x in zip(self._encoders, current, strict=True)]
            current = self.join(index, outputs)
            stages.append(current)
        return [self._at_feature_strides(of_task) for of_task in zip(*stages, strict=True)]

    def join(self, stage: int, features: list[Tensor]) -> list[Tensor]:
        """Return what the tasks' next stages read, from what this stage of each yields."""
        del stage
        return features

    @property
    def _encoders(self) -> list[Encoder]:
        return [encoder for encoder in self.encoders if isinstance(encoder, Encoder)]

    @property
    def _channels(self) -> tuple[int, ...]:
        """Channels after each stage."""
        return self._encoders[0].out_channels


def start_weights(tasks: int, own: float) -> list[list[float]]:
    """Return how much of each task's features (second) every task (first) reads in the beginning: rows add up to 1.

    Args:
        tasks: Number of tasks, at least 2.
        own: How much of its own.
    """
    other = (1 - own) / (tasks - 1)
    return [[own if one == two else other for two in range(tasks)] for one in range(tasks)]
