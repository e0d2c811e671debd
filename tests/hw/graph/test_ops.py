"""The vocabulary is TFLite's, and every operator is in the group that tells how it is computed."""

from __future__ import annotations

from itertools import combinations

from tflite.utils import BUILTIN_OPCODE2NAME

from ednas.hw.graph import ops
from ednas.hw.tflite import schema

GROUPS = {
    "convolutions": ops.CONVOLUTIONS,
    "pools": ops.POOLS,
    "reductions": ops.REDUCTIONS,
    "resizes": ops.RESIZES - ops.MOVES,
    "reshapes": ops.RESHAPES,
    "moves": ops.MOVES,
    "elementwise": ops.ELEMENTWISE,
    "irregular": ops.IRREGULAR,
}


def test_numbers_are_those_of_the_schema() -> None:
    assert dict(enumerate(schema.CODES[: len(BUILTIN_OPCODE2NAME)])) == BUILTIN_OPCODE2NAME
    assert len(set(schema.CODES)) == len(schema.CODES)


def test_every_operator_is_in_one_group() -> None:
    assert set(schema.CODES) - ops.BUILTIN == {"CUSTOM", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
    assert frozenset().union(*GROUPS.values()) == ops.BUILTIN
    assert [pair for pair in combinations(GROUPS, 2) if GROUPS[pair[0]] & GROUPS[pair[1]]] == []
    assert ops.RECURRENT < ops.CONVOLUTIONS


def test_custom_operators_are_known_by_their_prefix() -> None:
    assert ops.is_known("CUSTOM:PosenetDecoderOp")
    assert not ops.is_known("CUSTOM:")
    assert not ops.is_known("CUSTOM")
    assert not ops.is_known("CONV2D")
