"""Docstrings as Markdown: their sections, and the roles and literals of reStructuredText."""

from __future__ import annotations

import inspect
import re

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc|obj):`([^`]+)`")
_LITERAL = re.compile(r"``(.+?)``", flags=re.DOTALL)
_ENTRY = re.compile(r"    (\w+): (.*)")


def as_markdown(text: str) -> str:
    """Return a docstring's text as Markdown: a role is a link where its object is documented, else code."""
    return _LITERAL.sub(r"`\1`", _ROLE.sub(lambda match: _reference(match[1]), text))


def _reference(target: str) -> str:
    path = target.lstrip("~")
    shown = path.rpartition(".")[2] if target.startswith("~") else path
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'


def attributes(model: type) -> dict[str, str]:
    """Return what the docstring of a class and of its bases says of each attribute, as Markdown of one line."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        found |= _section(vars(base).get("__doc__") or "")
    return {name: as_markdown(text) for name, text in found.items()}


def _section(docstring: str) -> dict[str, str]:
    """Return the entries of a docstring's section ``Attributes``."""
    found: dict[str, str] = {}
    name = None
    _, _, section = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    for line in section.splitlines():
        if entry := _ENTRY.fullmatch(line):
            name = entry[1]
            found[name] = entry[2]
        elif line.startswith("     ") and name is not None:
            found[name] += f" {line.strip()}"
        elif line and not line.startswith(" "):
            break
    return found


def cell(text: str) -> str:
    """Return a text as one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)
