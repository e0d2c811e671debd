"""A user's own images and labels, described by a ``dataset.yaml``.

.. code-block:: yaml

    name: My rooms
    root: ../pictures                   # optional: folder of all paths; default: the folder of this file
    image: "{split}/image/{id}.jpg"     # where the images are
    splits:                             # split: a subfolder, which takes the place of {split} ...
      train: train
      val: validation
      # val: val.txt                    # ... or a text file with one id a line (it ends in .txt)
      # val: "scene7_*"                 # ... or a pattern for ids (it has * or ?)
    # val_fraction: 0.1                 # instead of a val split: so much of train (or, without splits, of all
    # split_seed: 0                     #   images), drawn by id, the same on every machine
    targets:                            # any number, under any names
      segmentation:
        kind: labels
        path: "{split}/label/{id}.png"
        num_classes: 3
        class_names: [floor, wall, thing]   # optional
        void: 255                       # stored ids without a class: a number, a list, or "rest" (all others)
        id_map: {7: 0, 8: 1, 11: 2}     # optional: stored id -> class
      depth:
        kind: distance                  # or disparity
        path: "{split}/depth/{id}.png"
        scale: 0.001                    # stored value * scale = metres (a disparity: its own unit)
        invalid: 0                      # stored values without a measurement: a number or a list
        maximum: 80                     # optional: invalid beyond, after scaling
        unit: m                         # optional, for people
      normals:
        kind: normals
        path: "{split}/normal/{id}.png" # v / 127.5 - 1; an .npy may hold the components as floating point numbers
        axes: [r, g, b]                 # stored channels of our x (right), y (down), z (forward); -g turns one round
        invalid: [[128, 128, 128]]      # colours without a normal; grey is always invalid
        partial: true                   # of any target: a sample without this file has no label; default: an error

Images from several places, which may have different targets, are ``parts`` of one dataset. Each part holds what a
description without parts does, but for the name. Its samples have no label of the other parts' targets; a split has the
samples of all parts that name it.

.. code-block:: yaml

    name: Labelled rooms and scanned rooms
    parts:
      - {root: ../labelled, image: ..., splits: {train: train, val: val}, targets: {segmentation: ..., depth: ...}}
      - {root: ../scanned, image: ..., splits: {train: train}, targets: {depth: ...}}

A target must have the same kind, classes and unit in all parts. An image without a label of any target is an error, and
so is an image in two parts of a split.

An id is what ``{id}`` stands for in the path of an image; it may contain folders. Files are PNG, JPEG or NPY; labels
are not JPEG, which would blur their ids.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ednas.config import StrictModel, parse, read_yaml
from ednas.data.decode import MAX_CLASSES, MAX_ID, MIN_ID, decode_depth, decode_labels, decode_normals, parse_axes
from ednas.data.rasters import (
    SUFFIXES,
    Array,
    brief,
    read_channel,
    read_image,
    read_measurements,
    read_vectors,
    require_file,
)
from ednas.data.reader import IMAGE, Format, Reader, choose_split, relative_path
from ednas.data.sample import VOID, DatasetInfo, TargetInfo, TargetKind
from ednas.exceptions import ConfigError, DataError

FILE_NAME = "dataset.yaml"

_TARGET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPLIT_NAME = re.compile(r"[A-Za-z0-9_-]+")
_FIELD = re.compile(r"\{([^{}]*)\}")


class _Target(StrictModel):
    """What all kinds of targets say."""

    path: str
    # Decides which files there are, not how one is read, which is all that a fingerprint wants from here.
    partial: bool = Field(default=False, exclude=True)


class LabelsTarget(_Target):
    """A target of class ids; see the module's text."""

    kind: Literal["labels"]
    num_classes: int = Field(ge=1, le=MAX_CLASSES)
    class_names: tuple[str, ...] = ()
    void: tuple[int, ...] | Literal["rest"] = (VOID,)
    id_map: dict[int, int] | None = None

    @field_validator("void", mode="before")
    @classmethod
    def _check_void(cls, value: Any) -> Any:
        ids = _as_tuple(value)
        if value != "rest" and not all(isinstance(i, int) for i in ids):
            raise ValueError("must be a stored id, a list of them, or 'rest'")
        _check_ids(ids if value != "rest" else ())
        return value if value == "rest" else ids

    @field_validator("id_map")
    @classmethod
    def _check_id_map(cls, value: dict[int, int] | None, info: ValidationInfo) -> dict[int, int] | None:
        _check_ids(value or {})
        classes = info.data.get("num_classes", MAX_CLASSES)
        wrong = next((i for i in (value or {}).values() if not 0 <= i < classes), None)
        if wrong is not None:
            raise ValueError(f"maps to class {wrong}, allowed are 0..{classes - 1}")
        return value

    @model_validator(mode="after")
    def _check(self) -> LabelsTarget:
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(f"{len(self.class_names)} class_names for {self.num_classes} classes")
        if PurePosixPath(self.path).suffix.lower() in (".jpg", ".jpeg"):
            raise ValueError(f"path {self.path}: JPEG blurs class ids; store labels as PNG or NPY")
        return self


class DepthTarget(_Target):
    """A target of depth or disparity; see the module's text."""

    kind: Literal["distance", "disparity"]
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    invalid: tuple[float, ...] = (0.0,)
    maximum: float | None = Field(default=None, gt=0)
    unit: str | None = None

    @field_validator("invalid", mode="before")
    @classmethod
    def _check_invalid(cls, value: Any) -> Any:
        return _as_tuple(value)


class NormalsTarget(_Target):
    """A target of surface normals; see the module's text."""

    kind: Literal["normals"]
    axes: tuple[str, str, str] = ("r", "g", "b")
    invalid: tuple[tuple[int, int, int], ...] = ()

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, value: tuple[str, str, str]) -> tuple[str, str, str]:
        parse_axes(value)
        return value

    @field_validator("invalid")
    @classmethod
    def _check_invalid(cls, value: tuple[tuple[int, int, int], ...]) -> tuple[tuple[int, int, int], ...]:
        if any(not 0 <= channel <= 255 for colour in value for channel in colour):
            raise ValueError("a colour has three numbers from 0 to 255")
        return value


AnyTarget = LabelsTarget | DepthTarget | NormalsTarget

_MODELS: dict[str, type[LabelsTarget] | type[DepthTarget] | type[NormalsTarget]] = {
    "labels": LabelsTarget,
    "distance": DepthTarget,
    "disparity": DepthTarget,
    "normals": NormalsTarget,
}


class PartConfig(StrictModel):
    """One of the ``parts``; see the module's text. Targets are checked by :func:`read_folder_config`."""

    root: str = "."
    image: str
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
    def _check_splits(self) -> PartConfig:
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


class FolderConfig(PartConfig):
    """The content of a ``dataset.yaml`` without ``parts``."""

    name: str = ""


class PartsConfig(StrictModel):
    """The content of a ``dataset.yaml`` with ``parts``."""

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


class FolderOptions(StrictModel):
    """Options of :class:`Folder` (none: everything is in ``dataset.yaml``)."""


class _Fingerprinted(StrictModel):
    """What decides how the files are read, for the fingerprint: targets and number of samples of every part."""

    targets: tuple[dict[str, AnyTarget], ...]
    samples: tuple[int, ...]


@dataclass(frozen=True)
class _Record:
    """A sample: the targets of its part, and its files below the root; a target without a file has no label."""

    targets: Mapping[str, AnyTarget]
    paths: Mapping[str, str]


class Folder(Reader[_Record]):
    """A dataset described by a ``dataset.yaml``: the targets and kinds that it names."""

    def __init__(self, path: Path, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        """Read the description and list the images; no sample is read.

        Args:
            path: The ``dataset.yaml``.
            split: One of its splits.
            options: None exist.

        Raises:
            ConfigError: The description is wrong; names the key.
            DataError: The split does not exist or has no images; an image has no label or is there twice.
        """
        parse(FolderOptions, options or {}, "options of folder")
        description = read_folder_config(path)
        names = description.split_names()
        if split == "val" and "val" not in names:
            raise DataError(
                f"{path}: has no split 'val' (it has {', '.join(names)}); name one under splits, or draw it from train "
                "with val_fraction: 0.1"
            )
        choose_split(split, names, path)
        places = [Path(os.path.realpath(path.parent / part.config.root)) for part in description.parts]
        root = Path(os.path.commonpath(places))
        self._parts = list(zip(description.parts, places, strict=True))
        records = [_records(part, place, root, split) for part, place in self._parts]
        super().__init__(
            root=root,
            split=split,
            info=DatasetInfo(
                name=description.name or path.parent.resolve().name, format="folder", targets=description.targets
            ),
            records=[record for of_part in records for record in of_part],
            options=_Fingerprinted(
                targets=tuple(part.targets for part in description.parts), samples=tuple(map(len, records))
            ),
        )
        _check_records(self._records, root)

    def remarks(self) -> tuple[str, ...]:
        """Pictures that are left out, since only the ending of their name does not fit; labels that are blurred."""
        found = []
        for part, place in self._parts:
            found += [
                f"{name} is stored as JPEG, which blurs it and has 8 bits: store it as PNG of 16 bits, or NPY"
                for name, target in part.targets.items()
                if PurePosixPath(target.path).suffix.lower() in (".jpg", ".jpeg")
            ]
            others = _left_out(part, place, self._split)
            if others:
                found.append(
                    f"{len(others)} pictures in {place} do not fit '{part.config.image}' and are left out, for example "
                    f"{others[0]}; rename or convert them, or describe them as another part"
                )
        return tuple(found)

    def _name(self, record: _Record) -> str:
        return record.paths[IMAGE]

    def _paths(self, record: _Record) -> Mapping[str, Path]:
        return {part: self._root / path for part, path in record.paths.items()}

    def _load(self, part: str, record: _Record) -> Array:
        path = self._root / record.paths[part]
        if part == IMAGE:
            return read_image(path)
        target = record.targets[part]
        if isinstance(target, LabelsTarget):
            return _load_labels(target, path)
        if isinstance(target, DepthTarget):
            return decode_depth(
                read_measurements(path), scale=target.scale, invalid=target.invalid, maximum=target.maximum, where=path
            )
        return decode_normals(read_vectors(path), axes=parse_axes(target.axes), invalid=target.invalid, where=path)


def read_folder_config(path: Path) -> Description:
    """Read and check a ``dataset.yaml``.

    Raises:
        ConfigError: A key or value is wrong, or a target differs between the parts.
    """
    values = read_yaml(path)
    if "parts" in values:
        described = parse(PartsConfig, values, str(path))
        places = [f"{path}: part {number}" for number in range(1, len(described.parts) + 1)]
        name = described.name
        parts = tuple(
            _check_part(parse(PartConfig, part, where), where)
            for part, where in zip(described.parts, places, strict=True)
        )
    else:
        config = parse(FolderConfig, values, str(path))
        name, parts = config.name, (_check_part(config, str(path)),)
    return Description(name, parts, _merge_targets(parts))


def _check_part(config: PartConfig, where: str) -> Part:
    targets: dict[str, AnyTarget] = {}
    for name, values in config.targets.items():
        if _TARGET_NAME.fullmatch(name) is None or name == IMAGE:
            raise ConfigError(f"{where}: targets: '{name}' is no name of a target (letters, digits and _; not 'image')")
        place = f"{where}: target '{name}'"
        kind = values.get("kind")
        if not isinstance(kind, str) or kind not in _MODELS:
            raise ConfigError(f"{place}: kind is {kind!r:.40}, must be one of {', '.join(_MODELS)}")
        targets[name] = parse(_MODELS[kind], values, place)
        _check_pattern(targets[name].path, f"{place}: path")
    _check_pattern(config.image, f"{where}: image")
    if "{id}" not in config.image:
        raise ConfigError(f"{where}: image '{config.image}' lacks {{id}}, which tells one image from another")
    return Part(config, targets, where)


def _merge_targets(parts: Sequence[Part]) -> dict[str, TargetInfo]:
    merged: dict[str, TargetInfo] = {}
    for part in parts:
        for name, target in part.targets.items():
            info = _target_info(target)
            first = merged.setdefault(name, info)
            for what in (field.name for field in fields(TargetInfo)):
                ours, theirs = getattr(info, what), getattr(first, what)
                if ours != theirs:
                    raise ConfigError(
                        f"{part.where}: target '{name}': {what} is {ours!r}, but {theirs!r} in an earlier part; all "
                        "parts must agree"
                    )
    return merged


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _check_ids(ids: Mapping[int, int] | Sequence[int]) -> None:
    wrong = next((i for i in ids if not MIN_ID <= i <= MAX_ID), None)
    if wrong is not None:
        raise ValueError(f"id {wrong} is out of range, allowed are {MIN_ID}..{MAX_ID}")


def _check_pattern(pattern: str, where: str) -> None:
    """Check the path of a part: below the root, a kind of file that we read, no placeholder but ours."""
    try:
        relative_path(pattern, where)
    except DataError as error:
        raise ConfigError(str(error)) from None
    unknown = next((field for field in _FIELD.findall(pattern) if field not in ("id", "split")), None)
    if unknown is not None:
        raise ConfigError(f"{where} '{pattern}': unknown placeholder {{{unknown}}}; there are {{id}} and {{split}}")
    if PurePosixPath(pattern).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{where} '{pattern}': must end in one of {', '.join(SUFFIXES)}")


def _target_info(target: AnyTarget) -> TargetInfo:
    kind: TargetKind = target.kind
    if isinstance(target, LabelsTarget):
        return TargetInfo(kind, target.num_classes, target.class_names)
    if isinstance(target, DepthTarget):
        unit = target.unit if target.unit is not None else "m" if kind == "distance" else ""
        return TargetInfo(kind, unit=unit)
    return TargetInfo(kind)


def _load_labels(target: LabelsTarget, path: Path) -> Array:
    return decode_labels(
        read_channel(path),
        num_classes=target.num_classes,
        void=() if target.void == "rest" else target.void,
        id_map=None if target.id_map is None else target.id_map.items(),
        rest_is_void=target.void == "rest",
        where=path,
    )


def _fill(pattern: str, split: str, sample: str) -> str:
    return pattern.replace("{split}", split).replace("{id}", sample)


def _records(part: Part, place: Path, root: Path, split: str) -> list[_Record]:
    """The samples that a part at ``place`` adds to a split, with their files below ``root``."""
    if split not in part.config.split_names():
        return []
    below = PurePosixPath(place.relative_to(root).as_posix())
    patterns = {IMAGE: part.config.image, **{name: target.path for name, target in part.targets.items()}}
    may_lack = {name for name, target in part.targets.items() if target.partial}
    records = []
    for value, sample in _samples(part.config, place, split, part.where):
        paths = {name: str(below / _fill(pattern, value, sample)) for name, pattern in patterns.items()}
        # A link that leads nowhere is a fault of the data, not a sample without a label.
        missing = {name for name in may_lack if not os.path.lexists(root / paths[name])}
        records.append(_Record(part.targets, {name: path for name, path in paths.items() if name not in missing}))
    return records


def _check_records(records: Sequence[_Record], root: Path) -> None:
    bare = [record.paths[IMAGE] for record in records if len(record.paths) == 1]
    if bare:
        raise DataError(
            f"{root / bare[0]}: has no label of any target, one of {len(bare)} such images; leave them out of the "
            "split, for example by a list of ids (.txt)"
        )
    image, count = Counter(record.paths[IMAGE] for record in records).most_common(1)[0]
    if count > 1:
        raise DataError(f"{root / image}: is in {count} parts; describe it in one, with 'partial: true' where needed")


def _left_out(part: Part, place: Path, split: str) -> list[str]:
    """Pictures below ``place`` that the image's pattern would find under another suffix, and that are no labels."""
    config = part.config
    selector = config.splits.get(_searched(config, split), "*")
    if split not in config.split_names() or selector.endswith(".txt"):
        return []
    value = split if any(sign in selector for sign in "*?[") else selector
    patterns = (config.image, *(target.path for target in part.targets.values()))
    known = [_expression(pattern.replace("{split}", value)) for pattern in patterns]
    stem = PurePosixPath(config.image).with_suffix("").as_posix().replace("{split}", value)
    relaxed = re.compile(_expression(stem).pattern + r"\.(png|jpe?g|npy)", re.IGNORECASE)
    return sorted(
        path
        for path in _files(place, stem)
        if relaxed.fullmatch(path) and not any(expression.fullmatch(path) for expression in known)
    )


def _searched(config: PartConfig, split: str) -> str:
    """Return the split whose images are looked for: val may be drawn from those of train."""
    return "train" if config.val_fraction is not None and split in ("train", "val") else split


def _samples(config: PartConfig, root: Path, split: str, where: str) -> list[tuple[str, str]]:
    """What ``{split}`` and ``{id}`` stand for in every sample of a split, in a fixed order."""
    name = _searched(config, split)
    selector = config.splits.get(name, "*")
    value, ids = _select(config.image, root, name, selector, where)
    if config.val_fraction is not None and split in ("train", "val"):
        held_out = _draw(ids, config.val_fraction, config.split_seed)
        ids = [sample for sample in ids if (sample in held_out) == (split == "val")]
    return [(value, sample) for sample in ids]


def _select(pattern: str, root: Path, split: str, selector: str, where: str) -> tuple[str, list[str]]:
    """What ``{split}`` stands for, and the ids of a split, by list file, pattern of ids, or subfolder."""
    if selector.endswith(".txt"):
        return split, _read_list(root / _relative(selector, where), where)
    if any(sign in selector for sign in "*?["):
        ids = _find_ids(pattern.replace("{split}", split), root, where)
        return split, [sample for sample in ids if fnmatch.fnmatchcase(sample, selector)]
    if "{split}" not in pattern:
        raise ConfigError(
            f"{where}: split '{split}' is the subfolder '{selector}', but image '{pattern}' lacks {{split}}; add it, "
            "or give a list (.txt) or a pattern of ids (*)"
        )
    folder = _relative(selector, where)
    return folder, _find_ids(pattern.replace("{split}", folder), root, where)


def _relative(selector: str, where: str) -> str:
    try:
        return relative_path(selector, where)
    except DataError as error:
        raise ConfigError(str(error)) from None


def _read_list(path: Path, where: str) -> list[str]:
    require_file(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise DataError(f"{path}: cannot be read as a list of ids ({brief(cause)})") from cause
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        sample = relative_path(text, f"{path}:{number}")
        if sample in found:
            raise DataError(f"{path}:{number}: '{sample}' is listed twice (first in line {found[sample]})")
        found[sample] = number
    if not found:
        raise DataError(f"{path}: lists no ids ({where} names it as a split)")
    return list(found)


def _find_ids(pattern: str, root: Path, where: str) -> list[str]:
    """Ids of all images below ``root`` that fit ``pattern``, sorted."""
    fixed, _, _ = pattern.partition("{id}")
    folder = root / fixed.rpartition("/")[0]
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {where} expects images there ({pattern})")
    matches = map(_expression(pattern).fullmatch, _files(root, pattern))
    found = [match["id"] for match in matches if match is not None]
    if not found:
        raise DataError(f"{folder}: has no image that fits '{pattern}' ({where})")
    return sorted(found)


def _expression(pattern: str) -> re.Pattern[str]:
    """Return what the paths of a pattern with ``{id}`` match."""
    before, *between = (re.escape(text) for text in pattern.split("{id}"))
    return re.compile(before + "(?P<id>.+)" + "(?P=id)".join(between))


def _files(root: Path, pattern: str) -> Iterator[str]:
    """Yield the files, below ``root``, of the folder in which the images of a pattern lie; through links, too."""
    fixed, _, _ = pattern.partition("{id}")
    seen: set[str] = set()
    for parent, folders, files in os.walk(root / fixed.rpartition("/")[0], followlinks=True):
        if (place := os.path.realpath(parent)) in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                yield (Path(parent) / name).relative_to(root).as_posix()


def _draw(ids: Sequence[str], fraction: float, seed: int) -> frozenset[str]:
    """Choose a share of ``ids`` by their digests: independent of the machine, nearly stable when ids are added."""
    count = min(max(1, round(len(ids) * fraction)), len(ids) - 1)
    ranked = sorted(ids, key=lambda sample: hashlib.sha256(os.fsencode(f"{seed}/{sample}")).digest())
    return frozenset(ranked[:count])


def _find(path: Path) -> Path | None:
    if path.is_dir():
        path = path / FILE_NAME
    return path if path.suffix.lower() in (".yaml", ".yml") and path.is_file() else None


def _splits(path: Path) -> tuple[str, ...]:
    return read_folder_config(path).split_names()


FORMAT = Format(
    name="folder",
    looks_for=f"{FILE_NAME} (your own data)",
    find=_find,
    open=Folder,
    splits=_splits,
)
