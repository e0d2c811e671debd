"""How a table of ours looks, and columns that several have."""

from __future__ import annotations

from rich.table import Column, Table
from rich.text import Text


def new_table(title: str, *columns: str | Column) -> Table:
    """Return an empty table; a title is no markup."""
    return Table(*columns, title=Text(title, "bold"), title_justify="left", caption_justify="left", header_style="bold")


def numbers(*headings: str) -> list[Column]:
    """Return columns of numbers."""
    return [Column(heading, justify="right") for heading in headings]


def names(*headings: str) -> list[Column]:
    """Return columns of names, which may be long."""
    return [Column(heading, overflow="fold") for heading in headings]


def per_model(*names: str) -> list[Column]:
    """Return a column of numbers for each model, target, ...; names are no markup."""
    return [Column(Text(name), justify="right", overflow="fold") for name in names]
