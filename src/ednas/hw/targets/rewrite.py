"""Writing targets: a file with another name or other figures, in which everything else stays, the comments too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import yaml

from ednas.config import parse
from ednas.exceptions import TargetError
from ednas.hw.model.errors import ErrorConfig
from ednas.hw.model.figure import Figure
from ednas.hw.model.target import Target

_Path = tuple[str, ...]
_FIELDS = ("value", "provenance", "source")


def rewrite(
    text: str, name: str, figures: Mapping[str, Figure] | None = None, errors: Sequence[ErrorConfig] = ()
) -> str:
    """Return a target's file with another name and other figures.

    How far off the old target was says nothing of the new one, and is left out.

    Args:
        text: The file.
        name: The new name.
        figures: What to change, by path, for example ``engine.clock_mhz``; values are written with six digits.
        errors: How far off the new target is.

    Raises:
        TargetError: The name is not one, or the file is built in a way that cannot be rewritten.
    """
    changes: dict[_Path, str | float] = {("name",): name}
    for key, figure in (figures or {}).items():
        place = tuple(key.split("."))
        values: tuple[str | float, ...] = (float(f"{figure.value:.6g}"), figure.provenance, figure.source)
        changes |= {(*place, field): value for field, value in zip(_FIELDS, values, strict=True)}
    expected = _values(text, name) | changes
    places = dict(_scalars(yaml.compose(text, Loader=yaml.SafeLoader), ()))
    for path in sorted(changes.keys() & places.keys(), key=lambda path: -places[path].start_mark.index):
        start, end = places[path].start_mark.index, places[path].end_mark.index
        end -= len(text[start:end]) - len(text[start:end].rstrip())  # a block of text ends with its line
        text = text[:start] + _written(changes[path]) + text[end:]
    text = _with_errors(text, errors)
    written = _values(text, name)
    wrong = [path for path, value in expected.items() if written.get(path) != value]
    if wrong:  # for example a value that is shared by an anchor
        raise TargetError(f"{name}: cannot rewrite '{'.'.join(wrong[0])}'; write the file without anchors and merges")
    return text


def _with_errors(text: str, errors: Sequence[ErrorConfig]) -> str:
    """Return the file with these errors in place of its own."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "errors":
            end = value.end_mark.index
            text = text[: key.start_mark.index].rstrip() + "\n" + text[end:].lstrip("\n")
    rows = [f"  - {json.dumps(error.model_dump(), ensure_ascii=False)}" for error in errors]
    return text if not rows else "\n".join([text.rstrip(), "", "errors:", *rows]) + "\n"


def _scalars(node: yaml.Node | None, path: _Path) -> Iterator[tuple[_Path, yaml.ScalarNode]]:
    """Yield every single value of a file with the keys that lead to it."""
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)))


def _values(text: str, where: str) -> dict[_Path, str | float]:
    """Return the name, and what the figures of a file say."""
    target = parse(Target, yaml.safe_load(text), where, TargetError)
    values: dict[_Path, str | float] = {("name",): target.name}
    for key, figure in target.figures().items():
        values |= {(*key.split("."), field): getattr(figure, field) for field in _FIELDS}
    return values


def _written(value: str | float) -> str:
    """Return a value as YAML that may stand anywhere; words without quotes."""
    if isinstance(value, float):
        return yaml.safe_dump(value).split("\n", 1)[0]
    is_word = value.replace("_", "a").isalnum() and yaml.safe_load(value) == value
    return value if is_word else json.dumps(value, ensure_ascii=False)
