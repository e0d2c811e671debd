"""NDDR-CNN (Gao et al., 2019): after each stage, every task reads a learned projection of all tasks' features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.arch.architecture import FEATURE_STRIDES
from ednas.config import StrictModel
from ednas.mtl.sharing.single import Single, start_weights
from ednas.nn.blocks import ConvBNAct, initialise
from ednas.nn.sharing import register_sharing


@register_sharing("nddr")
class NDDR(Single):
    """A backbone for each task, and for each stage and task a 1x1 convolution of all tasks' features.

    Start it from a trained network with ``sharing:single`` (``--init``), as the paper does.

    Args:
        architecture: The stem and blocks of each.
        tasks: Names of the tasks.
        **options: Those of :class:`Options`.

    Attributes:
        units: For each stage those of each task.
        shortcuts: For each task what reads its features of all strides; none without ``shortcut``.
    """

    class Options(StrictModel):
        """Options of the sharing ``nddr``.

        Attributes:
            start: How much of its own features a task reads in the beginning; of the others' as much as makes 1.
            rate: How many times as fast as the backbones the units learn.
            activation: Whether a unit ends with ReLU6, as in the paper. The features that it reads have none here: a
                block ends with its linear convolution.
            shortcut: Whether a task's features of all strides, brought to the size of stride 32, make those of stride
                32.
        """

        start: Annotated[float, Field(ge=0, le=1)] = 0.9
        rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
        activation: bool = True
        shortcut: bool = False

    def __init__(
        self,
        architecture: Architecture,
        tasks: Sequence[str],
        *,
        start: float = 0.9,
        rate: float = 1.0,
        activation: bool = True,
        shortcut: bool = False,
    ) -> None:
        super().__init__(architecture, tasks)
        self.unit_rate = rate
        rows = start_weights(len(tasks), start)
        self.units = nn.ModuleList(
            nn.ModuleList(_unit(row, channels, activation) for row in rows) for channels in self._channels
        )
        channels = [self._channels[stage] for stage in architecture.feature_stages]
        self.shortcuts = nn.ModuleList(ConvBNAct(sum(channels), channels[-1]) for _ in tasks if shortcut)
        self.shortcuts.apply(initialise)

    def join(self, stage: int, features: list[Tensor]) -> list[Tensor]:
        """Project."""
        together = torch.cat(features, 1)
        return [unit(together) for unit in self.units[stage].children()]

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each task's features."""
        found = super().forward(image)
        for features, shortcut in zip(found, self.shortcuts.children(), strict=False):
            features[-1] = shortcut(torch.cat([*map(_pooled, features, FEATURE_STRIDES)], 1))
        return found


def _unit(row: Sequence[float], channels: int, activation: bool) -> ConvBNAct:
    """Return a projection of features of all tasks that begins as their weighted sum."""
    unit = ConvBNAct(len(row) * channels, channels, act=activation)
    start = torch.cat([weight * torch.eye(channels) for weight in row], 1)[..., None, None]
    unit[0].weight = nn.Parameter(start)
    return unit


def _pooled(features: Tensor, stride: int) -> Tensor:
    """Bring features of a stride to the size of the last ones."""
    factor = FEATURE_STRIDES[-1] // stride
    return nn.functional.avg_pool2d(features, factor, ceil_mode=True, count_include_pad=False)
