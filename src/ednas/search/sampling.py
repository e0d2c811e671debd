"""Networks drawn uniformly from those of a space that cost what they should, however rare these are."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ednas.arch import Architecture, SearchSpace
from ednas.arch.space import Genes
from ednas.exceptions import EdnasError
from ednas.search.objective import CostModel

PATIENCE = 100
"""Draws in a row without a network that was not drawn before, after which there are no more of them."""


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
    sweeps: int = 5,
) -> list[Candidate]:
    """Draw different networks whose costs are accepted.

    A walk that changes one decision at a time and turns back where the cost is not accepted (Metropolis et al., 1953)
    visits each network that it can reach equally often. Drawing and refusing would do the same, but where one network
    in a thousand is cheap enough it takes a thousand times as long.

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
    rng = random.Random(seed)
    mutable = [index for index, decision in enumerate(space.decisions) if len(decision.candidates) > 1]
    here = Candidate(tuple(start), space.decode(start), cost(space.decode(start)))
    found: dict[str, Candidate] = {}
    idle = 0
    while len(found) < count and idle < PATIENCE:
        for _ in range(sweeps * len(mutable)):
            genes = list(here.genes)
            index = rng.choice(mutable)
            size = len(space.decisions[index].candidates)
            genes[index] = (genes[index] + rng.randrange(1, size)) % size
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
