"""Parts of a network that an architecture names: ``mine`` or ``mine(width=0.5)``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ednas.exceptions import ArchitectureError

PARTS = ("backbone", "decoder", "sharing")
"""What of a network has a name: a backbone or a decoder of a user's own, and how tasks share the backbone."""

HARD = "hard"
"""The name of one backbone for all tasks, which needs none."""

_PART = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)(\((?P<options>[^()\s]+)\))?")
_OPTION = re.compile(r"(?P<key>[A-Za-z_]\w*)=(?P<value>[^=,]+)")


class Part(NamedTuple):
    """A registered part and how it is made.

    Attributes:
        name: What it was registered as.
        options: Arguments of its factory.
    """

    name: str
    options: Mapping[str, Any]


def parse_part(text: str) -> Part:
    """Read the text form of a part; values are numbers, ``true``, ``false``, ``null``, or else texts.

    Raises:
        ArchitectureError: It is none.

    Example:
        >>> parse_part("mine(width=0.5,kind=small)")
        Part(name='mine', options={'width': 0.5, 'kind': 'small'})
    """
    match = _PART.fullmatch(text) if isinstance(text, str) else None
    pairs = [_OPTION.fullmatch(pair) for pair in (match["options"] or "").split(",") if pair] if match else []
    if match is None or not all(pairs):
        raise ArchitectureError(f"architecture: {text!r:.80} names no part; write it like mine or mine(width=0.5)")
    return Part(match["name"], {pair["key"]: _value(pair["value"]) for pair in pairs if pair})


def part_text(name: str, options: Mapping[str, Any]) -> str:
    """Return the text form of a part, which :func:`parse_part` reads.

    Example:
        >>> part_text("mine", {"width": 0.5, "kind": "small"})
        'mine(width=0.5,kind=small)'
    """
    pairs = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in options.items()]
    return f"{name}({','.join(pairs)})" if pairs else name


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
