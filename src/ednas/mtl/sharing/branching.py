"""Branching: tasks share the first stages, and part where a tree says so."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import PositiveInt
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.exceptions import ArchitectureError
from ednas.nn.blocks import initialise
from ednas.nn.encoder import Encoder
from ednas.nn.sharing import Sharing, register_sharing

Groups = tuple[tuple[str, ...], ...]
"""Tasks in groups."""


@register_sharing("branching")
class Branching(Sharing):
    """A backbone whose later stages exist once for each group of tasks.

    Args:
        architecture: The stem and blocks.
        tasks: Names of the tasks.
        **options: Those of :class:`Options`.

    Attributes:
        branches: For each stage its copies, one a group.

    Raises:
        ArchitectureError: The tree is none of these tasks and stages.
    """

    class Options(StrictModel):
        """Options of the sharing ``branching``.

        Attributes:
            at: The stage, from 1, from which every task has its own; where no tree is given.
            tree: From which stages on tasks are in which groups: ``3:segmentation|depth+normals;6:segmentation|depth|
                normals``; before the first they are together.
        """

        at: PositiveInt = 5
        tree: str = ""

    def __init__(self, architecture: Architecture, tasks: Sequence[str], *, at: int = 5, tree: str = "") -> None:
        super().__init__(architecture, tasks)
        stages = len(architecture.stages())
        together: Groups = (tuple(tasks),)
        splits = parse_tree(tree, tasks) if tree else {at: self.groups}
        if late := [stage for stage in splits if stage > stages]:
            raise ArchitectureError(f"sharing 'branching': stage {late[0]}, the backbone has {stages}")
        groups: list[Groups] = []
        for stage in range(1, stages + 1):
            groups.append(splits.get(stage, groups[-1] if groups else together))
        self.groups = groups[-1]
        self._parents = [
            [_find(group[0], before) for group in own]
            for before, own in zip([together, *groups[:-1]], groups, strict=True)
        ]
        self.branches = nn.ModuleList(
            nn.ModuleList(Encoder(architecture).stages[stage] for _ in own).apply(initialise)
            for stage, own in enumerate(groups)
        )

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        """Map ``(N, 3, H, W)`` to each group's features."""
        paths: list[list[Tensor]] = [[image]]
        for parents, copies in zip(self._parents, self.branches, strict=True):
            paths = [
                [*paths[parent], copy(paths[parent][-1])]
                for parent, copy in zip(parents, copies.children(), strict=True)
            ]
        return [self._at_feature_strides(path[1:]) for path in paths]


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
