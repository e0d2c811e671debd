"""MTAN (Liu et al., 2019): one backbone, of which every task picks features by attention masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.nn.blocks import ConvBNAct, initialise
from ednas.nn.encoder import Encoder
from ednas.nn.sharing import Sharing, register_sharing


class _Part(NamedTuple):
    """The blocks between two strides.

    Attributes:
        stages: First stage, and the one behind the last.
        shared: Channels of what the mask reads: the output of the last block but one.
        out: Channels of what it is multiplied with: that of the last block.
    """

    stages: tuple[int, int]
    shared: int
    out: int


@register_sharing("mtan")
class MTAN(Sharing):
    """One backbone in four parts, which end at strides 4, 8, 16 and 32, and for each part a mask for each task.

    A mask is computed from what the part's last block but one yields and from what the task picked in the part before,
    which a convolution that tasks share brings to this part.

    Args:
        architecture: The stem and blocks.
        tasks: Names of the tasks.

    Attributes:
        encoder: The backbone.
        masks: For each part those of each task.
        refine: What brings picked features to the next part.
    """

    def __init__(self, architecture: Architecture, tasks: Sequence[str]) -> None:
        super().__init__(architecture, tasks)
        self.encoder = Encoder(architecture)
        self._parts = [*_parts(architecture)]
        before = [0, *[part.out for part in self._parts[:-1]]]
        self.masks = nn.ModuleList(
            nn.ModuleList(_mask(part.shared + (part.out if channels else 0), part.out) for _ in tasks)
            for channels, part in zip(before, self._parts, strict=True)
        )
        self.refine = nn.ModuleList(ConvBNAct(one.out, two.out, kernel_size=3) for one, two in pairwise(self._parts))
        self.apply(initialise)

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each task's features."""
        x = image
        picked: list[list[Tensor]] = [[] for _ in self.groups]
        for number, (part, masks) in enumerate(zip(self._parts, self.masks, strict=True)):
            blocks = [block for stage in self.encoder.stages[slice(*part.stages)] for block in stage.children()]
            *first, last = blocks
            for block in first:
                x = block(x)
            shared, x = x, last(x)
            if shared.shape[2:] != x.shape[2:]:  # the part is one block of stride 2
                shared = x
            for of_task, mask in zip(picked, masks.children(), strict=True):
                read = shared
                if of_task:
                    before = self.refine[number - 1](of_task[-1])
                    before = nn.functional.max_pool2d(before, 2, ceil_mode=True)
                    read = torch.cat([shared, before], 1)
                of_task.append(mask(read) * x)
        return picked


def _parts(architecture: Architecture) -> Iterator[_Part]:
    begin = 0
    stages = architecture.stages()
    for end in architecture.feature_stages:
        blocks = [block for stage in stages[begin : end + 1] for block in stage]
        is_one = len(blocks) == 1 or blocks[-1].stride == 2
        yield _Part((begin, end + 1), blocks[-1 if is_one else -2].filters, blocks[-1].filters)
        begin = end + 1


def _mask(in_channels: int, channels: int) -> nn.Sequential:
    """Return what computes a mask of values in (0, 1), ``(N, channels, H, W)``."""
    hidden = max(1, channels // 4)
    return nn.Sequential(ConvBNAct(in_channels, hidden), ConvBNAct(hidden, channels, act=False), nn.Sigmoid())
