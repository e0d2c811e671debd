"""Named architectures: the base network, those that the paper prints (Tables 6 and 7), and well-known backbones."""

from __future__ import annotations

from ednas.arch.architecture import Architecture
from ednas.arch.block import Block, make_block
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

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Of EfficientNet-B0's blocks; after the stem, stages 1-7 end at strides 2, 4, 8, 16, 16, 32, 32 (Table 6)."""

_NECK = "bifpn_w64_d4 heads_l4"

_MOBILENET_V2 = f"""
    stem_c32
      ibn_k3_s1_e1_c16
    | ibn_k3_s2_e6_c24 ibn_k3_s1_e6_c24
    | ibn_k3_s2_e6_c32 ibn_k3_s1_e6_c32 ibn_k3_s1_e6_c32
    | ibn_k3_s2_e6_c64 ibn_k3_s1_e6_c64 ibn_k3_s1_e6_c64 ibn_k3_s1_e6_c64
    | ibn_k3_s1_e6_c96 ibn_k3_s1_e6_c96 ibn_k3_s1_e6_c96
    | ibn_k3_s2_e6_c160 ibn_k3_s1_e6_c160 ibn_k3_s1_e6_c160
    | ibn_k3_s1_e6_c320
    {_NECK}
"""

_MOBILENET_V4_CONV_SMALL = f"""
    stem_c32
      conv_k3_s2_c32 conv_k1_s1_c32
    | conv_k3_s2_c96 conv_k1_s1_c64
    | uib_a5_k5_s2_e3_c96 uib_a0_k3_s1_e2_c96 uib_a0_k3_s1_e2_c96 uib_a0_k3_s1_e2_c96 uib_a0_k3_s1_e2_c96
      uib_a3_k0_s1_e4_c96
    | uib_a3_k3_s2_e6_c128 uib_a5_k5_s1_e4_c128 uib_a0_k5_s1_e4_c128 uib_a0_k5_s1_e3_c128 uib_a0_k3_s1_e4_c128
      uib_a0_k3_s1_e4_c128
    | conv_k1_s1_c960
    {_NECK}
"""


def _blocks(rows: tuple[_Row, ...]) -> tuple[Block, ...]:
    return tuple(
        make_block(kind, kernel_size=kernel_size, stride=stride, expand_ratio=expand_ratio, filters=filters)
        for (kind, kernel_size, filters, expand_ratio), stride in zip(rows, _STRIDES, strict=True)
    )


def _as_counted(rows: tuple[_Row, ...]) -> tuple[_Row, ...]:
    """Return the rows with blocks 9-16 as IBN: the reading under which the paper's own counts come out."""
    head, tail = rows[:_LAST_FUSED_AS_COUNTED], rows[_LAST_FUSED_AS_COUNTED:]
    return head + tuple(("ibn", *row[1:]) for row in tail)


_ZOO: dict[str, tuple[_Row, ...] | str] = {
    "base": _BASE,
    "ednas_cityscapes": _TABLE_6,
    "ednas_cityscapes_published": _as_counted(_TABLE_6),
    "nas_depth": _TABLE_7,
    "nas_depth_published": _as_counted(_TABLE_7),
    "mobilenet_v2": _MOBILENET_V2,
    "mobilenet_v4_conv_small": _MOBILENET_V4_CONV_SMALL,
}


def names() -> tuple[str, ...]:
    """Return the names of the built-in architectures."""
    return tuple(_ZOO)


def architecture(name: str) -> Architecture:
    """Return a built-in architecture.

    ``base`` is EfficientNet-B0 for the edge (no squeeze-excite, ReLU6) with a BiFPN of 4 layers. ``ednas_cityscapes``
    and ``nas_depth`` are Tables 6 and 7 as printed; their ``_published`` variants use Fused-IBN in blocks 1-8 only,
    the reading that gives the parameters and FLOPs that the paper states (see ``docs/paper.md``). ``mobilenet_v2`` and
    ``mobilenet_v4_conv_small`` are these backbones up to their last features at stride 32, with the base's neck.

    Args:
        name: One of :func:`names`.

    Raises:
        ArchitectureError: The name is unknown; the message offers the nearest one.
    """
    if name not in _ZOO:
        raise ArchitectureError(f"unknown architecture '{name}'; {hint(name, _ZOO)}")
    found = _ZOO[name]
    return Architecture.from_text(found, name) if isinstance(found, str) else Architecture(_blocks(found), name=name)
