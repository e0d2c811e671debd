"""One backbone that each task takes its own way through: what AdaShare and deep elastic networks have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.exceptions import ArchitectureError
from ednas.nn.blocks import ConvBNAct, initialise
from ednas.nn.encoder import Encoder
from ednas.nn.sharing import LearnedOptions, LearnedSharing

Way = tuple[int, ...]
"""How much of each block a task runs, from 0, which skips it."""


class TaskPaths(LearnedSharing):
    """A backbone of which each task runs some blocks, and skips others; where ways are the same so far, they are one.

    What skips a block of another stride or number of channels is a 1x1 convolution. Tasks of one way have one neck.
    While ways are learned, every task has its own; it is measured by the most probable ones.

    Args:
        architecture: The stem and blocks.
        tasks: Names of the tasks.
        options: How ways are learned.
        ways: Those of the tasks; None = they are learned.
        choices: How many there are for a block.

    Attributes:
        encoder: The backbone.
        skips: What skips a block, by the block's number.
        units: For each task the logits of each block's choices, ``(L, choices)``; none where ways are settled.
    """

    can_be_cut = False  # which blocks have something to skip them by depends on their channels

    def __init__(
        self,
        architecture: Architecture,
        tasks: Sequence[str],
        options: LearnedOptions,
        ways: dict[str, Way] | None,
        choices: int,
    ) -> None:
        super().__init__(architecture, tasks, options, is_settled=ways is not None)
        self._tasks = tuple(tasks)
        self._count = len(architecture.blocks)
        self._ends = architecture.feature_blocks
        self.encoder = Encoder(architecture)
        self._settled: list[Way] = []
        if ways is not None:
            self._settled = list(dict.fromkeys(ways[task] for task in tasks))
            self.groups = tuple(tuple(task for task in tasks if ways[task] == way) for way in self._settled)
        else:
            self.units = nn.ParameterList(torch.zeros(self._count, choices) for _ in tasks)
        self.skips = nn.ModuleDict()
        channels = architecture.stem_filters
        for number, block in enumerate(architecture.blocks):
            changes = block.stride != 1 or block.filters != channels
            if changes and 0 in self._choices(number):
                self.skips[str(number)] = ConvBNAct(channels, block.filters, stride=block.stride, act=False)
            channels = block.filters
        self.apply(initialise)
        self._change_blocks(lambda number, block: block if any(self._choices(number)) else nn.Identity())

    def _choices(self, number: int) -> set[int]:
        """Return what tasks choose of a block; 0 and 1 stand for all while that is learned."""
        return {way[number] for way in self._settled} if self._settled else {0, 1}

    def _change_blocks(self, change: Callable[[int, nn.Module], nn.Module]) -> None:
        """Replace blocks by what a function of their number and themselves returns."""
        number = -1  # the stem
        for stage in self.encoder.stages:
            for name, layer in [*stage.named_children()]:
                if number >= 0:
                    stage.set_submodule(name, change(number, layer))
                number += 1

    @property
    def _layers(self) -> Iterator[nn.Module]:
        """The stem, and then the blocks."""
        return (layer for stage in self.encoder.stages for layer in stage.children())

    @abstractmethod
    def run(self, number: int, block: nn.Module, x: Tensor, choice: int) -> Tensor:
        """Run as much of a block as a choice above 0 says."""

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each group's features."""
        return self.take(image, self._settled or self.most_probable())

    def take(self, image: Tensor, ways: Sequence[Way]) -> list[list[Tensor]]:
        """Return the features at the end of each way; what ways have in common is computed once."""
        stem, *blocks = self._layers
        reached: dict[Way, Tensor] = {(): stem(image)}
        features: list[dict[Way, Tensor]] = []
        for number, block in enumerate(blocks):
            before, reached = reached, {}
            for way in ways:
                own = way[: number + 1]
                if own not in reached:
                    x = before[own[:-1]]
                    reached[own] = self.run(number, block, x, own[-1]) if own[-1] else self.skip(number, x)
            if number + 1 in self._ends:
                features.append(reached)
        return [[found[way[:end]] for end, found in zip(self._ends, features, strict=True)] for way in ways]

    def skip(self, number: int, x: Tensor) -> Tensor:
        """Return what stands for a block's output where it is skipped."""
        skipped: Tensor = self.skips[str(number)](x) if str(number) in self.skips else x
        return skipped

    def most_probable(self) -> list[Way]:
        """Return each task's most probable way; of equal choices the largest."""
        if self.units[0].is_meta:  # one that is only described has no values; before the learning all blocks are run
            return [(self.units[0].shape[1] - 1,) * self._count for _ in self._tasks]
        last = self.units[0].shape[1] - 1
        return [tuple((last - logits.flip(1).argmax(1)).tolist()) for logits in self.units]


def ways_text(tasks: Sequence[str], ways: Sequence[Way]) -> str:
    """Return the text form of ways, which :func:`parse_ways` reads."""
    return "|".join(f"{task}:{''.join(map(str, way))}" for task, way in zip(tasks, ways, strict=True))


def parse_ways(text: str, tasks: Sequence[str], blocks: int, choices: int, where: str) -> dict[str, Way]:
    """Read the text form of ways.

    Args:
        text: Like ``segmentation:1101|depth:1011``.
        tasks: All of which must be named.
        blocks: Number of blocks, each of which has a digit.
        choices: Digits are below.
        where: For messages: ``sharing 'adashare': policy``.

    Raises:
        ArchitectureError: It is none of these tasks and blocks.

    Example:
        >>> parse_ways("a:110|b:011", ("a", "b"), 3, 2, "policy")
        {'a': (1, 1, 0), 'b': (0, 1, 1)}
    """
    found: dict[str, Way] = {}
    for part in text.split("|"):
        task, _, digits = part.partition(":")
        if len(digits) != blocks or set(digits) - set("0123456789"[:choices]):
            raise ArchitectureError(
                f"{where} '{text:.120}': write it like a:101|b:011, with a digit from 0 to {choices - 1} for each of "
                f"{blocks} blocks"
            )
        found[task] = tuple(map(int, digits))
    if sorted(found) != sorted(tasks):
        raise ArchitectureError(f"{where} '{text:.120}': each of {', '.join(tasks)} must be named once")
    return found
