"""Finding an architecture from what a user types: a zoo name, a JSON file, a checkpoint folder, or the text form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ednas.arch import zoo
from ednas.arch.architecture import Architecture
from ednas.arch.parts import PARTS
from ednas.exceptions import ArchitectureError
from ednas.files import read_json, write_json
from ednas.runs import CheckpointFolder, RunFolder

_WITH_PARTS = re.compile(rf"(?P<source>\S.*?)(?P<parts>(\s+({'|'.join(PARTS)}):\S+)+)\s*")


def load_architecture(source: str | Path | Mapping[str, Any]) -> Architecture:
    """Return the architecture that ``source`` means.

    Args:
        source: A name of the zoo (a folder of that name is ``./base``), a JSON file (an architecture, or a checkpoint's
            ``config.json``), a folder of a checkpoint, a training or a search, an architecture's text form, or its JSON
            form as it was read. After any text, ``backbone:NAME`` and ``decoder:NAME`` put registered parts of one's
            own in: ``base backbone:mine(width=0.5)``.

    Raises:
        ArchitectureError: There is none of these, or the file is wrong; the message names it.
    """
    if isinstance(source, Mapping):
        return Architecture.from_dict(source)
    text = str(source)
    if text.lstrip().startswith(("stem_", *(f"{part}:" for part in PARTS))):
        return Architecture.from_text(text)
    if match := _WITH_PARTS.fullmatch(text):
        own = dict(part.split(":", 1) for part in match["parts"].split())
        return load_architecture(match["source"]).with_parts(**own)
    path = Path(text)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError):  # too long for a path, or with a null byte
        raise ArchitectureError(
            f"'{text[:60]}...' is no architecture and no path; a text form begins with stem_"
        ) from None
    if text in zoo.names() or not (path.suffix or is_there):
        return zoo.architecture(text)
    if is_folder:
        path = _in_folder(path)
    value = read_json(path, ArchitectureError)
    if isinstance(value, dict) and "architecture" in value:
        value = value["architecture"]
    try:
        architecture = Architecture.from_dict(value)
    except ArchitectureError as error:
        raise ArchitectureError(f"{path}: {error}") from None
    return architecture if architecture.name else replace(architecture, name=path.stem)


def _in_folder(folder: Path) -> Path:
    """Return the file of a folder that holds its architecture: a checkpoint's, a run's checkpoint's, or a search's."""
    run = RunFolder(folder)
    places = (CheckpointFolder(folder).config, run.checkpoint.config, run.best)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ArchitectureError(f"{folder}: holds no architecture (a checkpoint's config.json, a search's best.json)")
    return found


def stored_input_size(source: str | Path) -> tuple[int, int] | None:
    """Return the input size that a file states for its architecture: a search's for its costs, a checkpoint's.

    Args:
        source: As for :func:`load_architecture`; only files and checkpoint folders state a size.

    Returns:
        ``(height, width)``; None where no size is stated.

    Raises:
        ArchitectureError: The file is damaged.
    """
    size = read_facts(source).get("input_size")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        return None
    return size[0], size[1]


def read_facts(source: str | Path) -> Mapping[str, Any]:
    """Return what a checkpoint's ``config.json`` or a search's ``best.json`` says, beside the architecture too.

    Raises:
        ArchitectureError: The file is damaged, or the folder holds none.
    """
    path = Path(source)
    if str(source) in zoo.names():
        return {}
    try:
        file = _in_folder(path) if path.is_dir() else path
        is_there = file.suffix == ".json" and file.is_file()
    except (OSError, ValueError):  # a text form: too long for a path
        is_there = False
    value = read_json(file, ArchitectureError) if is_there else {}
    return value if isinstance(value, dict) else {}


def save_architecture(architecture: Architecture, path: str | Path) -> None:
    """Write the architecture to ``path`` as JSON, atomically."""
    write_json(path, architecture.to_dict())
