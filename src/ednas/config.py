"""Configuration: YAML files checked against pydantic models, with errors that name the nearest right key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ednas.exceptions import ConfigError, EdnasError, hint
from ednas.files import require_regular, write_text

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class StrictModel(BaseModel):
    """Base of all configuration models: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def save(self, path: Path | str) -> None:
        """Write all values as YAML, atomically."""
        write_text(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


Model = TypeVar("Model", bound=BaseModel)

_LIST, _MAPPING = "must be a list", "must be a mapping of keys to values"
_MESSAGES = {"tuple_type": _LIST, "list_type": _LIST}
_MESSAGES |= dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _MAPPING)
"""What is said instead of pydantic's message, by the type of the error."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, but a key that is written twice is an error, not a silent choice of the last.

    And ``1:30`` is a text, as in YAML 1.2, not the number 90.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here and not where values are made: merges (<<) are resolved there, and may be overridden.
        node = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            first = seen.setdefault((key.tag, key.value), key)
            if first is not key:
                problem = f"the key {key.value!r:.60} is there already, in line {first.start_mark.line + 1}; remove one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value: int = super().construct_yaml_int(node)
        if value.bit_length() > _MOST_BITS:
            problem = f"a whole number of {value.bit_length()} bits"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)

_MOST_BITS = 1024
"""Of a whole number; Python writes no number of some thousand digits out, as an error message would."""

_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)",
    "tag:yaml.org,2002:float": r"[-+]?(([0-9][0-9_]*)\.[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
}
"""What is read as a number: PyYAML's expressions without those to the base 60, and with exponents of YAML 1.2."""

_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, re.compile(rf"^(?:{_NUMBERS[tag]})$") if tag in _NUMBERS else expression) for tag, expression in resolvers
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

MOST_BYTES = 4 << 20
"""A larger file is no configuration; to read it would take many seconds."""

_MOST_VALUES = 1_000_000
"""Values that a configuration may stand for, with all its aliases written out."""


def _count_values(value: Any, known: dict[int, int]) -> int:
    """Count a value's parts as if its aliases were written out, without doing so."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = 0  # of one that holds itself
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count_values(part, known) for part in parts)
    return known[id(value)]


def read_yaml(path: Path | str, error: type[EdnasError] = ConfigError) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        EdnasError: (of class ``error``) the file is missing, larger than :data:`MOST_BYTES`, not text, not YAML, or not
            a mapping, or a key is there twice.
    """
    require_regular(path, error)
    try:
        if (size := Path(path).stat().st_size) > MOST_BYTES:
            raise error(f"{path}: has {size / 2**20:.0f} MiB, a configuration at most {MOST_BYTES / 2**20:.0f}")
        value = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)
        if _count_values(value, {}) > _MOST_VALUES:
            raise error(f"{path}: its aliases (*) stand for more than {_MOST_VALUES:,} values; write what is meant")
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as cause:
        raise error(f"{path}: cannot be read ({cause})") from cause
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as cause:  # PyYAML's own slips too
        mark = getattr(cause, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        problem = getattr(cause, "problem", None) or type(cause).__name__
        raise error(f"{where}: not valid YAML ({problem})") from cause
    if not isinstance(value, dict):
        found = "is empty" if value is None else f"holds {type(value).__name__}"
        raise error(f"{path}: {found}, expected a mapping of keys to values")
    return value


def parse(model: type[Model], values: Mapping[str, Any], where: str, error: type[EdnasError] = ConfigError) -> Model:
    """Check ``values`` against ``model``.

    Args:
        model: The pydantic model.
        values: The mapping to check, for example from :func:`read_yaml`.
        where: What to name in an error: a file or an option.
        error: The class of the error to raise.

    Raises:
        EdnasError: (of class ``error``) the first wrong key or value, one line; an unknown key comes with the nearest
            known one.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as cause:
        raise error(f"{where}: {_describe(cause, model)}") from None


def _describe(cause: ValidationError, model: type[BaseModel]) -> str:
    problems = cause.errors()
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    location, known = _locate([str(part) for part in first["loc"]], model)
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        otherwise = f"known keys: {', '.join(known) or 'none'}"
        return f"unknown key '{key}'; {hint(location[-1], known, otherwise)}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    return _in_words(first, key)


def _in_words(problem: ErrorDetails, key: str) -> str:
    """Return a wrong value's error without the words that only pydantic's users know."""
    context = problem.get("ctx", {})
    tag = f"{key}.{context.get('discriminator', '')}".replace("'", "").lstrip(".")
    tags = str(context.get("expected_tags", "")).replace("'", "")
    if problem["type"] == "union_tag_not_found":
        return f"key '{tag}' is missing; it says what '{key}' is"
    if problem["type"] == "union_tag_invalid":
        return f"'{tag}': must be one of {tags} (got {context.get('tag')!r:.80})"
    message = _MESSAGES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    if problem["type"] == "value_error" and isinstance(problem.get("input"), Mapping):
        return f"'{key}': {message}" if key else message  # a validator of ours, which names what is wrong inside
    return f"'{key}': {message} (got {problem.get('input')!r:.80})" if key else message


def _locate(location: list[str], model: type[BaseModel]) -> tuple[list[str], list[str]]:
    """Return a place as the file spells it, and the keys allowed there, as far as models can be followed.

    Pydantic adds to a place which member of a union it took, by its tag or type: that is no key of the file.
    """
    members = [model]
    keys = []
    for index, part in enumerate(location):
        tagged = [member for member in members if part in _tags(member)]
        if len(members) > 1 and tagged:
            members = tagged
            continue
        if part.startswith(("tuple[", "list[")):
            continue
        keys.append(part)
        fields = [member.model_fields[part] for member in members if part in member.model_fields]
        if index < len(location) - 1:
            members = [nested for field in fields for nested in _nested_models(field.annotation)] or members
    return keys, sorted({field.alias or name for member in members for name, field in member.model_fields.items()})


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """Return the values of the literal fields of a union's member."""
    literals = [field.annotation for field in model.model_fields.values() if get_origin(field.annotation) is Literal]
    return tuple(value for literal in literals for value in get_args(literal))


def _nested_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [nested for argument in get_args(annotation) for nested in _nested_models(argument)]
