"""What several commands share: parsing of `HxW` and `task:channels`, and printing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.exceptions import ConfigError, one_line
from ednas.files import exists

if TYPE_CHECKING:
    from rich.table import Table

DEFAULT_CHANNELS = {"depth": 1, "normals": 3}

_OF_A_RUN = ("study.db", "model.safetensors", "state.safetensors", "checkpoint/model.safetensors")
"""Files that make a folder a run's."""


DataOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--data-option",
        help="NAME=VALUE: an option of the dataset's format, like num_classes=7 or size=[128,256]; can be repeated. "
        "What a model was trained with is used on the same dataset unless it is given here.",
    ),
]


Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        help="A Python file or module with tasks, losses, backbones, decoders, data or export formats or controllers "
        "of your own, whose code is run; can be repeated.",
    ),
]

AllowPlugins = Annotated[
    bool,
    typer.Option("--allow-plugins", help="Run also a plugin that lies in a run's folder; look at its code before."),
]


def load_plugins(plugins: object, allowed: bool = True) -> None:
    """Run the code of plugins, and say so before, on standard error.

    Args:
        plugins: Files or modules; what is no list of texts is left to be refused with the rest of a configuration.
        allowed: Whether they may lie in a run's folder, which may come from somebody else.

    Raises:
        ConfigError: One is not allowed, is missing, or fails.
    """
    from pathlib import Path

    from ednas.tasks import load_plugin

    names = plugins if isinstance(plugins, list | tuple) else ()
    for name in (name for name in names if isinstance(name, str)):
        # A module may lie below the folder that Python is started in.
        path = Path(name) if name.endswith(".py") else Path(*name.split("."))
        places = {*path.absolute().parents, *path.resolve().parents}
        if not allowed and any((parent / file).exists() for parent in places for file in _OF_A_RUN):
            raise ConfigError(
                f"plugin {name}: lies in a run's folder, which may come from somebody else, and its code would be run; "
                "look at it, then add --allow-plugins"
            )
        typer.echo(one_line(f"running the plugin {name}"), err=True)
        load_plugin(name)


def load_teacher_plugin(values: Mapping[str, Any], allowed: bool) -> None:
    """Run the code of a configuration's teacher that is a function, as :func:`load_plugins` does."""
    recipe = values.get("recipe")
    source = recipe.get("teacher") if isinstance(recipe, Mapping) else None
    place, colon, _ = source.rpartition(":") if isinstance(source, str) else ("", "", "")
    if colon and not exists(str(source)):
        load_plugins([place], allowed)


def all_plugins(values: Mapping[str, Any], plugins: Sequence[str] | None) -> list[str] | None:
    """Return a configuration's plugins and those of the command line; None leaves what the configuration says."""
    own = values.get("plugins") or []
    return [*own, *plugins] if plugins and isinstance(own, list) else None


def parse_data_options(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse ``num_classes=7`` into names and values, which are written as in YAML.

    Raises:
        ConfigError: A text is not ``NAME=VALUE``, or a name comes twice.
    """
    import yaml

    options: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value) or name in options:
            raise ConfigError(f"data option '{text}': write each option once, NAME=VALUE, like num_classes=7")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"data option '{text}': the value cannot be read; write it as in YAML") from None
    return options


def with_data_options(values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration's values with other options of the data; what is no mapping is left to be refused."""
    own = values.get("data_options", {})
    if not options or not isinstance(own, Mapping):
        return dict(values)
    return {**values, "data_options": {**own, **options}}


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
    from rich.text import Text

    class PlainConsole(Console):
        """Writes control characters of names out, which would act on the terminal."""

        def render_str(self, text: str, *args: Any, **options: Any) -> Text:
            return super().render_str("\n".join(map(one_line, text.split("\n"))), *args, **options)

    console = PlainConsole()
    (console if console.is_terminal else PlainConsole(width=200)).print(table)


def print_json(value: Mapping[str, Any]) -> None:
    """Print a result for machines: JSON on standard output."""
    print(json.dumps(value, indent=2))
