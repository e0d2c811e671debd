"""Networks are drawn uniformly from those that are accepted."""

from __future__ import annotations

from collections import Counter

from helpers.small_training import small_architecture

from ednas.arch import Architecture, SearchSpace, SpaceConfig
from ednas.exceptions import TargetError
from ednas.search.sampling import draw

SPACE = SearchSpace(
    small_architecture(), SpaceConfig(kinds=("ibn",), kernel_sizes=(3,), multipliers=(0.5, 1.0), expand_ratios=(2,))
)


def filters(architecture: Architecture) -> dict[str, float]:
    return {"latency_ms": float(sum(block.filters for block in architecture.blocks))}


BASE = SPACE.encode(SPACE.base)
FULL = filters(SPACE.base)["latency_ms"]


def test_all_drawn_are_accepted_and_different_and_depend_on_the_seed_alone():
    def accept(cost):
        return cost["latency_ms"] <= 0.8 * FULL

    start = tuple(0 for _ in BASE)
    found = draw(SPACE, filters, accept, 40, start, seed=1)
    assert len({candidate.architecture.to_text() for candidate in found}) == 40
    for candidate in found:
        assert candidate.cost == filters(candidate.architecture)
        assert accept(candidate.cost)
        assert SPACE.decode(candidate.genes) == candidate.architecture
    assert found == draw(SPACE, filters, accept, 40, start, seed=1)
    assert found != draw(SPACE, filters, accept, 40, start, seed=2)


def test_each_accepted_network_comes_as_often_as_any_other():
    """With one narrow block allowed, 17 networks are left: each is as likely to be the first that is drawn."""

    def accept(cost):
        return cost["latency_ms"] >= FULL - 4

    counts = Counter(draw(SPACE, filters, accept, 1, BASE, seed)[0].genes for seed in range(850))
    assert len(counts) == 17
    assert min(counts.values()) > 25  # 50 are expected
    assert max(counts.values()) < 80


def test_there_are_no_more_than_there_are():
    assert len(draw(SPACE, filters, lambda cost: cost["latency_ms"] >= FULL - 4, 100, BASE, seed=0)) == 17


def test_networks_that_the_device_cannot_run_are_not_drawn():
    def cost(architecture):
        if architecture.blocks[3].filters == 4:
            raise TargetError("too narrow")
        return filters(architecture)

    found = draw(SPACE, cost, lambda cost: True, 30, BASE, seed=0)
    assert all(candidate.architecture.blocks[3].filters == 8 for candidate in found)
