"""The search space: a base :class:`~ednas.arch.Architecture`, and decisions about its values (Section 3.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ednas.arch.architecture import Architecture, check_input_size
from ednas.arch.block import Block, block_fields, block_kind, make_block
from ednas.config import StrictModel
from ednas.exceptions import ArchitectureError

if TYPE_CHECKING:
    import pyglove as pg

Genes = tuple[int, ...]
"""A point of the space: the index of the chosen candidate for each decision."""


class StageConfig(StrictModel):
    """Choices of one stage that differ from the rest of the space; None = as in :class:`SpaceConfig`.

    Attributes:
        kinds: Block types.
        kernel_sizes: Kernel sizes of the spatial convolution.
        multipliers: Output channels as multiples of the base architecture's.
        expand_ratios: Expansion ratios.
        block_fields: Values of fields that only some kinds have.
    """

    kinds: tuple[str, ...] | None = None
    kernel_sizes: tuple[int, ...] | None = None
    multipliers: tuple[float, ...] | None = None
    expand_ratios: tuple[int, ...] | None = None
    block_fields: Mapping[str, tuple[int, ...]] | None = None


class SpaceConfig(StrictModel):
    """Which values the search may choose; the defaults are the paper's space.

    Attributes:
        kinds: Kinds of block (:mod:`ednas.arch.kinds`).
        kernel_sizes: Kernel sizes of the spatial convolution.
        multipliers: Output channels as multiples of the base architecture's.
        expand_ratios: Expansion ratios; block 1 keeps the base's ratio of 1, as in Tables 6 and 7.
        block_fields: Values of fields that only some kinds have, for example ``{start_kernel_size: [0, 3]}`` for
            ``uib``; a field that is not named here is the base's, or the kind's default.
        bifpn_widths: Channels of the BiFPN; empty = the base's.
        bifpn_depths: Layers of the BiFPN; empty = the base's.
        head_laterals: Strides of the stage that the heads read beside P3 (4, or 0 for none); empty = the base's.
        input_sizes: ``(height, width)`` pairs; empty = the data or the recipe decide.
        stages: Choices of single stages, by stage number from 1.
    """

    kinds: tuple[str, ...] = ("ibn", "fused")
    kernel_sizes: tuple[int, ...] = (3, 5)
    multipliers: tuple[float, ...] = (0.5, 0.75, 1.0, 1.5)
    expand_ratios: tuple[int, ...] = (3, 6)
    block_fields: Mapping[str, tuple[int, ...]] = Field(default_factory=dict)
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
        field: The field alone, for example ``kernel_size``.
        stage: Of the block, from 1; 0 for what is no block's.
    """

    name: str
    candidates: tuple[Any, ...]
    field: str
    stage: int


_REST_FIELDS = tuple(field.name for field in fields(Architecture) if field.name not in ("blocks", "name"))


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

    def block(self, genes: Genes) -> Block:
        """Return the block that the part's genes choose; its kind takes the values of its own fields alone."""
        return _make_block(self.choose(genes))

    @property
    def size(self) -> int:
        """Number of different values that its genes can choose."""
        counts = {field: len(decision.candidates) for field, decision in self.decisions}
        if "kind" not in self.values:
            return prod(counts.values())
        kinds = dict(self.decisions)["kind"].candidates if "kind" in counts else (self.values["kind"],)
        return sum(prod(counts.get(f.name, 1) for f in block_fields(block_kind(kind))) for kind in kinds)

    @property
    def hyper_value(self) -> dict[str, Any]:
        """The values, those to choose as ``pg.oneof``."""
        import pyglove as pg

        return {**self.values, **{field: pg.oneof(list(decision.candidates)) for field, decision in self.decisions}}


class SearchSpace:
    """All architectures that the search may propose.

    A backbone or decoder of the user's own stays as it is, while the other half of the network is searched.

    Args:
        base: The architecture whose values are replaced by choices.
        config: What to choose from; the default is the paper's space.

    Attributes:
        base: As given.
        config: As given, or the default.
        decisions: The choices, in the order of the genes.

    Raises:
        ArchitectureError: A candidate is not allowed (the message names the block), a list is empty or holds a value
            twice, a stage does not exist, or nothing is left to choose.
    """

    def __init__(self, base: Architecture, config: SpaceConfig | None = None) -> None:
        self.base = base
        self.config = config or SpaceConfig()
        choices = list(_choices(base, self.config))
        *self._blocks, self._rest = _parts(base, choices)
        self.decisions = tuple(decision for part in (*self._blocks, self._rest) for _, decision in part.decisions)
        if base.has_named_parts and not self.decisions:
            raise ArchitectureError(
                "space: nothing is left to choose beside the backbone or decoder of your own; give bifpn_widths, "
                "bifpn_depths, head_laterals or input_sizes"
            )
        # Kept, since a search meets the same blocks again and again.
        self._make_block: list[tuple[slice, Callable[[Genes], Block]]]
        self._make_block = [(part.genes, cache(part.block)) for part in self._blocks]
        self._choose_rest = cache(self._rest.choose)

    def __reduce__(self) -> tuple[type[SearchSpace], tuple[Architecture, SpaceConfig]]:
        """Travel as what the space is made from."""
        return SearchSpace, (self.base, self.config)

    @property
    def size(self) -> int:
        """Number of distinct architectures."""
        return prod(part.size for part in (*self._blocks, self._rest))

    def decode(self, genes: Sequence[int]) -> Architecture:
        """Return the architecture that ``genes`` choose, in microseconds.

        Raises:
            ArchitectureError: The number of genes or one of them does not fit this space.
        """
        if len(genes) != len(self.decisions):
            raise ArchitectureError(f"{len(genes)} genes, this space has {len(self.decisions)} decisions")
        genes = tuple(genes)
        blocks = tuple([make(genes[place]) for place, make in self._make_block])
        return Architecture(blocks, **self._choose_rest(genes[self._rest.genes]))

    def encode(self, architecture: Architecture) -> Genes:
        """Return the genes of an architecture; 0 for a field that its kind of block does not have.

        Raises:
            ArchitectureError: The architecture is not in this space; the message names the first decision.
        """
        if architecture.stage_depths != self.base.stage_depths:
            raise ArchitectureError("the architecture has another backbone than the search space's base")
        genes = []
        for part, owner in zip((*self._blocks, self._rest), (*architecture.blocks, architecture), strict=True):
            for field, decision in part.decisions:
                value = getattr(owner, field, decision.candidates[0])
                if value not in decision.candidates:
                    allowed = ", ".join(map(str, decision.candidates))
                    raise ArchitectureError(f"{decision.name} is {value}, not in the search space ({allowed})")
                genes.append(decision.candidates.index(value))
        if self.decode(genes) != architecture:
            raise ArchitectureError("the architecture differs from the search space's base in a value that is fixed")
        return tuple(genes)

    def fingerprint(self) -> str:
        """Return hex digits that change when the meaning of stored genes changes (order, names, candidates, base)."""
        content = [self.base.fingerprint(), [[d.name, list(map(str, d.candidates))] for d in self.decisions]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def to_pyglove(self) -> pg.Dict:
        """Return the space for PyGlove: an architecture's fields, with a ``pg.oneof`` for each decision.

        ``pg.sample`` and any of PyGlove's algorithms choose from it; :meth:`from_pyglove` reads what they chose. The
        numbers of PyGlove's DNA are the genes.

        Example:
            >>> import pyglove as pg
            >>> from ednas.arch import load_architecture
            >>> space = SearchSpace(load_architecture("base"))
            >>> value, feedback = next(pg.sample(space.to_pyglove(), pg.geno.Random(seed=1)))
            >>> space.from_pyglove(value).stem_filters
            32
        """
        import pyglove as pg

        return pg.Dict(blocks=[part.hyper_value for part in self._blocks], **self._rest.hyper_value)

    def from_pyglove(self, value: Mapping[str, Any]) -> Architecture:
        """Return the architecture of a value of :meth:`to_pyglove` that nothing is left to choose in.

        Raises:
            ArchitectureError: It is none.
        """
        try:
            blocks = [_make_block(block) for block in value["blocks"]]
            architecture = Architecture(**{**value, "blocks": blocks})
        except (KeyError, TypeError) as error:
            raise ArchitectureError(f"no value of the search space ({error})") from None
        return self.decode(self.encode(architecture))


Choice = tuple[int, str, tuple[Any, ...]]
"""The part that is decided about (a block's index, or the number of blocks for the rest), its field, the candidates."""


def _choices(base: Architecture, config: SpaceConfig) -> Iterator[Choice]:
    for number in config.stages:
        if base.backbone:
            raise ArchitectureError(f"space: backbone '{base.backbone}' has no stage {number}; leave stages out")
        if not 1 <= number <= len(base.stages()):
            raise ArchitectureError(f"space: stage {number} does not exist, stages are 1 to {len(base.stages())}")
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
    for field, values in rest.items():
        if values:
            if base.decoder:
                raise ArchitectureError(f"space: decoder '{base.decoder}' has no {field} to choose; leave it out")
            for value in _checked(field, values):
                replace(base, **{field: value})
            yield len(base.blocks), field, values
    if config.input_sizes:
        for size in config.input_sizes:
            check_input_size(size)
        yield len(base.blocks), "input_size", _checked("input_size", config.input_sizes)


def _block_choices(index: int, block: Block, stage: StageConfig, config: SpaceConfig) -> Iterator[Choice]:
    kinds = config.kinds if stage.kinds is None else stage.kinds
    multipliers = config.multipliers if stage.multipliers is None else stage.multipliers
    expand_ratios = config.expand_ratios if stage.expand_ratios is None else stage.expand_ratios
    if index == 0 and stage.expand_ratios is None:
        expand_ratios = (getattr(block, "expand_ratio", 1),)
    candidates: dict[str, tuple[Any, ...]] = {
        "kind": kinds,
        "kernel_size": config.kernel_sizes if stage.kernel_sizes is None else stage.kernel_sizes,
        "expand_ratio": expand_ratios,
        "filters": tuple(round(block.filters * multiplier) for multiplier in multipliers),
        **(config.block_fields if stage.block_fields is None else stage.block_fields),
    }
    where = f"block {index + 1}"
    for field, values in candidates.items():
        _checked(f"{where}: {field}", values)
    with _naming(where):
        of_kinds = {f.name: f.default for kind in kinds for f in block_fields(block_kind(kind))}
        if unknown := sorted(set(candidates) - {"kind", "kernel_size", "expand_ratio", *of_kinds}):
            raise ArchitectureError(f"block: no field {unknown[0]} in blocks of kind {', '.join(kinds)}")
        candidates = {field: values for field, values in candidates.items() if field in ("kind", *of_kinds)}
        for field, default in of_kinds.items():
            candidates.setdefault(field, (getattr(block, field, default),))
        for chosen in product(*candidates.values()):
            _make_block(dict(zip(candidates, chosen, strict=True)))
    yield from ((index, field, values) for field, values in candidates.items())


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Name the block in errors about it."""
    try:
        yield
    except ArchitectureError as error:
        raise ArchitectureError(f"space: {str(error).replace('block', where, 1)}") from None


def _make_block(values: Mapping[str, Any]) -> Block:
    """Return the block of these values; those that its kind does not have are passed over."""
    kind = values["kind"]
    own = [f.name for f in block_fields(block_kind(kind))]
    return make_block(kind, **{name: values[name] for name in own if name in values})


def _checked(where: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ArchitectureError(f"space: {where} has no candidate, give at least one")
    if len(set(values)) != len(values):
        raise ArchitectureError(f"space: {where} has a candidate twice: {', '.join(map(str, values))}")
    return values


def _parts(base: Architecture, choices: Sequence[Choice]) -> list[_Part]:
    """Sort the choices, which come block by block, to the blocks and to the rest; one candidate is no decision."""
    parts: list[_Part] = []
    first = 0
    stages = [number for number, blocks in enumerate(base.stages(), start=1) for _ in blocks]
    for number, stage in enumerate([*stages, 0]):
        own = {field: values for owned, field, values in choices if owned == number}
        is_block = number < len(base.blocks)
        prefix = f"blocks[{number}]." if is_block else ""
        decided = tuple([(f, Decision(prefix + f, own[f], f, stage)) for f in own if len(own[f]) > 1])
        fixed = {} if is_block else {name: getattr(base, name) for name in _REST_FIELDS}
        values = {**fixed, **{name: candidates[0] for name, candidates in own.items()}}
        parts.append(_Part(slice(first, first + len(decided)), decided, values))
        first += len(decided)
    return parts
