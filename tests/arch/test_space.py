"""The space is the paper's by default, can be changed per stage, and its genes keep their meaning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyglove as pg
import pytest
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch import Architecture, SearchSpace, SpaceConfig, StageConfig, load_architecture, zoo
from ednas.exceptions import ArchitectureError

BASE = zoo.architecture("base")
SPACE = SearchSpace(BASE)
OUTSIDE: dict[str, Any] = {"blocks": [{"kind": "ibn"}] * 16}

genes_of_the_paper = st.tuples(*(st.integers(0, len(d.candidates) - 1) for d in SPACE.decisions))


def test_size_is_2_to_the_79() -> None:
    assert SPACE.size == 2**79
    assert len(SPACE.decisions) == 63


@settings(max_examples=examples(30))
@given(genes_of_the_paper)
def test_genes_round_trip_and_agree_with_pyglove(genes: tuple[int, ...]) -> None:
    architecture = SPACE.decode(genes)
    assert SPACE.encode(architecture) == genes
    chosen = pg.template(SPACE.to_pyglove()).decode(pg.DNA(list(genes)))
    assert SPACE.from_pyglove(chosen) == architecture


SPACES = (
    SPACE,
    SearchSpace(
        BASE,
        SpaceConfig(
            bifpn_widths=(48, 64), bifpn_depths=(1, 4), head_laterals=(0, 4), input_sizes=((64, 128), (97, 131))
        ),
    ),
    SearchSpace(BASE, SpaceConfig(kinds=("fused",), kernel_sizes=(3,), multipliers=(1.0,), bifpn_depths=(2,))),
    SearchSpace(
        replace(BASE, stem_filters=24, input_size=(96, 64)),
        SpaceConfig(
            kinds=("fused", "ibn"),
            kernel_sizes=(7, 1, 9),
            stages={
                1: StageConfig(expand_ratios=(1, 2), multipliers=(0.0625,)),
                4: StageConfig(kinds=("ibn",), kernel_sizes=(5,), multipliers=(2.0,), expand_ratios=(12,)),
                7: StageConfig(multipliers=(0.5, 4.0)),
            },
        ),
    ),
)


@pytest.mark.slow
@settings(max_examples=examples(30))
@given(st.data(), st.sampled_from(SPACES))
def test_all_spaces_agree_with_pyglove(data: st.DataObject, space: SearchSpace) -> None:
    genes = [data.draw(st.integers(0, len(decision.candidates) - 1)) for decision in space.decisions]
    architecture = space.decode(genes)
    assert space.encode(architecture) == tuple(genes)
    assert Architecture.from_text(architecture.to_text()) == architecture
    assert space.from_pyglove(pg.template(space.to_pyglove()).decode(pg.DNA(genes))) == architecture


def test_pyglove_counts_the_same_size() -> None:
    assert pg.dna_spec(SPACE.to_pyglove()).space_size == SPACE.size


@pytest.mark.slow
def test_pyglove_samples_architectures() -> None:
    algorithm = pg.evolution.regularized_evolution(population_size=4, tournament_size=2)
    best = 0.0
    for value, feedback in pg.sample(SPACE.to_pyglove(), algorithm, num_examples=20):
        architecture = SPACE.from_pyglove(value)
        reward = 1 / sum(block.filters for block in architecture.blocks)
        best = max(best, reward)
        feedback(reward)
    assert best > 0


@pytest.mark.parametrize("value", [{}, {"blocks": []}, {"blocks": [{"colour": 1}]}, {**OUTSIDE, "bifpn_width": 3}])
def test_values_that_are_none_of_the_space_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ArchitectureError):
        SPACE.from_pyglove(value)


def test_one_stage_can_be_widened() -> None:
    config = SpaceConfig(stages={3: StageConfig(kernel_sizes=(3, 5, 7))})
    space = SearchSpace(BASE, config)
    assert space.size * 4 == SPACE.size * 9  # two blocks, three kernels instead of two
    widened = [d.name for d in space.decisions if 7 in d.candidates and d.name.endswith("kernel_size")]
    assert widened == ["blocks[3].kernel_size", "blocks[4].kernel_size"]


def test_neck_and_input_size_can_be_searched() -> None:
    config = SpaceConfig(bifpn_widths=(48, 64), bifpn_depths=(3, 4), input_sizes=((64, 128), (128, 256)))
    space = SearchSpace(BASE, config)
    assert space.size == SPACE.size * 8
    architecture = space.decode([0] * len(space.decisions))
    assert (architecture.bifpn_width, architecture.bifpn_depth, architecture.input_size) == (48, 3, (64, 128))


def test_single_candidates_are_fixed_values() -> None:
    config = SpaceConfig(kinds=("fused",), kernel_sizes=(3,), multipliers=(1.0,), expand_ratios=(3, 6))
    space = SearchSpace(BASE, config)
    assert space.size == 2**15
    architecture = space.decode([0] * 15)
    assert {b.kind for b in architecture.blocks} == {"fused"}
    assert [b.expand_ratio for b in architecture.blocks] == [1] + [3] * 15


@pytest.mark.parametrize(
    ("config", "part"),
    [
        (SpaceConfig(kernel_sizes=(3, 4)), "block 1: kernel_size is 4, must be one of 1, 3, 5, 7, 9"),
        (SpaceConfig(kinds=()), "block 1: kind has no candidate"),
        (SpaceConfig(multipliers=(1.0, 1.0)), "block 1: filters has a candidate twice"),
        (SpaceConfig(multipliers=(0.0,)), "block 1: filters is 0"),
        (SpaceConfig(stages={8: StageConfig()}), "stage 8 does not exist"),
        (SpaceConfig(stages={7: StageConfig(kinds=("resnet",))}), "block 16: kind is 'resnet'"),
        (SpaceConfig(input_sizes=((16, 128),)), "height is 16"),
        (SpaceConfig(bifpn_widths=(0,)), "bifpn_width is 0"),
    ],
)
def test_wrong_choices_are_named(config: SpaceConfig, part: str) -> None:
    with pytest.raises(ArchitectureError) as error:
        SearchSpace(BASE, config)
    assert part in str(error.value)


def test_reordered_candidates_change_the_fingerprint() -> None:
    assert SearchSpace(BASE, SpaceConfig(kernel_sizes=(5, 3))).fingerprint() != SPACE.fingerprint()
    assert SearchSpace(BASE).fingerprint() == SPACE.fingerprint()


@pytest.mark.parametrize("genes", [[0], [9] * 63, [-1] + [0] * 62])
def test_genes_that_do_not_fit_are_refused(genes: list[int]) -> None:
    with pytest.raises(ArchitectureError, match="1 genes|gene 9|gene -1"):
        SPACE.decode(genes)


def test_architecture_outside_the_space_is_refused() -> None:
    blocks = [replace(block, kernel_size=7) if index == 2 else block for index, block in enumerate(BASE.blocks)]
    outside = replace(BASE, blocks=tuple(blocks))
    with pytest.raises(ArchitectureError, match=r"blocks\[2\].kernel_size is 7"):
        SPACE.encode(outside)
    with pytest.raises(ArchitectureError, match="fixed"):
        SPACE.encode(replace(BASE, bifpn_width=32))
    with pytest.raises(ArchitectureError, match="another backbone"):
        SPACE.encode(load_architecture("base backbone:mine"))
