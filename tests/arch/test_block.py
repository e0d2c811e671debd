"""Blocks as values: text, fields, registration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.strategies import blocks_of
from hypothesis import given
from hypothesis import strategies as st

from ednas import load_plugin
from ednas.arch import Architecture, Block, make_block, register_kind, zoo
from ednas.arch.block import block_kind, number
from ednas.exceptions import ArchitectureError, ConfigError

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_block.py"


def test_kinds_are_registered_once_and_whole():
    load_plugin(EXAMPLE)  # a notebook's cell may run twice
    assert block_kind("sep").title == "Separable convolution"

    @dataclass(frozen=True)
    class Another(block_kind("conv")):
        pass

    with pytest.raises(ConfigError, match="'conv' exists already"):
        register_kind(Another)

    @dataclass(frozen=True)
    class Wrong(Block):
        kind = "wrong"
        stride: int = number("s", (1, 2), 1, "stride")

    with pytest.raises(ConfigError, match="has no field filters"):
        register_kind(Wrong)
    Wrong.kind = "No 1"
    with pytest.raises(ConfigError, match="lower-case letters"):
        register_kind(Wrong)


def test_unknown_kinds_and_fields_are_named():
    with pytest.raises(ArchitectureError, match="kind is 'ibm', must be one of conv, fused, ibn, uib"):
        make_block("ibm")
    with pytest.raises(ArchitectureError, match="'conv' has no expand_ratio"):
        make_block("conv", expand_ratio=3)


@given(st.sampled_from((1, 2)).flatmap(blocks_of))
def test_block_texts_are_parsed_back(block: Block) -> None:
    assert Block.from_text(str(block)) == block


def test_block_text() -> None:
    block = make_block("ibn", kernel_size=5, stride=2, expand_ratio=6, filters=36)
    assert str(block) == "ibn_k5_s2_e6_c36"
    assert Block.from_text("ibn_k5_s2_e6_c36") == block


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("ibn_k4_s1_e1_c8", "kernel_size is 4, must be one of 1, 3, 5, 7, 9"),
        ("mbconv_k3_s1_e1_c8", "kind is 'mbconv', must be one of conv, fused, ibn, uib"),
        ("ibn_k3_s3_e1_c8", "stride is 3, must be one of 1, 2"),
        ("ibn_k3_s1_e0_c8", "expand_ratio is 0, must be an integer from 1 to 12"),
        ("ibn_k3_s1_e1_c0", "filters is 0, must be an integer from 1 to 4096"),
        ("ibn_k3", "no block of kind 'ibn'; write it like ibn_k3_s1_e6_c16"),
        ("ibn", "write it like ibn_k5_s2_e6_c36"),
        ("uib_a0_k0_s2_e4_c8", "kernel_size and start_kernel_size are 0"),
    ],
)
def test_wrong_block_is_named_with_what_is_allowed(text: str, part: str) -> None:
    value = zoo.architecture("base").to_dict()
    value["blocks"][3] = text
    with pytest.raises(ArchitectureError) as error:
        Architecture.from_dict(value)
    assert part in str(error.value)
    assert "block 4" in str(error.value)
