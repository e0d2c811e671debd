"""Every command with its arguments and options, from the help of the command line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from ednas.cli.app import app
from generate.text import table

_BOLD = re.compile(r"\[bold\](.*?)\[/bold\]")

INTRODUCTION = """\
# Command line

Every command has `--help` with examples, and `--json` where it prints a result. Exit codes: 0 = done, 2 = wrong input
(one line says what), 1 = an error in ednas, 130 = Ctrl-C. `ednas export` ends with 3 if the model fails its check.
"""


def page() -> str:
    """Return the page of all commands as Markdown."""
    return "\n".join([INTRODUCTION, *(_describe(name, command) for name, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Yield all commands with their names, as ``data check``; those of a group after the group."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if name:
            yield name, command
        for word, inner in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {word}".strip(), inner)

    yield from walk("", typer.main.get_command(app))


def _describe(name: str, command: Any) -> str:
    hints = get_type_hints(command.callback, include_extras=True) if command.callback else {}
    parameters = [parameter for parameter in command.params if parameter.name in hints]
    parts = [f"## ednas {name}", *_help(command.help or "")]
    arguments = [_argument(one) for one in parameters if one.param_type_name == "argument"]
    if arguments:
        parts.append(table(("Argument", "Default", "Meaning"), arguments))
    options = [_option(one, hints[one.name]) for one in parameters if one.param_type_name == "option"]
    if options:
        parts.append(table(("Option", "Value", "Default", "Meaning"), options))
    return "\n\n".join(parts) + "\n"


def _help(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; successive commands are one block of code."""
    examples: list[str] = []
    for paragraph in [*re.split(r"\n\s*\n", inspect.cleandoc(text)), ""]:
        line = " ".join(paragraph.split())
        if line.startswith("ednas "):
            examples.append(line)
            continue
        if examples:
            yield "```console\n" + "\n".join(examples) + "\n```"
            examples.clear()
        if line:
            yield _BOLD.sub(r"**\1**", _text(line))


def _text(text: str) -> str:
    """Return plain text as Markdown."""
    return text.replace("*", "\\*")


def _argument(parameter: Any) -> tuple[str, ...]:
    name = parameter.metavar or parameter.name.upper()
    repeated = "" if parameter.nargs == 1 or name.endswith("...") else "..."
    return f"`{name}{repeated}`", _default(parameter), _text(parameter.help or "")


def _option(parameter: Any, hint: Any) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len, reverse=True))
    return names, _value(hint), _default(parameter), _text(parameter.help or "")


_TYPES = {str: "text", int: "whole number", float: "number", Path: "path"}


def _value(hint: Any) -> str:
    """Return what an option takes, from its annotation; nothing for a switch."""
    kinds = list(_types(hint))
    if choices := next((kind for kind in kinds if issubclass(kind, Enum)), None):
        return ", ".join(f"`{choice.value}`" for choice in choices)
    word = next((_TYPES[kind] for kind in kinds if kind in _TYPES), "")
    signs = (("≥", "min"), ("≤", "max"))
    limits = [(sign, getattr(one, bound)) for one in hint.__metadata__ for sign, bound in signs]
    return " ".join([word, ", ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)]).strip()


def _types(hint: Any) -> Iterator[type]:
    """Yield the classes that an annotation mentions."""
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for argument in get_args(hint):
        yield from _types(argument)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or value == []:
        return ""
    return f"`{getattr(value, 'value', value)}`"
