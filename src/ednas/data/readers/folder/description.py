"""The content of a ``dataset.yaml``, checked before any image is looked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, field_validator, model_validator

from ednas.config import StrictModel, parse, read_yaml
from ednas.data.rasters import SUFFIXES
from ednas.data.reader import IMAGE, relative_path
from ednas.data.readers.folder.targets import TARGETS, AnyTarget
from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError

_TARGET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPLIT_NAME = re.compile(r"[A-Za-z0-9_-]+")
_FIELD = re.compile(r"\{([^{}]*)\}")


class PartConfig(StrictModel):
    """One of the ``parts``; see the package's text. Targets are checked by :func:`read_folder_config`.

    Attributes:
        root: The folder that all paths start from; a relative one starts from the folder of the file.
        image: Where the images are: a path with ``{id}`` and, if wanted, ``{split}``, ending in png, jpg or npy.
        pairs: Instead of ``image`` and of every ``path``: a CSV that names the files; it may contain ``{split}``.
        splits: By the name of a split: a subfolder, which takes the place of ``{split}``; a text file (``.txt``) with
            one id a line; or a pattern of ids with ``*`` or ``?``.
        val_fraction: Instead of a split ``val``: the share of ``train``, or of all images without splits, that is
            drawn by id for it, the same on every machine.
        split_seed: Another seed draws another ``val`` by ``val_fraction``.
        targets: By any name: what is labelled, as one of the kinds of targets.
    """

    root: str = "."
    image: str | None = None
    pairs: str | None = None
    splits: dict[str, str] = Field(default_factory=dict)
    val_fraction: float | None = Field(default=None, gt=0, lt=1)
    split_seed: int = 0
    targets: dict[str, dict[str, Any]] = Field(min_length=1)

    @field_validator("root")
    @classmethod
    def _check_root(cls, value: str) -> str:
        if "\0" in value or value.startswith("~"):
            raise ValueError("is no path of a folder (~ is not expanded)")
        return value

    @model_validator(mode="after")
    def _check(self) -> PartConfig:
        if self.image is None and self.pairs is None:
            raise ValueError("key 'image' is missing; or name a CSV of images and labels as pairs")
        if self.image is not None and self.pairs is not None:
            raise ValueError("both image and pairs say where the images are; remove one")
        for split in self.splits:
            if _SPLIT_NAME.fullmatch(split) is None:
                raise ValueError(f"splits: '{split}' is no name of a split (letters, digits, _ and -)")
        if not self.splits and self.val_fraction is None:
            raise ValueError("give splits (train: ..., val: ...), or val_fraction to draw val from all images")
        if self.val_fraction is not None and "val" in self.splits:
            raise ValueError("splits has val already; remove it or val_fraction")
        if self.val_fraction is not None and self.splits and "train" not in self.splits:
            raise ValueError("val_fraction needs a train split to draw from")
        return self

    def split_names(self) -> tuple[str, ...]:
        """Names of all splits."""
        if self.val_fraction is None:
            return tuple(self.splits)
        return (*(self.splits or ("train",)), "val")

    def selector(self, split: str) -> tuple[str, str]:
        """Return the split whose images are looked for, as val may be drawn from those of train, and its selector."""
        name = "train" if self.val_fraction is not None and split in ("train", "val") else split
        return name, self.splits.get(name, "*")


class FolderConfig(PartConfig):
    """The content of a ``dataset.yaml`` without ``parts``.

    Attributes:
        name: Of the dataset, for people.
    """

    name: str = ""


class PartsConfig(StrictModel):
    """The content of a ``dataset.yaml`` with ``parts``.

    Attributes:
        name: Of the dataset, for people.
        parts: The parts; each has the keys of a dataset without parts, but no name.
    """

    name: str = ""
    parts: tuple[dict[str, Any], ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, values: dict[str, Any]) -> dict[str, Any]:
        misplaced = next((key for key in PartConfig.model_fields if key in values), None)
        if misplaced is not None:
            raise ValueError(f"'{misplaced}' stands beside parts; each part needs its own")
        return values


@dataclass(frozen=True)
class Part:
    """Images from one place, checked.

    Attributes:
        config: As described.
        targets: By name.
        where: What to name in an error: the file, and which of its parts.
    """

    config: PartConfig
    targets: dict[str, AnyTarget]
    where: str


@dataclass(frozen=True)
class Description:
    """A ``dataset.yaml``, checked.

    Attributes:
        name: For people; may be empty.
        parts: One, or those of the file.
        targets: Those of all parts, by name.
    """

    name: str
    parts: tuple[Part, ...]
    targets: dict[str, TargetInfo]

    def split_names(self) -> tuple[str, ...]:
        """Names of the splits of all parts."""
        return tuple(dict.fromkeys(split for part in self.parts for split in part.config.split_names()))


def read_folder_config(path: Path) -> Description:
    """Read and check a ``dataset.yaml``.

    Raises:
        ConfigError: A key or value is wrong, or a target differs between the parts.
    """
    values = read_yaml(path)
    if "parts" not in values:
        config = parse(FolderConfig, values, str(path))
        parts: tuple[Part, ...] = (_check_part(config, str(path)),)
        return Description(config.name, parts, _merge_targets(parts))
    described = parse(PartsConfig, values, str(path))
    places = {f"{path}: part {number}": part for number, part in enumerate(described.parts, start=1)}
    parts = tuple(_check_part(parse(PartConfig, part, where), where) for where, part in places.items())
    return Description(described.name, parts, _merge_targets(parts))


def _check_part(config: PartConfig, where: str) -> Part:
    targets: dict[str, AnyTarget] = {}
    for name, values in config.targets.items():
        if _TARGET_NAME.fullmatch(name) is None or name == IMAGE:
            raise ConfigError(f"{where}: targets: '{name}' is no name of a target (letters, digits and _; not 'image')")
        place = f"{where}: target '{name}'"
        kind = values.get("kind")
        if not isinstance(kind, str) or kind not in TARGETS:
            raise ConfigError(f"{place}: kind is {kind!r:.40}, must be one of {', '.join(TARGETS)}")
        targets[name] = parse(TARGETS[kind], values, place)
        _check_target_path(targets[name], config, place)
    if config.pairs is not None:
        _check_pattern(config.pairs, f"{where}: pairs", ("split",), (".csv",))
    if config.image is not None:
        _check_pattern(config.image, f"{where}: image")
        if "{id}" not in config.image:
            raise ConfigError(f"{where}: image '{config.image}' lacks {{id}}, which tells one image from another")
    return Part(config, targets, where)


def _check_target_path(target: AnyTarget, config: PartConfig, where: str) -> None:
    if config.pairs is not None:
        misplaced = "path" if target.path is not None else "partial" if target.partial else None
        if misplaced is not None:
            raise ConfigError(f"{where}: remove {misplaced}: {config.pairs} names each file, or has an empty cell")
    elif target.path is None:
        raise ConfigError(f"{where}: key 'path' is missing")
    else:
        _check_pattern(target.path, f"{where}: path")


def _merge_targets(parts: Sequence[Part]) -> dict[str, TargetInfo]:
    merged: dict[str, TargetInfo] = {}
    for part in parts:
        for name, target in part.targets.items():
            info = target.info()
            first = merged.setdefault(name, info)
            for field in fields(TargetInfo):
                ours, theirs = getattr(info, field.name), getattr(first, field.name)
                if ours != theirs:
                    raise ConfigError(
                        f"{part.where}: target '{name}': {field.name} is {ours!r}, but {theirs!r} in an earlier part; "
                        "all parts must agree"
                    )
    return merged


def _check_pattern(
    pattern: str, where: str, known: Sequence[str] = ("id", "split"), suffixes: Sequence[str] = SUFFIXES
) -> None:
    """Check a path: below the root, a kind of file that we read, no placeholder but those that are known."""
    relative_path(pattern, where, ConfigError)
    unknown = next((field for field in _FIELD.findall(pattern) if field not in known), None)
    if unknown is not None:
        placeholders = " and ".join(f"{{{field}}}" for field in known)
        raise ConfigError(f"{where} '{pattern}': unknown placeholder {{{unknown}}}; known: {placeholders}")
    if PurePosixPath(pattern).suffix.lower() not in suffixes:
        raise ConfigError(f"{where} '{pattern}': must end in one of {', '.join(suffixes)}")
