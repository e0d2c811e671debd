"""What several commands share: parsing of `HxW` and `task:channels`, and printing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ednas.exceptions import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

DEFAULT_CHANNELS = {"depth": 1, "normals": 3}


def parse_size(text: str, name: str = "input size") -> tuple[int, int]:
    """Parse ``HxW`` (or ``N`` for a square) into ``(height, width)``; ``name`` says in errors what it is the size of.

    Raises:
        ConfigError: The text is not a size from 32 to 8192 pixels.
    """
    from ednas.arch.spec import MAX_INPUT_SIZE, MIN_INPUT_SIZE

    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(MIN_INPUT_SIZE <= side <= MAX_INPUT_SIZE for side in size):
        raise ConfigError(
            f"{name} '{text}': write HEIGHTxWIDTH in pixels, {MIN_INPUT_SIZE} to {MAX_INPUT_SIZE}, like 128x256"
        )
    return size


def parse_tasks(text: str) -> tuple[str, ...]:
    """Parse ``segmentation,depth`` into names.

    Raises:
        ConfigError: The list is empty or names a task twice.
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"tasks '{text}': write each task once, separated by commas, like segmentation,depth,normals")
    return names


def parse_heads(text: str) -> dict[str, int]:
    """Parse ``segmentation:19,depth,normals`` into output channels by task.

    Raises:
        ConfigError: A part is not ``task:channels``, or a task's channels are needed and missing.
    """
    heads: dict[str, int] = {}
    for part in parse_tasks(text):
        name, _, channels = part.partition(":")
        if channels and not (channels.isdigit() and 1 <= int(channels) <= 4096):
            raise ConfigError(f"tasks '{text}': '{part}' must be TASK:CHANNELS with 1 to 4096 channels")
        if not channels and name not in DEFAULT_CHANNELS:
            raise ConfigError(f"tasks '{text}': '{name}' needs its number of channels, like {name}:19")
        heads[name] = int(channels) if channels else DEFAULT_CHANNELS[name]
    return heads


def print_table(table: Table) -> None:
    """Print a table for people; into a file or a pipe at a width that cuts nothing off."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def print_json(value: Mapping[str, Any]) -> None:
    """Print a result for machines: JSON on standard output."""
    print(json.dumps(value, indent=2))
