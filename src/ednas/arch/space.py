"""The search space: an :class:`~ednas.arch.spec.Architecture` whose values are ``pg.oneof(...)`` (Section 3.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyglove as pg
from pydantic import Field

from ednas.arch.parts import PARTS
from ednas.arch.spec import KINDS, STAGE_DEPTHS, Architecture, Block, Plan, block_text, check_input_size
from ednas.config import StrictModel
from ednas.exceptions import ArchitectureError

Genes = tuple[int, ...]
"""A point of the space: the index of the chosen candidate for each decision."""


class StageConfig(StrictModel):
    """Choices of one stage that differ from the rest of the space; None = as in :class:`SpaceConfig`."""

    kinds: tuple[str, ...] | None = None
    kernel_sizes: tuple[int, ...] | None = None
    multipliers: tuple[float, ...] | None = None
    expand_ratios: tuple[int, ...] | None = None


class SpaceConfig(StrictModel):
    """Which values the search may choose; the defaults are the paper's space.

    Attributes:
        kinds: Block types.
        kernel_sizes: Kernel sizes of the spatial convolution.
        multipliers: Output channels as multiples of the base architecture's.
        expand_ratios: Expansion ratios; block 1 keeps the base's ratio of 1, as in Tables 6 and 7.
        bifpn_widths: Channels of the BiFPN; empty = the base's.
        bifpn_depths: Layers of the BiFPN; empty = the base's.
        head_laterals: Strides of the stage that the heads read beside P3 (4, or 0 for none); empty = the base's.
        input_sizes: ``(height, width)`` pairs; empty = the data or the recipe decide.
        stages: Choices of single stages, by stage number 1-7.
    """

    kinds: tuple[str, ...] = KINDS
    kernel_sizes: tuple[int, ...] = (3, 5)
    multipliers: tuple[float, ...] = (0.5, 0.75, 1.0, 1.5)
    expand_ratios: tuple[int, ...] = (3, 6)
    bifpn_widths: tuple[int, ...] = ()
    bifpn_depths: tuple[int, ...] = ()
    head_laterals: tuple[int, ...] = ()
    input_sizes: tuple[tuple[int, int], ...] = ()
    stages: Mapping[int, StageConfig] = Field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """One choice of the search.

    Attributes:
        name: Path of the field, for example ``blocks[3].kernel_size`` (block 4).
        candidates: The values to choose from.
    """

    name: str
    candidates: tuple[Any, ...]


@dataclass(frozen=True)
class _Part:
    """A block, or the architecture without its blocks.

    Attributes:
        genes: Where the genes that decide its values stand among all genes.
        decisions: What they decide, as ``(field, decision)``.
        values: All of its values; those of decided fields are replaced.
    """

    genes: slice
    decisions: tuple[tuple[str, Decision], ...]
    values: Mapping[str, Any]

    def choose(self, genes: Genes) -> dict[str, Any]:
        """Return the values that the part's genes choose."""
        values = dict(self.values)
        for (field, decision), gene in zip(self.decisions, genes, strict=True):
            if not 0 <= gene < len(decision.candidates):
                raise ArchitectureError(f"{decision.name}: gene {gene}, must be 0 to {len(decision.candidates) - 1}")
            values[field] = decision.candidates[gene]
        return values

    def text(self, genes: Genes) -> str:
        """Return the text form of the block that the part's genes choose."""
        return block_text(**self.choose(genes))


class SearchSpace:
    """All architectures that the search may propose.

    A backbone or decoder of the user's own stays as it is, while the other half of the network is searched.

    Args:
        base: The architecture whose values are replaced by choices.
        config: What to choose from; the default is the paper's space.

    Attributes:
        base: As given.
        decisions: The choices, in the order of the genes.
        symbolic: The PyGlove object with its ``pg.oneof`` values.

    Raises:
        ArchitectureError: A candidate is not allowed (the message names the block), a list is empty or holds a value
            twice, a stage does not exist, or nothing is left to choose.
    """

    def __init__(self, base: Architecture, config: SpaceConfig | None = None) -> None:
        self.base = base
        config = config or SpaceConfig()
        choices = dict(_choices(base, config))
        self.symbolic: pg.Object = base.clone(deep=True).rebind(
            {path: pg.oneof(list(values)) if len(values) > 1 else values[0] for path, values in choices.items()},
            raise_on_no_change=False,
        )
        spec = pg.dna_spec(self.symbolic)
        self.decisions = tuple(Decision(name := str(point.id), choices[name]) for point in spec.decision_points)
        if base.plan().has_own_parts and not self.decisions:
            raise ArchitectureError(
                "space: nothing is left to choose beside the backbone or decoder of your own; give bifpn_widths, "
                "bifpn_depths, head_laterals or input_sizes"
            )
        *self._blocks, self._rest = _parts(self.symbolic, self.decisions)
        self._block_texts = [(part.genes, cache(part.text)) for part in self._blocks]
        self._rest_values = cache(self._rest.choose)

    @property
    def size(self) -> int:
        """Number of distinct architectures."""
        size = 1
        for decision in self.decisions:
            size *= len(decision.candidates)
        return size

    def decode(self, genes: Sequence[int]) -> Architecture:
        """Return the architecture that ``genes`` choose; milliseconds, see :meth:`plan`.

        Raises:
            ArchitectureError: The number of genes or one of them does not fit this space.
        """
        genes = self._checked(genes)
        blocks = [Block(**part.choose(genes[part.genes])) for part in self._blocks]
        return Architecture(blocks=blocks, **self._rest.choose(genes[self._rest.genes]))

    def plan(self, genes: Sequence[int]) -> Plan:
        """Return the plan of the architecture that ``genes`` choose, ``decode(genes).plan()``, in microseconds.

        Raises:
            ArchitectureError: The number of genes or one of them does not fit this space.
        """
        genes = self._checked(genes)
        blocks = tuple([text(genes[place]) for place, text in self._block_texts])
        return Plan(blocks=blocks, **self._rest_values(genes[self._rest.genes]))

    def encode(self, architecture: Architecture) -> Genes:
        """Return the genes of an architecture.

        Raises:
            ArchitectureError: The architecture is not in this space; the message names the first decision.
        """
        genes = []
        for part, values in zip((*self._blocks, self._rest), _field_values(architecture), strict=True):
            for field, decision in part.decisions:
                if values[field] not in decision.candidates:
                    allowed = ", ".join(map(str, decision.candidates))
                    raise ArchitectureError(f"{decision.name} is {values[field]}, not in the search space ({allowed})")
                genes.append(decision.candidates.index(values[field]))
        if self.plan(genes) != architecture.plan():
            raise ArchitectureError("the architecture differs from the search space's base in a value that is fixed")
        return tuple(genes)

    def fingerprint(self) -> str:
        """Return hex digits that change when the meaning of stored genes changes (order, names, candidates, base)."""
        content = [self.base.fingerprint(), [[d.name, list(map(str, d.candidates))] for d in self.decisions]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def _checked(self, genes: Sequence[int]) -> Genes:
        if len(genes) != len(self.decisions):
            raise ArchitectureError(f"{len(genes)} genes, this space has {len(self.decisions)} decisions")
        return tuple(genes)


def _choices(base: Architecture, config: SpaceConfig) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for number in config.stages:
        if base.backbone:
            raise ArchitectureError(f"space: backbone '{base.backbone}' has no stage {number}; leave stages out")
        if not 1 <= number <= len(STAGE_DEPTHS):
            raise ArchitectureError(f"space: stage {number} does not exist, stages are 1 to {len(STAGE_DEPTHS)}")
    index = 0
    for number, blocks in enumerate(base.stages(), start=1):
        stage = config.stages.get(number, StageConfig())
        for block in blocks:
            yield from _block_choices(index, block, stage, config)
            index += 1
    rest = {
        "bifpn_width": config.bifpn_widths,
        "bifpn_depth": config.bifpn_depths,
        "head_lateral": config.head_laterals,
    }
    for path, values in rest.items():
        if values:
            if base.decoder:
                raise ArchitectureError(f"space: decoder '{base.decoder}' has no {path} to choose; leave it out")
            for value in _checked(path, values):
                base.clone(override={path: value})
            yield path, values
    if config.input_sizes:
        for size in config.input_sizes:
            check_input_size(size)
        yield "input_size", _checked("input_size", config.input_sizes)


def _block_choices(
    index: int, block: Block, stage: StageConfig, config: SpaceConfig
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    multipliers = config.multipliers if stage.multipliers is None else stage.multipliers
    expand_ratios = config.expand_ratios if stage.expand_ratios is None else stage.expand_ratios
    if index == 0 and stage.expand_ratios is None:
        expand_ratios = (block.expand_ratio,)
    fields: dict[str, tuple[Any, ...]] = {
        "kind": config.kinds if stage.kinds is None else stage.kinds,
        "kernel_size": config.kernel_sizes if stage.kernel_sizes is None else stage.kernel_sizes,
        "expand_ratio": expand_ratios,
        "filters": tuple(round(block.filters * multiplier) for multiplier in multipliers),
    }
    for field, values in fields.items():
        for value in _checked(f"block {index + 1}: {field}", values):
            try:
                Block(**{**_block_values(block), field: value})
            except ArchitectureError as error:
                raise ArchitectureError(f"space: {str(error).replace('block', f'block {index + 1}', 1)}") from None
        yield f"blocks[{index}].{field}", values


def _checked(where: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ArchitectureError(f"space: {where} has no candidate, give at least one")
    if len(set(values)) != len(values):
        raise ArchitectureError(f"space: {where} has a candidate twice: {', '.join(map(str, values))}")
    return values


def _parts(symbolic: Architecture, decisions: Sequence[Decision]) -> list[_Part]:
    """Sort the decisions, which come block by block, to the blocks and to the rest of the architecture."""
    fields = _field_values(symbolic)
    located = [(*_locate(decision.name, len(fields) - 1), decision) for decision in decisions]
    parts: list[_Part] = []
    first = 0
    for number, values in enumerate(fields):
        decided = tuple([(field, decision) for owner, field, decision in located if owner == number])
        parts.append(_Part(slice(first, first + len(decided)), decided, values))
        first += len(decided)
    return parts


def _block_values(block: Block) -> dict[str, Any]:
    return {key: block.sym_getattr(key) for key in ("kind", "kernel_size", "stride", "expand_ratio", "filters")}


def _field_values(architecture: Architecture) -> list[dict[str, Any]]:
    """Return the values of each block, and last those of the architecture itself."""
    keys = ("stem_filters", "bifpn_width", "bifpn_depth", "head_lateral", "input_size", *PARTS)
    rest = {key: architecture.sym_getattr(key) for key in keys}
    return [*map(_block_values, architecture.sym_getattr("blocks")), rest]


def _locate(path: str, blocks: int) -> tuple[int, str]:
    """Split ``blocks[3].filters`` into ``(3, "filters")``, and ``bifpn_width`` into the part after all blocks."""
    owner, _, field = path.rpartition(".")
    return (int(owner.removeprefix("blocks[").removesuffix("]")) if owner else blocks, field)
