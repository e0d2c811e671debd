"""What several commands share: options, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.cli.printing import say
from ednas.exceptions import ConfigError

if TYPE_CHECKING:
    from ednas.training import Tiling

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]
ModelPath = Annotated[
    Path,
    typer.Argument(
        help="A checkpoint folder, or an exported model: a .tflite or .onnx file, or one of a plugin's format."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps; exported models run on the CPU.")]
Tile = Annotated[
    str | None,
    typer.Option(
        help="HEIGHTxWIDTH, or auto (the model's input size): do not resize images to the model's input size, predict "
        "them in overlapping tiles and blend these."
    ),
]
Overlap = Annotated[
    float | None, typer.Option(help="Share of a tile that the next tile also covers, 0 to 0.9; default: 0.25.")
]
DataOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--data-option",
        help="NAME=VALUE: an option of the dataset's format, like num_classes=7 or size=[128,256]; can be repeated. "
        "On the dataset that a model was trained on, its own options are used unless they are given here.",
    ),
]


Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        help="A Python file or module with tasks, losses, kinds of block, backbones, decoders, data or export formats, "
        "sources or controllers of your own; its code is run; can be repeated.",
    ),
]

AllowPlugins = Annotated[
    bool,
    typer.Option("--allow-plugins", help="Also run a plugin that is in a run's folder; look at its code first."),
]


class TableFormat(StrEnum):
    """How a table is printed: for people, for a paper, for a text file, for a spreadsheet, for programs."""

    TABLE = "table"
    LATEX = "latex"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


def check_new_file(path: Path, force: bool) -> None:
    """Refuse a file that is there already, unless forced, or cannot be written, before anything is computed for it.

    Raises:
        ConfigError: It must not or cannot be written.
    """
    from ednas.files import require_writable

    if path.exists() and not force:
        raise ConfigError(f"{path}: exists already; choose another file, or overwrite it with --force")
    require_writable(path, ConfigError)


def run_plugins(plugins: Iterable[str] | None, allowed: bool = True) -> None:
    """Run the code of plugins, and say so before; see :func:`ednas.plugins.load_plugins`."""
    from ednas.plugins import load_plugins

    load_plugins(plugins or (), allowed=allowed, announce=say)


def parse_data_options(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse the options of a dataset's format; see :func:`parse_values`."""
    return parse_values(texts, "data option", "num_classes=7")


def parse_values(texts: Sequence[str] | None, what: str, example: str) -> dict[str, Any]:
    """Parse texts like ``num_classes=7`` into names and values, which are written as in YAML.

    Args:
        texts: The texts.
        what: What they are, for errors.
        example: A right one, for errors.

    Raises:
        ConfigError: A text is not ``NAME=VALUE``, or a name comes twice.
    """
    import yaml

    values: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value) or name in values:
            raise ConfigError(f"{what} '{text}': write each option once, NAME=VALUE, like {example}")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"{what} '{text}': the value cannot be read; write it as in YAML") from None
    return values


def parse_size(text: str, name: str = "input size") -> tuple[int, int]:
    """Parse ``HxW`` (or ``N`` for a square) into ``(height, width)``; ``name`` says in errors what it is the size of.

    Raises:
        ConfigError: The text is not a size from 32 to 8192 pixels.
    """
    from ednas.arch.architecture import MAX_INPUT_SIZE, MIN_INPUT_SIZE

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
    from ednas.tasks import task_channels, task_names

    heads: dict[str, int] = {}
    for part in parse_tasks(text):
        name, _, channels = part.partition(":")
        if channels and not (channels.isdigit() and 1 <= int(channels) <= 4096):
            raise ConfigError(f"tasks '{text}': '{part}' must be TASK:CHANNELS with 1 to 4096 channels")
        own = None if channels or name not in task_names() else task_channels(name)
        if not channels and own is None:
            raise ConfigError(f"tasks '{text}': '{name}' needs its number of channels, like {name}:19")
        heads[name] = own or int(channels)
    return heads


def parse_limits(texts: Sequence[str]) -> dict[str, str]:
    """Parse ``energy_mj=1.2`` into names and values; what they may be is the configuration's matter.

    Raises:
        ConfigError: A text is not ``QUANTITY=VALUE``, or a quantity comes twice.
    """
    limits: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value) or name in limits:
            raise ConfigError(f"limit '{text}': write each quantity once, QUANTITY=VALUE, like energy_mj=1.2")
        limits[name] = value
    return limits


def parse_tiling(tile: str | None, overlap: float | None, input_size: tuple[int, int]) -> Tiling | None:
    """Read ``--tile`` and ``--overlap``.

    Raises:
        ConfigError: One is wrong, or an overlap is given without tiles.
    """
    from ednas.training.tiles import DEFAULT_OVERLAP, Tiling

    if tile is None:
        if overlap is not None:
            raise ConfigError("--overlap: is that of tiles; give --tile too")
        return None
    size = input_size if tile == "auto" else parse_size(tile, "tile")
    return Tiling(size, DEFAULT_OVERLAP if overlap is None else overlap)
