"""Configuration: YAML files checked against pydantic models, with errors that name the nearest right key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ednas.exceptions import ConfigError, EdnasError


class StrictModel(BaseModel):
    """Base of all configuration models: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path | str, error: type[EdnasError] = ConfigError) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        EdnasError: (of class ``error``) the file is missing, not text, not YAML, or not a mapping.
    """
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
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
        raise error(f"{path}: holds {type(value).__name__}, expected a mapping of keys to values")
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
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known) or 'none'}"
        return f"unknown key '{key}'; {hint}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{key}': {message} (got {first.get('input')!r:.80})" if key else message


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Keys allowed at ``path`` below ``model``, following nested models as far as they can be followed."""
    for part in path:
        field = model.model_fields.get(part)
        nested = None if field is None else _nested_model(field.annotation)
        if nested is not None:
            model = nested
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _nested_model(argument)
        if found is not None:
            return found
    return None
