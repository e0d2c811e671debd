"""Finding an architecture from what a user types: a zoo name, a JSON file, a checkpoint folder, or the text form."""

from __future__ import annotations

from pathlib import Path

from ednas.arch import zoo
from ednas.arch.spec import Architecture
from ednas.exceptions import ArchitectureError
from ednas.files import read_json, write_json


def load_architecture(source: str | Path) -> Architecture:
    """Return the architecture that ``source`` means.

    Args:
        source: A name of the zoo, a JSON file (an architecture, or a checkpoint's ``config.json``), a checkpoint
            folder, or an architecture's text form.

    Raises:
        ArchitectureError: There is none of these, or the file is wrong; the message names it.
    """
    text = str(source)
    if text.lstrip().startswith("stem_"):
        return Architecture.from_text(text)
    path = Path(text)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError):  # too long for a path, or with a null byte
        raise ArchitectureError(
            f"'{text[:60]}...' is no architecture and no path; a text form begins with stem_"
        ) from None
    if is_folder:
        path = path / "config.json"
    elif text in zoo.names() or not (path.suffix or is_there):
        return zoo.architecture(text)
    value = read_json(path, ArchitectureError)
    if isinstance(value, dict) and "architecture" in value:
        value = value["architecture"]
    try:
        architecture = Architecture.from_dict(value)
    except ArchitectureError as error:
        raise ArchitectureError(f"{path}: {error}") from None
    return architecture if architecture.name else architecture.clone(override={"name": path.stem})


def save_architecture(architecture: Architecture, path: str | Path) -> None:
    """Write the architecture to ``path`` as JSON, atomically."""
    write_json(path, architecture.to_dict())
