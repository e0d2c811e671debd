from __future__ import annotations

from helpers.reports import rows, show

from ednas.report.tables.layout import new_table, numbers, per_model


def test_titles_and_names_are_no_markup() -> None:
    table = new_table("[red]title", *numbers("a", "b"), *per_model("[bold]x[/bold]"))
    table.add_row("1", "22", "333")
    text = show(table)
    assert "[red]title" in text
    assert "[bold]x[/bold]" in text
    assert rows(text) == [["1", "22", "333"]]
    assert [column.justify for column in table.columns] == ["right"] * 3
