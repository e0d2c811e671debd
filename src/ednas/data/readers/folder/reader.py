"""The samples of a ``dataset.yaml``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ednas.config import StrictModel, parse
from ednas.data.rasters import JPEG_SUFFIXES, Array, read_image
from ednas.data.reader import IMAGE, Format, Reader, choose_split
from ednas.data.readers.folder.description import Part, read_folder_config
from ednas.data.readers.folder.sources import find_left_out, find_samples
from ednas.data.readers.folder.targets import AnyTarget
from ednas.data.readers.folder.tree import composed
from ednas.data.sample import DatasetInfo
from ednas.exceptions import DataError

FILE_NAME = "dataset.yaml"


class _Fingerprinted(StrictModel):
    """What decides how the files are read, for the fingerprint: targets and number of samples of every part.

    And which label belongs to which image, where that is not in their names.
    """

    targets: tuple[dict[str, AnyTarget], ...]
    samples: tuple[int, ...]
    pairs: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class _Record:
    """A sample: the targets of its part, and its files below the root; a target without a file has no label."""

    targets: Mapping[str, AnyTarget]
    paths: Mapping[str, str]


class Folder(Reader[_Record]):
    """A dataset described by a ``dataset.yaml``: the targets and kinds that it names.

    Args:
        path: The ``dataset.yaml``.
        split: One of its splits.
        options: None exist: everything is in the description.

    Raises:
        ConfigError: The description is wrong; names the key.
        DataError: The split does not exist or has no images; an image has no label or is there twice.
    """

    def __init__(self, path: Path, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        parse(StrictModel, options or {}, "options of folder")
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
        name = description.name or path.parent.resolve().name
        super().__init__(
            root=root,
            split=split,
            info=DatasetInfo(name, "folder", description.targets),
            records=[record for of_part in records for record in of_part],
            options=_Fingerprinted(
                targets=tuple(part.targets for part in description.parts),
                samples=tuple(map(len, records)),
                pairs=tuple(
                    dict(record.paths)
                    for part, of_part in zip(description.parts, records, strict=True)
                    for record in of_part
                    if part.config.pairs is not None
                ),
            ),
        )
        _check_records(self._records, root)

    def remarks(self) -> tuple[str, ...]:
        """Files that are left out, since only the ending of their name does not fit; labels that are blurred."""
        blurred = {
            name: path
            for record in self._records
            for name, path in record.paths.items()
            if name != IMAGE and PurePosixPath(path).suffix.lower() in JPEG_SUFFIXES
        }
        found = [
            f"{name} is stored as JPEG ({path}), which blurs it and has 8 bits: store it as PNG of 16 bits, or NPY"
            for name, path in blurred.items()
        ]
        for part, place in self._parts:
            others = find_left_out(part, place, self.split)
            if others:
                found.append(
                    f"{len(others)} files in {place} fit no pattern but for their ending and are left out, for example "
                    f"{others[0]}; rename or convert them, or describe them as another part"
                )
        return tuple(found)

    def _name(self, record: _Record) -> str:
        return composed(record.paths[IMAGE])

    def _paths(self, record: _Record) -> Mapping[str, Path]:
        return {part: self._root / path for part, path in record.paths.items()}

    def _load(self, part: str, record: _Record) -> Array:
        path = self._root / record.paths[part]
        return read_image(path) if part == IMAGE else record.targets[part].load(path)


def _records(part: Part, place: Path, root: Path, split: str) -> list[_Record]:
    """The samples that a part at ``place`` adds to a split, with their files below ``root``."""
    below = PurePosixPath(place.relative_to(root).as_posix())
    return [
        _Record(part.targets, {name: str(below / path) for name, path in files.items()})
        for files in find_samples(part, place, split)
    ]


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


def _find(path: Path) -> Path | None:
    if path.is_dir():
        path = path / FILE_NAME
    return path if path.suffix.lower() in (".yaml", ".yml") and path.is_file() else None


FORMAT = Format(
    name="folder",
    looks_for=f"{FILE_NAME} (your own data)",
    find=_find,
    open=Folder,
    splits=lambda path: read_folder_config(path).split_names(),
)
