"""Named architectures: the base network and those that the paper prints (Tables 6 and 7)."""

from __future__ import annotations

from ednas.arch.architecture import BLOCK_STRIDES, Architecture
from ednas.arch.block import Block
from ednas.exceptions import ArchitectureError, hint

_Row = tuple[str, int, int, int]  # kind, kernel_size, filters, expand_ratio: a row of Table 6

_BASE: tuple[_Row, ...] = (
    ("ibn", 3, 16, 1),
    ("ibn", 3, 24, 6), ("ibn", 3, 24, 6),
    ("ibn", 5, 40, 6), ("ibn", 5, 40, 6),
    ("ibn", 3, 80, 6), ("ibn", 3, 80, 6), ("ibn", 3, 80, 6),
    ("ibn", 5, 112, 6), ("ibn", 5, 112, 6), ("ibn", 5, 112, 6),
    ("ibn", 5, 192, 6), ("ibn", 5, 192, 6), ("ibn", 5, 192, 6), ("ibn", 5, 192, 6),
    ("ibn", 3, 320, 6),
)  # fmt: skip
"""EfficientNet-B0's blocks, without squeeze-excite."""

_TABLE_6: tuple[_Row, ...] = (
    ("fused", 3, 16, 1), ("ibn", 5, 36, 6), ("fused", 5, 24, 6), ("fused", 3, 60, 6),
    ("fused", 3, 40, 3), ("fused", 5, 120, 3), ("ibn", 3, 120, 3), ("fused", 5, 80, 6),
    ("fused", 5, 168, 6), ("fused", 5, 84, 3), ("fused", 5, 84, 6), ("fused", 5, 288, 3),
    ("fused", 3, 96, 3), ("fused", 3, 96, 6), ("fused", 3, 96, 3), ("fused", 5, 160, 6),
)  # fmt: skip

_TABLE_7: tuple[_Row, ...] = (
    ("fused", 3, 24, 1), ("ibn", 3, 36, 6), ("ibn", 3, 36, 6), ("fused", 5, 40, 6),
    ("fused", 5, 40, 3), ("ibn", 3, 80, 6), ("fused", 3, 120, 3), ("fused", 3, 80, 6),
    ("fused", 3, 168, 3), ("fused", 3, 56, 6), ("fused", 3, 112, 3), ("fused", 5, 192, 6),
    ("fused", 3, 192, 6), ("ibn", 5, 192, 3), ("ibn", 5, 192, 3), ("fused", 5, 240, 3),
)  # fmt: skip

_LAST_FUSED_AS_COUNTED = 8


def _blocks(rows: tuple[_Row, ...]) -> tuple[Block, ...]:
    return tuple(
        Block(kind=kind, kernel_size=kernel_size, stride=stride, expand_ratio=expand_ratio, filters=filters)
        for (kind, kernel_size, filters, expand_ratio), stride in zip(rows, BLOCK_STRIDES, strict=True)
    )


def _as_counted(rows: tuple[_Row, ...]) -> tuple[_Row, ...]:
    """Return the rows with blocks 9-16 as IBN: the reading under which the paper's own counts come out."""
    head, tail = rows[:_LAST_FUSED_AS_COUNTED], rows[_LAST_FUSED_AS_COUNTED:]
    return head + tuple(("ibn", *row[1:]) for row in tail)


_ZOO: dict[str, tuple[_Row, ...]] = {
    "base": _BASE,
    "ednas_cityscapes": _TABLE_6,
    "ednas_cityscapes_published": _as_counted(_TABLE_6),
    "nas_depth": _TABLE_7,
    "nas_depth_published": _as_counted(_TABLE_7),
}


def names() -> tuple[str, ...]:
    """Return the names of the built-in architectures."""
    return tuple(_ZOO)


def architecture(name: str) -> Architecture:
    """Return a built-in architecture.

    ``base`` is EfficientNet-B0 for the edge (no squeeze-excite, ReLU6) with a BiFPN of 4 layers. ``ednas_cityscapes``
    and ``nas_depth`` are Tables 6 and 7 as printed; their ``_published`` variants use Fused-IBN in blocks 1-8 only,
    the reading that gives the parameters and FLOPs that the paper states (see ``docs/paper.md``).

    Args:
        name: One of :func:`names`.

    Raises:
        ArchitectureError: The name is unknown; the message offers the nearest one.
    """
    if name not in _ZOO:
        raise ArchitectureError(f"unknown architecture '{name}'; {hint(name, _ZOO)}")
    return Architecture(blocks=_blocks(_ZOO[name]), name=name)
