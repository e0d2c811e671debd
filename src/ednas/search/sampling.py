"""Networks drawn from those of a space that cost what they should, however rare these are: uniformly, or far apart."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ednas.arch import Architecture, SearchSpace
from ednas.arch.space import Genes
from ednas.exceptions import EdnasError
from ednas.search.objective import CostModel

PATIENCE = 100
"""Draws in a row without a network that was not drawn before, after which there are no more of them."""

SWEEPS = 5
"""Changes between two draws, as a multiple of what is chosen."""


@dataclass(frozen=True)
class Candidate:
    """A network of a space and its costs.

    Attributes:
        genes: Where it is in the space.
        architecture: The network.
        cost: Quantities by name.
    """

    genes: Genes
    architecture: Architecture
    cost: Mapping[str, float]


def draw(
    space: SearchSpace,
    cost: CostModel,
    accept: Callable[[Mapping[str, float]], bool],
    count: int,
    start: Genes,
    seed: int,
    sweeps: int = SWEEPS,
) -> list[Candidate]:
    """Draw different networks whose costs are accepted, each as often as any other.

    Args:
        space: The space.
        cost: What a network costs; one that it refuses is not accepted.
        accept: Whether the costs are as wanted.
        count: How many networks to draw.
        start: Where to begin; accepted.
        seed: Of the walk.
        sweeps: Changes between two draws, as a multiple of the decisions; with few, networks that follow one another
            are alike.

    Returns:
        ``count`` networks, or fewer where there are no more.
    """
    alone = [(index,) for index in range(len(space.decisions))]
    return _walk(space, cost, accept, count, start, random.Random(seed), lambda: alone, sweeps)


def draw_varied(
    space: SearchSpace,
    cost: CostModel,
    accept: Callable[[Mapping[str, float]], bool],
    count: int,
    start: Genes,
    seed: int,
) -> list[Candidate]:
    """Draw different networks whose costs are accepted, and that differ as wholes; arguments are those of :func:`draw`.

    Where every block decides for itself, all networks are alike as wholes: about half of the blocks are of either kind,
    the kernels are 4 wide on average. A network with wide early stages, or with little expansion everywhere, is hardly
    ever among them. Here each network has its own rule for each field: one choice for all blocks, one for each stage,
    or one for each block.
    """
    rng = random.Random(seed)
    return _walk(space, cost, accept, count, start, rng, lambda: _tie(space, rng), SWEEPS)


def _tie(space: SearchSpace, rng: random.Random) -> list[tuple[int, ...]]:
    """Return which decisions are taken together, by index."""
    fields = dict.fromkeys(decision.field for decision in space.decisions)
    ties = {field: rng.choice(("network", "stage", "block")) for field in fields}
    tied: dict[tuple[str, int], list[int]] = {}
    for index, decision in enumerate(space.decisions):
        place = {"network": 0, "stage": decision.stage, "block": index}[ties[decision.field]]
        tied.setdefault((decision.field, place), []).append(index)
    return [tuple(group) for group in tied.values()]


def _walk(
    space: SearchSpace,
    cost: CostModel,
    accept: Callable[[Mapping[str, float]], bool],
    count: int,
    start: Genes,
    rng: random.Random,
    choices: Callable[[], Sequence[tuple[int, ...]]],
    sweeps: int,
) -> list[Candidate]:
    """Return different networks that a walk visits; ``choices`` says before each which decisions are taken together.

    It takes one choice anew at a time and turns back where the cost is not accepted (Metropolis et al., 1953). If each
    choice is one decision, it visits each network that it can reach equally often. Drawing and refusing would do the
    same, but where one network in a thousand is cheap enough it takes a thousand times as long.
    """
    here = Candidate(tuple(start), space.decode(start), cost(space.decode(start)))
    found: dict[str, Candidate] = {}
    idle = 0
    while len(found) < count and idle < PATIENCE:
        groups = choices()
        for _ in range(sweeps * len(groups)):
            genes = list(here.genes)
            group = rng.choice(groups)
            size = len(space.decisions[group[0]].candidates)
            gene = (genes[group[0]] + rng.randrange(1, size)) % size
            for index in group:  # a stage may have fewer candidates: at the same place among them
                genes[index] = gene * len(space.decisions[index].candidates) // size
            architecture = space.decode(genes)
            try:
                costs = cost(architecture)
            except EdnasError:
                continue
            if accept(costs):
                here = Candidate(tuple(genes), architecture, costs)
        idle = idle + 1 if here.architecture.to_text() in found else 0
        found.setdefault(here.architecture.to_text(), here)
    return list(found.values())
