"""An architecture as Table 6 of the paper prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ednas.arch import Architecture
from ednas.report.blocks import block_rows
from ednas.report.labels import MISSING, show_count
from ednas.report.tables.layout import new_table, numbers

if TYPE_CHECKING:
    from ednas.hw.summary import Summary


def architecture_table(architecture: Architecture, summary: Summary | None = None) -> Table:
    """Return the architecture as Table 6 prints it; with a summary also what each part costs, and the totals.

    Args:
        architecture: The architecture.
        summary: Its counts, from :func:`ednas.hw.summary.summarise`.
    """
    fields = numbers("Stride", "Kernel", "Filters", "Expansion")
    costs = [] if summary is None else numbers("Output (h×w×c)", "Params", "MACs", "MACs %")
    table = new_table(architecture.name or architecture.fingerprint(), *numbers("Index"), "Layer", *fields, *costs)
    for row in block_rows(architecture, summary):
        cells = [Text(row.index), Text(row.layer, row.colour)]
        cells += [_integer(value) for value in (row.stride, row.kernel, row.filters, row.expansion)]
        if summary is not None:
            share = 100 * (row.macs or 0) / summary.macs
            output = "×".join(map(str, row.output or ()))
            cells += [Text(output), Text(show_count(row.params)), Text(show_count(row.macs)), Text(f"{share:.1f}")]
        table.add_row(*cells, end_section=row.index in ("0", str(len(architecture.blocks))))
    if summary is not None:
        table.add_section()
        totals = [show_count(summary.params), show_count(summary.macs), "100.0"]
        table.add_row("", "Total", *[""] * 5, *totals, style="bold")
        table.caption = (
            f"input {summary.input[0]}×{summary.input[1]}, backbone {show_count(summary.params_backbone)} parameters, "
            f"{show_count(summary.flops)} FLOPs"
        )
    return table


def _integer(value: int | None) -> Text:
    return Text(MISSING if value is None else str(value))
