"""Writing targets: a file with another name or other figures, in which everything else stays, the comments too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from ednas.config import parse
from ednas.exceptions import TargetError
from ednas.hw.figure import Figure
from ednas.hw.target import Target, load_target, target_names, target_text

_Path = tuple[str, ...]


def read_target_text(name_or_path: str | Path) -> str:
    """Return the text of a built-in target's file or of a user's own, if it holds a target.

    Raises:
        TargetError: There is no such target, or its file is wrong.
    """
    load_target(name_or_path)
    if str(name_or_path) in target_names():
        return target_text(str(name_or_path))
    return Path(name_or_path).read_text(encoding="utf-8")


def rewrite(text: str, name: str, figures: Mapping[str, Figure] | None = None) -> str:
    """Return a target's file with another name and other figures.

    Args:
        text: The file.
        name: The new name.
        figures: What to change, by path, for example ``engine.clock_mhz``; values are written with six digits.

    Raises:
        TargetError: The name is not one, or the file is built in a way that cannot be rewritten.
    """
    changes: dict[_Path, str | float] = {("name",): name}
    for path, figure in (figures or {}).items():
        place = tuple(path.split("."))
        changes[*place, "value"] = float(f"{figure.value:.6g}")
        changes |= {(*place, "provenance"): figure.provenance, (*place, "source"): figure.source}
    places = dict(_scalars(yaml.compose(text, Loader=yaml.SafeLoader), ()))
    for path in sorted(changes.keys() & places.keys(), key=lambda path: -places[path].start_mark.index):
        start, end = places[path].start_mark.index, places[path].end_mark.index
        end -= len(text[start:end]) - len(text[start:end].rstrip())  # a block of text ends with its line
        text = text[:start] + json.dumps(changes[path], ensure_ascii=False) + text[end:]
    _check(text, name, changes)
    return text


def _scalars(node: yaml.Node, path: _Path) -> Iterator[tuple[_Path, yaml.ScalarNode]]:
    """Yield every single value of a file with the keys that lead to it."""
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)))


def _check(text: str, name: str, changes: Mapping[_Path, str | float]) -> None:
    """Refuse a text that does not hold what was to be written, for example because values are shared by anchors."""
    target = parse(Target, yaml.safe_load(text), name, TargetError)
    written: dict[_Path, str | float] = {("name",): target.name}
    for key, figure in target.figures().items():
        place = tuple(key.split("."))
        written |= {(*place, field): getattr(figure, field) for field in ("value", "provenance", "source")}
    wrong = [path for path, value in changes.items() if written.get(path) != value]
    if wrong:
        raise TargetError(f"{name}: cannot rewrite '{'.'.join(wrong[0])}'; write the file without anchors and merges")
