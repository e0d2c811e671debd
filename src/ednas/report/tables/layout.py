"""How a table of ours looks, and columns that several have."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text


def new_table(title: str) -> Table:
    """Return an empty table; a title is no markup."""
    return Table(title=Text(title, "bold"), title_justify="left", caption_justify="left", header_style="bold")


def add_columns(table: Table, *headings: str, **options: Any) -> None:
    """Add columns that are alike; the options are those of :meth:`rich.table.Table.add_column`."""
    for heading in headings:
        table.add_column(heading, **options)


def add_models(table: Table, *names: str) -> None:
    """Add a column for each model, target, ...; names are no markup."""
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
