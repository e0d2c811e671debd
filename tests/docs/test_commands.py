"""The reference of the command line: every command, every option."""

from __future__ import annotations

import pytest
import typer
from generate import commands

from ednas.cli.app import app

PAGE = commands.page()
COMMANDS = dict(commands.commands())


def test_every_command_appears() -> None:
    tree = typer.main.get_command(app)
    groups = {name: group.commands for name, group in tree.commands.items() if hasattr(group, "commands")}
    expected = [*tree.commands, *(f"{name} {word}" for name, group in groups.items() for word in group)]
    assert sorted(COMMANDS) == sorted(expected)
    for name in expected:
        assert f"\n## ednas {name}\n" in PAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_row_with_a_meaning(name: str) -> None:
    section = PAGE.partition(f"\n## ednas {name}\n")[2].partition("\n## ")[0]
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            row = next(line for line in section.splitlines() if line.startswith(f"| `{max(parameter.opts, key=len)}`"))
            assert row.rstrip(" |").endswith(".")


def test_values_and_defaults() -> None:
    assert "| `--out`, `-o` | path | `runs/demo` | The run's folder. |" in PAGE
    assert "| `--trials` | whole number ≥ 1 | `32` |" in PAGE
    assert "| `--format` | `table`, `latex`, `markdown`, `csv`, `json` | `table` |" in PAGE
    assert "| `--baseline`, `-b` | path | required |" in PAGE
    assert "| `--alpha` | number ≥ 0, ≤ 1 | `0.6` |" in PAGE


def test_examples_are_blocks_of_one_line_each() -> None:
    section = PAGE.partition("\n## ednas search\n")[2]
    block = section.partition("```console\n")[2].partition("```")[0]
    assert [line.startswith("ednas ") for line in block.splitlines()] == [True] * 8
    assert "[bold]" not in PAGE
