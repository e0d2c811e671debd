"""Hardware targets: one YAML file each, every number with its unit in the key and its provenance beside it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ednas.config import parse, read_yaml
from ednas.exceptions import TargetError, hint
from ednas.files import is_file
from ednas.hw.model.target import Target

_FOLDER = files(__package__)

SMALLEST, LARGEST = 1e-6, 1e12
"""What a figure other than 0 lies between, in any unit of a target: beyond, a digit slipped."""


def target_names() -> tuple[str, ...]:
    """Return the names of the built-in targets."""
    names = [entry.name for entry in _FOLDER.iterdir()]
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load_target(name_or_path: str | Path) -> Target:
    """Return a built-in target or read a file of the user's own.

    Args:
        name_or_path: One of :func:`target_names`, or the path of a YAML file.

    Raises:
        TargetError: There is no such target (the message offers the nearest), or the file is wrong: a key missing or
            misspelt, or a value out of range.
    """
    if str(name_or_path) in target_names():
        return _builtin(str(name_or_path))
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or is_file(path):
        return _read(path)
    otherwise = f"known: {', '.join(target_names())}, or the path of a YAML file"
    raise TargetError(f"unknown target '{name_or_path}'; {hint(str(name_or_path), target_names(), otherwise)}")


def target_text(name_or_path: str | Path) -> str:
    """Return the text of a built-in target's file or of a user's own, if it holds a target.

    Raises:
        TargetError: As :func:`load_target`.
    """
    load_target(name_or_path)
    return _path(name_or_path).read_text(encoding="utf-8")


@lru_cache
def _builtin(name: str) -> Target:
    return _read(_path(name))


def _path(name_or_path: str | Path) -> Path:
    name = str(name_or_path)
    return Path(str(_FOLDER / f"{name}.yaml")) if name in target_names() else Path(name_or_path)


def _read(path: Path) -> Target:
    target = parse(Target, read_yaml(path, TargetError), str(path), TargetError)
    for key, figure in target.figures().items():
        if figure.value and not SMALLEST <= figure.value <= LARGEST:
            raise TargetError(
                f"{path}: {key} is {figure.value:g}, must be 0 or from {SMALLEST:g} to {LARGEST:g}; check its unit"
            )
    return target
