"""What all readers of files have in common: lazy reading, checks of sizes, fingerprints, and how a format is known."""

from __future__ import annotations

import hashlib
import json
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ednas.config import StrictModel
from ednas.data.rasters import Array
from ednas.data.sample import DatasetInfo, DenseDataset, Sample, no_label
from ednas.exceptions import DataError, EdnasError

IMAGE = "image"
"""Name of the part of a sample that is not a target."""

SPLITS = ("train", "val")
"""Names of the splits of all formats whose authors say what is in them."""

Record = TypeVar("Record")

Progress = Callable[[str, int, int], None]
"""Called with (split, samples done, samples in all)."""


@dataclass(frozen=True)
class Format:
    """A kind of dataset on disk; one entry in :data:`ednas.data.formats.FORMATS`.

    Attributes:
        name: As in :attr:`DatasetInfo.format`.
        looks_for: What makes a path a dataset of this kind, for people.
        find: What to open when the path is of this kind (the path itself, or a file in it), else None. Must not
            raise and must not read whole files.
        open: Open what ``find`` found: (path, split, options); no sample is read. A wrong option is a ``ConfigError``;
            what is missing or damaged, and a split that is not there or empty, is a ``DataError``.
        splits: Names of the splits of what ``find`` found.
    """

    name: str
    looks_for: str
    find: Callable[[Path], Path | None]
    open: Callable[[Path, str, Mapping[str, Any]], DenseDataset]
    splits: Callable[[Path], tuple[str, ...]]


class Reader(ABC, Generic[Record]):
    """A split of a dataset on disk (:class:`ednas.data.sample.DenseDataset`) that reads one sample at a time.

    A subclass says where the parts of a sample lie (``_paths``) and how one part is read (``_load``); sizes,
    indices, names and fingerprints are the same for all.

    Args:
        root: Folder that sources are relative to.
        split: Name of the split.
        info: What the dataset is.
        records: One for each sample.
        options: Everything else that decides what the samples look like.

    Raises:
        DataError: The split is empty.
    """

    def __init__(
        self, *, root: Path, split: str, info: DatasetInfo, records: Sequence[Record], options: StrictModel
    ) -> None:
        if not records:
            raise DataError(f"{root}: split '{split}' of this {info.format} dataset has no samples")
        self.info = info
        self.split = split
        self._root = root
        self._records = records
        self._options = options

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        record = self._record(index)
        paths = self._paths(record)
        image = self._load(IMAGE, record)
        targets: dict[str, Array] = {}
        for name, info in self.info.targets.items():
            if name in paths:
                targets[name] = self._load(name, record)
                _check_size(targets[name], paths[name], image, paths[IMAGE])
            else:
                targets[name] = no_label(info, image.shape[:2])
        return Sample(image=image, targets=targets)

    def problems(self, index: int) -> tuple[str, ...]:
        """Every fault of sample ``index``, one line for each bad file; empty when it can be read."""
        record = self._record(index)
        paths = self._paths(record)
        found: list[str] = []
        image: Array | None = None
        for part in (IMAGE, *(name for name in self.info.targets if name in paths)):
            try:
                values = self._load(part, record)
                if part == IMAGE:
                    image = values
                elif image is not None:
                    _check_size(values, paths[part], image, paths[IMAGE])
            except DataError as error:
                found.append(str(error))
        return tuple(dict.fromkeys(found))

    def labelled(self, targets: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Which samples have a file with a label of one of ``targets``, ``(N,)``; reads none."""
        wanted = set(targets)
        return np.array([not wanted.isdisjoint(self._paths(record)) for record in self._records])

    def remarks(self) -> tuple[str, ...]:
        """What is odd about the split as a whole, one line each; by default nothing."""
        return ()

    def source(self, index: int) -> str:
        """Path of the image of sample ``index`` below the root."""
        return self._name(self._record(index))

    def fingerprint(self) -> str:
        """Hex digest over format, split, options, names, and the size and times of every file.

        The time of the last change of the file's entry is one of them: so a file that is replaced by one of the same
        name, size and modification time changes the digest.
        """
        digest = hashlib.sha256()
        options = self._options.model_dump(mode="json")
        header = [self.info.format, self.split, options, [self._name(record) for record in self._records]]
        digest.update(json.dumps(header, sort_keys=True).encode())
        paths = sorted({path for record in self._records for path in self._paths(record).values()})
        for path in paths:
            name = path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else path.name
            digest.update(os.fsencode(f"{name}|{_state(path)}\n"))
        return digest.hexdigest()

    def _record(self, index: int) -> Record:
        index = operator.index(index)
        if not -len(self._records) <= index < len(self._records):
            raise IndexError(f"sample {index} of {len(self._records)}")
        return self._records[index]

    @abstractmethod
    def _name(self, record: Record) -> str:
        """Name of a sample for people."""

    @abstractmethod
    def _paths(self, record: Record) -> Mapping[str, Path]:
        """Files of a sample by part: ``image``, every target, and any other file that its values depend on.

        A target that is absent has no label in this sample.
        """

    @abstractmethod
    def _load(self, part: str, record: Record) -> Array:
        """Read ``image`` or one target, as :class:`ednas.data.sample.Sample` wants it.

        Raises:
            DataError: The file is missing, corrupt or holds values out of range.
        """


class FileReader(Reader[Mapping[str, str]]):
    """A reader whose samples are separate files; a record holds their paths below the root."""

    def _name(self, record: Mapping[str, str]) -> str:
        return record[IMAGE]

    def _paths(self, record: Mapping[str, str]) -> Mapping[str, Path]:
        return {part: self._root / path for part, path in record.items()}


def relative_path(text: object, where: object, error: type[EdnasError] = DataError) -> str:
    """Return a path that the file ``where`` names, with ``/`` between its parts; it must stay below the root.

    Raises:
        EdnasError: (of class ``error``) it is no text, absolute, climbs out with ``..``, or cannot be a file name.
    """
    # What is ignored are halves of surrogate pairs, which no file name can hold.
    if not isinstance(text, str) or not text or "\0" in text or text != text.encode(errors="ignore").decode():
        raise error(f"{where}: {text!a:.80} is not the path of a file")
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ":" in "".join(path.parts[:1]):
        raise error(f"{where}: the path {text:.80} is absolute; write it from the dataset's folder on")
    if ".." in path.parts:
        raise error(f"{where}: the path {text:.80} leads out of the dataset's folder")
    return str(path)


def choose_split(split: str, known: Sequence[str], where: object) -> str:
    """Return ``split`` if it is one of ``known``.

    Raises:
        DataError: It is not; names those that are.
    """
    if split not in known:
        raise DataError(f"{where}: has no split '{split}'; it has {', '.join(known) or 'none'}")
    return split


def labelled_samples(dataset: DenseDataset, targets: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return which samples have a label of one of ``targets``, ``(N,)``; reads no file."""
    # What does not come from files has every label.
    return dataset.labelled(targets) if isinstance(dataset, Reader) else np.ones(len(dataset), bool)


def split_remarks(dataset: DenseDataset) -> tuple[str, ...]:
    """Return what is odd about a split as a whole, one line each; reads no file."""
    return dataset.remarks() if isinstance(dataset, Reader) else ()


def left_out(files: Sequence[Path], folder: Path, pattern: str) -> tuple[str, ...]:
    """Return the remark that files are not read, as they are not called as a format's images are; none without any."""
    if not files:
        return ()
    example = min(files).relative_to(folder).as_posix()
    return (f"{len(files)} files in {folder} are not called {pattern} and are left out, for example {example}",)


def check_labels(dataset: DenseDataset, targets: Iterable[str]) -> None:
    """Refuse a split in which no sample has a label of one of ``targets``; reads no file.

    Raises:
        DataError: Names the target.
    """
    missing = [name for name in targets if not labelled_samples(dataset, [name]).any()]
    if missing:
        raise DataError(
            f"dataset {dataset.info.name}: no sample of split '{dataset.split}' has a label of {', '.join(missing)}; "
            "look at the target's path, or leave out the task that needs it"
        )


def _check_size(target: Array, path: Path, image: Array, image_path: Path) -> None:
    if target.shape[:2] != image.shape[:2]:
        ours, theirs = (f"{a.shape[0]} x {a.shape[1]}" for a in (target, image))
        raise DataError(f"{path}: is {ours} (height x width), but its image {image_path} is {theirs}")


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return "missing"
    return f"{found.st_size}|{found.st_mtime_ns}|{found.st_ctime_ns}"
