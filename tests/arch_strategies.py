"""Random blocks, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ednas.arch import Block, make_block
from ednas.arch.block import block_fields, block_kind, block_kinds
from ednas.exceptions import ArchitectureError


def blocks_of(stride: int, filters: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Block]:
    """Blocks of any kind with this stride."""
    return st.sampled_from(block_kinds()).flatmap(lambda kind: blocks_of_kind(kind, stride, filters))


def blocks_of_kind(kind: str, stride: int, filters: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Block]:
    values: dict[str, Any] = {f.name: st.sampled_from(f.allowed) for f in block_fields(block_kind(kind))}
    values["stride"] = st.just(stride)
    if filters is not None:
        values["filters"] = filters
    return (
        st.fixed_dictionaries(values).filter(lambda chosen: is_block(kind, chosen)).map(lambda v: make_block(kind, **v))
    )


def is_block(kind: str, values: dict[str, int]) -> bool:
    try:
        make_block(kind, **values)
    except ArchitectureError:
        return False
    return True
