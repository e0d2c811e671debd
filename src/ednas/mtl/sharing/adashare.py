"""AdaShare (Sun et al., 2020): one backbone, of which each task runs some blocks and skips others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.mtl.sharing.paths import TaskPaths, parse_ways, ways_text
from ednas.nn.sharing import GumbelOptions, gumbel_noise, register_sharing
from ednas.seeding import derive_seed

SKIP, KEEP = 0, 1
"""Choices of a block."""

ALL_BLOCKS = 0.5
"""After which share of the learning the policy is learned of all blocks; the last ones are first."""


@register_sharing("adashare")
class AdaShare(TaskPaths):
    """A backbone whose blocks each task runs or skips.

    While the policy is learned, every block is for every task a mixture of run and skipped, by Gumbel-softmax.

    Args:
        architecture: The stem and blocks.
        tasks: Names of the tasks.
        **options: Those of :class:`Options`.

    Raises:
        ArchitectureError: The policy is none of these tasks and blocks.
    """

    class Options(GumbelOptions):
        """Options of the sharing ``adashare``.

        Attributes:
            policy: Which blocks each task runs: ``segmentation:1101|depth:1011``; empty = it is learned.
            sparsity: Weight of the loss that wants blocks to be skipped.
            sharing: Weight of the loss that wants tasks to run the same of the first blocks.
        """

        policy: str = ""
        sparsity: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
        sharing: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1

    def __init__(self, architecture: Architecture, tasks: Sequence[str], **options: Any) -> None:
        own = self.Options(**options)
        ways = None
        if own.policy:
            ways = parse_ways(own.policy, tasks, len(architecture.blocks), 2, "sharing 'adashare': policy")
        super().__init__(architecture, tasks, own, ways, 2)
        self._options = own
        self._noise: Tensor | None = None
        self._temperature = own.temperature
        self._learned_blocks = 0
        self._is_regularised = False

    def run(self, number: int, block: nn.Module, x: Tensor, choice: int) -> Tensor:
        """Run a block."""
        del number, choice
        y: Tensor = block(x)
        return y

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each group's features."""
        return self._mix(image, self._noise) if self.training and self._noise is not None else super().forward(image)

    def _mix(self, image: Tensor, noise: Tensor) -> list[list[Tensor]]:
        """Run all blocks that nothing is learned about yet, and of the others a mixture."""
        kept = [
            ((logits + own.to(logits)) / self._temperature).softmax(1)[:, KEEP]
            for logits, own in zip(self.units, noise, strict=True)
        ]
        stem, *blocks = self._layers
        current = [stem(image)] * len(self._tasks)
        features: list[list[Tensor]] = []
        for number, block in enumerate(blocks):
            if number < self._count - self._learned_blocks:
                current = [block(current[0])] * len(self._tasks)
            else:
                current = [
                    gates[number] * block(x) + (1 - gates[number]) * self.skip(number, x)
                    for gates, x in zip(kept, current, strict=True)
                ]
            if number + 1 in self._ends:
                features.append(current)
        return [list(of_task) for of_task in zip(*features, strict=True)]

    def begin_step(self, step: int, steps: int, seed: int) -> None:
        """Set the temperature and the blocks that the policy is learned of, and draw."""
        self._is_regularised = self.moves_units(step, steps)
        if (progress := self.progress(step, steps)) is None:
            self._noise = None
            return
        self._learned_blocks = max(1, math.ceil(min(progress / ALL_BLOCKS, 1.0) * self._count))
        self._temperature = self._options.temperature_at(progress)
        generator = torch.Generator().manual_seed(derive_seed(seed, "sharing", step))
        self._noise = gumbel_noise((len(self._tasks), self._count, 2), generator)

    def penalty(self, losses: Tensor) -> Tensor | None:
        """Return what wants blocks to be skipped, and the first of them to be shared (Eq. 2 and 3 of the paper)."""
        if not self._is_regularised:
            return None
        total = torch.zeros((), device=losses.device)
        for logits in self.units:
            total = total - self._options.sparsity * logits[-self._learned_blocks :].log_softmax(1)[:, SKIP].mean()
        # The published code weighs by l / L, and the last blocks the most; the paper says (L - l) / L.
        weights = torch.arange(self._count - 1, -1, -1, device=losses.device) / self._count
        for one, two in combinations([logits.softmax(1)[:, KEEP] for logits in self.units], 2):
            total = total + 2 * self._options.sharing * (weights * (one - two).abs()).sum()
        return total

    def pattern(self) -> Mapping[str, Any]:
        """Return the most probable policy."""
        return {"policy": ways_text(self._tasks, self.most_probable())}
