"""Architectures are immutable data with three forms that agree, and wrong values are named."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from helpers.strategies import blocks_of
from hypothesis import given
from hypothesis import strategies as st

from ednas.arch import Architecture, Block, InvertedBottleneck, zoo
from ednas.exceptions import ArchitectureError

BASE_STRIDES = tuple(block.stride for block in zoo.architecture("base").blocks)
blocks = st.tuples(*(blocks_of(stride) for stride in BASE_STRIDES))
sizes = st.none() | st.tuples(st.integers(32, 8192), st.integers(32, 8192))
layouts = st.lists(st.lists(st.just(1), max_size=2), min_size=5, max_size=5).flatmap(
    lambda more: st.tuples(
        st.just(tuple(len(stage) + 1 for stage in more)),
        st.tuples(
            *(blocks_of(2 if n == 0 and s else 1) for s, stage in enumerate(more) for n in range(len(stage) + 1))
        ),
    )
)
"""Five stages of one to three blocks, each but the first at half the resolution of the one before."""

architectures = st.builds(
    Architecture,
    blocks=blocks,
    stem_filters=st.integers(1, 1024),
    bifpn_width=st.integers(1, 1024),
    bifpn_depth=st.integers(1, 16),
    head_lateral=st.sampled_from((0, 4)),
    input_size=sizes,
)


@given(architectures)
def test_text_and_json_round_trip(architecture: Architecture) -> None:
    assert Architecture.from_text(architecture.to_text()) == architecture
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


@given(layouts)
def test_other_stages_round_trip(layout: tuple[tuple[int, ...], tuple[Block, ...]]) -> None:
    depths, blocks = layout
    architecture = Architecture(blocks, stage_depths=depths)
    assert Architecture.from_text(architecture.to_text()) == architecture
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture
    assert [len(stage) for stage in architecture.stages()] == list(depths)
    assert architecture.stage_strides == (2, 4, 8, 16, 32)
    assert architecture.feature_stages == (1, 2, 3, 4)


def test_features_of_the_base_are_those_of_the_paper() -> None:
    base = zoo.architecture("base")
    assert base.stage_strides == (2, 4, 8, 16, 16, 32, 32)
    assert base.feature_stages == (1, 2, 4, 6)
    assert base.feature_blocks == (3, 5, 11, 16)


@given(architectures, architectures)
def test_fingerprints_differ_exactly_when_texts_do(a: Architecture, b: Architecture) -> None:
    assert (a.fingerprint() == b.fingerprint()) == (a.to_text() == b.to_text())


def test_fingerprint_ignores_the_name_and_is_the_same_in_another_process() -> None:
    base = zoo.architecture("base")
    assert replace(base, name="other").fingerprint() == base.fingerprint()
    code = "from ednas.arch import zoo; print(zoo.architecture('base').fingerprint())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == base.fingerprint()


def test_fingerprints_stay_what_stored_searches_hold() -> None:
    base = zoo.architecture("base")
    assert base.fingerprint() == "61f45eefc6d1b797"
    assert replace(base, input_size=(64, 128)).fingerprint() == "013b36f6d900d5f8"


def test_features_must_come_at_four_strides_and_at_ends_of_stages() -> None:
    value = zoo.architecture("base").to_dict()
    value["blocks"][1] = "ibn_k3_s1_e6_c24"
    with pytest.raises(ArchitectureError, match=r"3 blocks have stride 2 \(4, 6, 12\), must be 4"):
        Architecture.from_dict(value)
    value["blocks"][2] = "ibn_k3_s2_e6_c24"
    with pytest.raises(ArchitectureError, match="block 3: stride is 2 within a stage"):
        Architecture.from_dict(value)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"blocks": None}, "'blocks' must be a list"),
        ({"blocks": []}, "0 blocks, must be 16"),
        ({"blocks": ["ibn_k3_s1_e1_c8"] * 17}, "17 blocks, must be 16 in stages of 1, 2, 2, 3, 3, 4, 1"),
        ({"stage_depths": [16, 0]}, "must be of one block or more"),
        ({"stage_depths": "16"}, "must be a list of numbers"),
        ({"stem_filters": 0}, "stem_filters is 0"),
        ({"stem_filters": "x"}, "stem_filters"),
        ({"bifpn_depth": 99}, "bifpn_depth is 99"),
        ({"head_lateral": 8}, "head_lateral is 8, must be one of 0, 4"),
        ({"input_size": [1, 2]}, "height is 1, must be from 32"),
        ({"input_size": "64x64"}, "must be [height, width]"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"format": 2}, "reads format 1"),
    ],
)
def test_wrong_architecture_is_named(change: dict[str, object], part: str) -> None:
    with pytest.raises(ArchitectureError) as error:
        Architecture.from_dict({**zoo.architecture("base").to_dict(), **change})
    assert part in str(error.value)
    assert "\n" not in str(error.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=17) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
keys = st.sampled_from(
    [
        "format",
        "name",
        "stem_filters",
        "blocks",
        "stage_depths",
        "bifpn_width",
        "bifpn_depth",
        "head_lateral",
        "input_size",
    ]
)


@given(json_values | st.dictionaries(keys, json_values))
def test_random_json_is_an_architecture_or_one_clear_error(value: object) -> None:
    try:
        Architecture.from_dict(value)
    except ArchitectureError as error:
        assert "\n" not in str(error)


@given(st.text(max_size=300) | st.integers(0, 300).map(lambda n: zoo.architecture("base").to_text()[:n]))
def test_random_text_is_an_architecture_or_one_clear_error(text: str) -> None:
    try:
        Architecture.from_text(text)
    except ArchitectureError as error:
        assert "\n" not in str(error)


def test_architectures_are_immutable() -> None:
    base = zoo.architecture("base")
    with pytest.raises(FrozenInstanceError):
        base.bifpn_width = 3  # type: ignore[misc]
    changed = replace(base, blocks=[replace(base.blocks[0], filters=24), *base.blocks[1:]])
    assert changed.to_text() == base.to_text().replace("ibn_k3_s1_e1_c16", "ibn_k3_s1_e1_c24")
    assert hash(replace(base, name="other")) == hash(base)


@pytest.mark.parametrize("value", [3.0, True, "3", None, [3]])
def test_fields_are_typed(value: Any) -> None:
    with pytest.raises(ArchitectureError, match="kernel_size is"):
        InvertedBottleneck(kernel_size=value)
    with pytest.raises(ArchitectureError, match="bifpn_depth is"):
        replace(zoo.architecture("base"), bifpn_depth=value)
    with pytest.raises(ArchitectureError, match="block 1: .*must be a Block"):
        Architecture(blocks=[value] * 16)
    if value != "3":
        for field in ("name", "backbone"):
            with pytest.raises(ArchitectureError):
                replace(zoo.architecture("base"), **{field: value})
