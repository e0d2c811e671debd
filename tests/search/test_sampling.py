"""Networks are drawn from those that are accepted: uniformly, or such that they differ as wholes."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest
from helpers.small_training import small_architecture

from ednas.arch import Architecture, SearchSpace, SpaceConfig, load_architecture
from ednas.exceptions import TargetError
from ednas.search.sampling import draw, draw_varied

SPACE = SearchSpace(
    small_architecture(), SpaceConfig(kinds=("ibn",), kernel_sizes=(3,), multipliers=(0.5, 1.0), expand_ratios=(2,))
)


def filters(architecture: Architecture) -> dict[str, float]:
    return {"latency_ms": float(sum(block.filters for block in architecture.blocks))}


BASE = SPACE.encode(SPACE.base)
FULL = filters(SPACE.base)["latency_ms"]


@pytest.mark.parametrize("draw", [draw, draw_varied])
def test_all_drawn_are_accepted_and_different_and_depend_on_the_seed_alone(draw):
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


@pytest.mark.parametrize("draw", [draw, draw_varied])
def test_networks_that_the_device_cannot_run_are_not_drawn(draw):
    def cost(architecture):
        if architecture.blocks[3].filters == 4:
            raise TargetError("too narrow")
        return filters(architecture)

    found = draw(SPACE, cost, lambda cost: True, 30, BASE, seed=0)
    assert all(candidate.architecture.blocks[3].filters == 8 for candidate in found)


def test_varied_networks_differ_as_wholes():
    space = SearchSpace(load_architecture("base"), SpaceConfig(bifpn_widths=(64, 128)))
    start = space.encode(space.base)

    def spread(drawn, feature):
        return statistics.pstdev(feature(candidate.architecture) for candidate in drawn)

    def wide(architecture):
        return statistics.mean(
            ours.filters / theirs.filters for ours, theirs in zip(architecture.blocks, space.base.blocks, strict=True)
        )

    uniform, varied = (way(space, filters, lambda cost: True, 100, start, seed=0) for way in (draw, draw_varied))
    for feature in (
        wide,
        lambda own: sum(block.kind == "fused" for block in own.blocks),
        lambda own: sum(block.kernel_size == 5 for block in own.blocks),
        lambda own: sum(block.expand_ratio == 6 for block in own.blocks),
    ):
        assert spread(varied, feature) > 1.4 * spread(uniform, feature)
    widths = Counter(candidate.architecture.bifpn_width for candidate in varied)
    assert min(widths.values()) > 30


def test_varied_networks_may_be_of_stages_with_fewer_choices():
    stages = {2: {"kernel_sizes": [5]}, 3: {"multipliers": [0.5, 1.0]}, 4: {"kinds": ["fused"]}}
    space = SearchSpace(load_architecture("base"), SpaceConfig(stages=stages))
    drawn = draw_varied(space, filters, lambda cost: True, 50, (0,) * len(space.decisions), seed=0)
    assert len(drawn) == 50
