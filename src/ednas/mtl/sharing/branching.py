"""Branching: tasks share the first stages, and part where a tree says so, which is given or learned.

How it is learned is close to Guo et al. (2020): every task has a copy of each stage, and each copy picks the one of the
stage before that it reads, by Gumbel-softmax; in the end each task is followed from its last copy to the first stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.exceptions import ArchitectureError
from ednas.nn.blocks import initialise
from ednas.nn.encoder import Encoder
from ednas.nn.sharing import GumbelOptions, LearnedSharing, gumbel_noise, register_sharing
from ednas.seeding import derive_seed

Groups = tuple[tuple[str, ...], ...]
"""Tasks in groups."""


LEARNED = "learned"
"""The tree that is not known yet."""


@register_sharing("branching")
class Branching(LearnedSharing):
    """A backbone whose later stages exist once for each group of tasks.

    Args:
        architecture: The stem and blocks.
        tasks: Names of the tasks.
        **options: Those of :class:`Options`.

    Attributes:
        branches: For each stage its copies, one a group.
        units: While the tree is learned, for each stage but the first what each copy (first) reads of each copy before
            it (second): logits ``(T, T)``.

    Raises:
        ArchitectureError: The tree is none of these tasks and stages.
    """

    class Options(GumbelOptions):
        """Options of the sharing ``branching``.

        Attributes:
            at: The stage, from 1, from which every task has its own; where no tree is given.
            tree: From which stages on tasks are in which groups: ``3:segmentation|depth+normals;6:segmentation|depth|
                normals``; before the first they are together. ``learned`` = it is learned.
            sharing: Weight of the loss that wants copies to read the same, while it is learned.
        """

        at: PositiveInt = 5
        tree: str = ""
        sharing: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1

    def __init__(self, architecture: Architecture, tasks: Sequence[str], **options: Any) -> None:
        own = self.Options(**options)
        super().__init__(architecture, tasks, own, is_settled=own.tree != LEARNED)
        self._options = own
        self._tasks = tuple(tasks)
        stages = len(architecture.stages())
        if self.is_settled:
            groups = _groups(own, tasks, stages)
            self.groups = groups[-1]
            before = [(self._tasks,), *groups[:-1]]
            self._parents = [
                [_find(group[0], earlier) for group in own] for earlier, own in zip(before, groups, strict=True)
            ]
            copies = [len(own) for own in groups]
        else:
            self.units = nn.ParameterList(torch.zeros(len(tasks), len(tasks)) for _ in range(stages - 1))
            copies = [len(tasks)] * stages
        self.branches = nn.ModuleList(
            nn.ModuleList(Encoder(architecture).stages[stage] for _ in range(count)).apply(initialise)
            for stage, count in enumerate(copies)
        )
        self._noise: Tensor | None = None
        self._temperature = own.temperature
        self._is_regularised = False

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each group's features."""
        if self.training and self._noise is not None:
            return self._mix(image, self._noise)
        paths: list[list[Tensor]] = [[image]]
        for parents, copies in zip(self._parents if self.is_settled else self._picked(), self.branches, strict=True):
            paths = [
                [*paths[parent], copy(paths[parent][-1])]
                for parent, copy in zip(parents, copies.children(), strict=True)
            ]
        return [self._at_feature_strides(path[1:]) for path in paths]

    def _mix(self, image: Tensor, noise: Tensor) -> list[list[Tensor]]:
        """Have every copy read a mixture of the copies before it."""
        first, *others = self.branches
        current = [copy(image) for copy in first.children()]
        stages = [current]
        for logits, own, copies in zip(self.units, noise, others, strict=True):
            shares = ((logits + own.to(logits)) / self._temperature).softmax(1)
            read = [torch.stack([s * x for s, x in zip(row, current, strict=True)]).sum(0) for row in shares]
            current = [copy(x) for copy, x in zip(copies.children(), read, strict=True)]
            stages.append(current)
        return [self._at_feature_strides(of_task) for of_task in zip(*stages, strict=True)]

    def _picked(self) -> list[list[int]]:
        """Return for each stage which copy of the one before each of its copies reads most probably."""
        if self.units[0].is_meta:  # one that is only described has no values
            return [[0] * len(self._tasks), *[[*range(len(self._tasks))] for _ in self.units]]
        return [[0] * len(self._tasks), *[logits.argmax(1).tolist() for logits in self.units]]

    def begin_step(self, step: int, steps: int, seed: int) -> None:
        """Set the temperature, and draw."""
        self._is_regularised = self.moves_units(step, steps)
        self._temperature = self._options.temperature_at(self.progress(step, steps))
        generator = torch.Generator().manual_seed(derive_seed(seed, "sharing", step))
        self._noise = gumbel_noise((len(self.units), len(self._tasks), len(self._tasks)), generator)

    def penalty(self, losses: Tensor) -> Tensor | None:
        """Return what wants copies to read the same, the more the earlier: how probably two of them do not."""
        if not self._is_regularised:
            return None
        total = torch.zeros((), device=losses.device)
        for stage, logits in enumerate(self.units):
            odds = logits.softmax(1)
            differ = (1 - odds @ odds.T).triu(1).sum()
            total = total + (1 - stage / len(self.units)) * differ
        return self._options.sharing * total

    def pattern(self) -> Mapping[str, Any]:
        """Return the most probable tree."""
        copies = [*range(len(self._tasks))]
        groups = [self.groups]
        for parents in reversed(self._picked()[1:]):
            copies = [parents[copy] for copy in copies]
            by_copy = {copy: tuple(t for t, own in zip(self._tasks, copies, strict=True) if own == copy)
                       for copy in copies}  # fmt: skip
            groups.insert(0, tuple(by_copy.values()))
        before = [(self._tasks,), *groups[:-1]]
        changes = [
            f"{stage}:{'|'.join('+'.join(group) for group in own)}"
            for stage, (earlier, own) in enumerate(zip(before, groups, strict=True), 1)
            if own != earlier
        ]
        return {"tree": ";".join(changes)}


def _groups(options: Branching.Options, tasks: Sequence[str], stages: int) -> list[Groups]:
    """Return the groups of each stage."""
    alone = tuple((task,) for task in tasks)
    splits = parse_tree(options.tree, tasks) if options.tree else {options.at: alone}
    if late := [stage for stage in splits if stage > stages]:
        raise ArchitectureError(f"sharing 'branching': stage {late[0]}, the backbone has {stages}")
    groups: list[Groups] = []
    for stage in range(1, stages + 1):
        groups.append(splits.get(stage, groups[-1] if groups else (tuple(tasks),)))
    return groups


def parse_tree(text: str, tasks: Sequence[str]) -> dict[int, Groups]:
    """Read the text form of a tree: groups by the stage, from 1, from which they are.

    Raises:
        ArchitectureError: It is none of these tasks; or a group is of tasks that had parted before.

    Example:
        >>> parse_tree("3:a|b+c;6:a|b|c", ("a", "b", "c"))
        {3: (('a',), ('b', 'c')), 6: (('a',), ('b',), ('c',))}
    """
    where = f"sharing 'branching': tree '{text:.80}'"
    found: dict[int, Groups] = {}
    before: Groups = (tuple(tasks),)
    for part in text.split(";"):
        stage, colon, rest = part.partition(":")
        if not colon or not stage.isdecimal() or int(stage) <= max(found, default=0):
            raise ArchitectureError(f"{where}: write it like 3:a|b+c;6:a|b|c, with stages from 1 that rise")
        groups = tuple(tuple(group.split("+")) for group in rest.split("|"))
        if sorted(task for group in groups for task in group) != sorted(tasks):
            raise ArchitectureError(f"{where}: at stage {stage}, each of {', '.join(tasks)} must be named once")
        if any(set(group) - set(before[_find(group[0], before)]) for group in groups):
            raise ArchitectureError(f"{where}: at stage {stage}, tasks that have parted cannot come together again")
        found[int(stage)] = before = groups
    return found


def _find(task: str, groups: Groups) -> int:
    return next(index for index, group in enumerate(groups) if task in group)
