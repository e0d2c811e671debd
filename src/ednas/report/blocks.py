"""The rows of a block table: Table 6, with parameters and MACs where they were counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ednas.arch import Architecture, Block
from ednas.report.content import BlockRow

if TYPE_CHECKING:
    from ednas.hw.summary import BlockSummary, Summary


_COLUMNS = ("kernel_size", "stride", "expand_ratio", "filters")
"""Fields that have a column: those of the paper's blocks."""


def block_rows(architecture: Architecture, summary: Summary | None = None) -> tuple[BlockRow, ...]:
    """Return stem, blocks, the neck and the heads' lateral; with a summary also the heads, and what each costs.

    Of a network with a backbone or decoder of the user's own: the parts that the summary has.

    Args:
        architecture: The architecture.
        summary: Its counts, from :func:`ednas.hw.summary.summarise`.
    """
    if architecture.has_named_parts:
        parts = () if summary is None else summary.blocks
        return tuple(_with_costs(BlockRow("", part.text, filters=part.output[2]), part) for part in parts)
    rows = [BlockRow("0", "Conv2D", 2, 3, architecture.stem_filters)]
    rows += [_block_row(str(index), block) for index, block in enumerate(architecture.blocks, start=1)]
    rows.append(BlockRow("", f"BiFPN ×{architecture.bifpn_depth}", filters=architecture.bifpn_width))
    if architecture.head_lateral:
        rows.append(BlockRow("", f"Lateral 1/{architecture.head_lateral}", kernel=1, filters=architecture.bifpn_width))
    if summary is None:
        return tuple(rows)
    heads = summary.blocks[len(rows) :]
    rows += [BlockRow("", head.name.replace("head.", "Head: ", 1), filters=head.output[2]) for head in heads]
    return tuple(_with_costs(row, part) for row, part in zip(rows, summary.blocks, strict=True))


def _block_row(index: str, block: Block) -> BlockRow:
    """Return a block's row; what only its kind has stands beside its name, as in the text form."""
    own = [code for name, code in block.codes.items() if name not in _COLUMNS]
    values = block.values
    return BlockRow(
        index,
        " ".join([block.label, *own]),
        stride=block.stride,
        kernel=values.get("kernel_size"),
        filters=block.filters,
        expansion=values.get("expand_ratio"),
        colour=block.colour,
    )


def _with_costs(row: BlockRow, part: BlockSummary) -> BlockRow:
    return replace(row, params=part.params, macs=part.macs, output=part.output)
