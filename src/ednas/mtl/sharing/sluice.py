"""Sluice networks (Ruder et al., 2019), on convolutions: subspaces that are mixed, and features of all depths.

The paper's layers are recurrent and of one size. Here the mixture ``alpha`` comes after each stage, of the halves of
its channels. The mixture of layers ``beta`` adds to the features of stride 32 those of finer strides, brought to their
size by pooling and 1x1 convolutions; these convolutions' two subspaces are what the penalty holds orthogonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.arch.architecture import FEATURE_STRIDES
from ednas.config import StrictModel
from ednas.exceptions import ArchitectureError
from ednas.mtl.sharing.single import Single, start_weights
from ednas.nn.blocks import ConvBNAct, initialise
from ednas.nn.sharing import register_sharing

SUBSPACES = 2


@register_sharing("sluice")
class Sluice(Single):
    """A backbone for each task, of two subspaces a stage, which all tasks read mixtures of.

    Args:
        architecture: The stem and blocks of each; every stage has an even number of channels.
        tasks: Names of the tasks.
        **options: Those of :class:`Options`.

    Attributes:
        units: ``alpha``, for each stage and task what its subspaces read of those of all tasks, ``(2, 2 T)``; and
            ``beta``, for each task how much it reads of the features of each stride at stride 32.
        projections: For each task those of the finer strides.

    Raises:
        ArchitectureError: A stage has an odd number of channels.
    """

    can_be_cut = False

    class Options(StrictModel):
        """Options of the sharing ``sluice``.

        Attributes:
            start: How much of its own features a task reads in the beginning; of the others' as much as makes 1.
            start_last: How much the features of stride 32 count there in the beginning; the finer as much as makes 1.
            orthogonality: Weight of the penalty.
            rate: How many times as fast as the backbones the units learn.
        """

        start: Annotated[float, Field(ge=0, le=1)] = 0.9
        start_last: Annotated[float, Field(ge=0, le=1)] = 0.9
        orthogonality: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
        rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def __init__(
        self,
        architecture: Architecture,
        tasks: Sequence[str],
        *,
        start: float = 0.9,
        start_last: float = 0.9,
        orthogonality: float = 0.1,
        rate: float = 1.0,
    ) -> None:
        super().__init__(architecture, tasks)
        if odd := [channels for channels in self._channels if channels % SUBSPACES]:
            raise ArchitectureError(f"sharing 'sluice': a stage of {odd[0]} channels, must be an even number")
        self.unit_rate = rate
        self._orthogonality = orthogonality
        alpha = torch.kron(torch.tensor(start_weights(len(tasks), start)), torch.eye(SUBSPACES))
        finer = len(FEATURE_STRIDES) - 1
        beta = torch.tensor([*[(1 - start_last) / finer] * finer, start_last])
        # A parameter for each task and depth: compilers fold what is computed of one, but not of a part of one.
        self.units = nn.ModuleDict(
            {
                "alpha": nn.ModuleList(
                    nn.ParameterList(own.clone() for own in alpha.chunk(len(tasks))) for _ in self._channels
                ),
                "beta": nn.ModuleList(nn.ParameterList(own.clone() for own in beta) for _ in tasks),
            }
        )
        for stage, channels in enumerate(self._channels):
            self.register_buffer(f"half{stage}", torch.eye(channels // SUBSPACES), persistent=False)
        *widths, last = (self._channels[stage] for stage in architecture.feature_stages)
        self.projections = nn.ModuleList(
            nn.ModuleList(ConvBNAct(width, last, act=False) for width in widths) for _ in tasks
        ).apply(initialise)

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each task's features."""
        found = super().forward(image)
        return [
            [*finer, _mix_depths(weights, finer, last, projections)]
            for weights, (*finer, last), projections in zip(self._units("beta"), found, self.projections, strict=True)
        ]

    def join(self, stage: int, features: list[Tensor]) -> list[Tensor]:
        """Mix the subspaces, by one 1x1 convolution of all tasks' features: compilers know no other sum of halves."""
        together = torch.cat(features, 1)
        half = self.get_buffer(f"half{stage}")
        alphas = self._units("alpha")[stage]
        return [nn.functional.conv2d(together, torch.kron(alpha, half)[..., None, None]) for alpha in alphas]

    def _units(self, name: str) -> list[list[Tensor]]:
        return [list(own.parameters()) for own in self.units[name].children()]

    def penalty(self, losses: Tensor) -> Tensor:
        """Return the weighted sum of squares of the inner products between filters of different subspaces."""
        total = torch.zeros((), device=losses.device)
        for conv in self.projections.modules():
            if isinstance(conv, nn.Conv2d):
                first, second = conv.weight.flatten(1).chunk(SUBSPACES)
                total = total + (first @ second.T).square().sum()
        return self._orthogonality * total


def _mix_depths(weights: Sequence[Tensor], finer: Sequence[Tensor], last: Tensor, projections: nn.Module) -> Tensor:
    """Add features of finer strides to the last ones."""
    total = weights[-1] * last
    strides = [FEATURE_STRIDES[-1] // stride for stride in FEATURE_STRIDES]
    for weight, x, stride, project in zip(weights, finer, strides, projections.children(), strict=False):
        pooled = nn.functional.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)
        total = total + weight * project(pooled)
    return total
