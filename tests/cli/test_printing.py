"""What commands print: names do not act on the terminal, and what is said does not disturb the result."""

from __future__ import annotations

import json

import pytest
from rich.table import Table

from ednas.cli.printing import print_json, print_table, say


def test_names_in_tables_do_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="a\x1b[31mtitle")
    table.add_column("a\x07column")
    table.add_row("two\nlines \x1b]0;x\x07")
    print_table(table)
    printed = capsys.readouterr().out
    assert "a\\x1b[31mtitle" in printed
    assert "a\\x07column" in printed
    assert "lines \\x1b]0;x\\x07" in printed
    assert not set(printed) & {"\x1b", "\x07"}


def test_what_is_said_is_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    say("odd\x1b[2K")
    print_json({"a": 1})
    printed = capsys.readouterr()
    assert printed.err == "odd\\x1b[2K\n"
    assert json.loads(printed.out) == {"a": 1}
