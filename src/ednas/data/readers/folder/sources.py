"""Which samples of a part are in a split, and where their files are: named by patterns, or listed in a CSV."""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ednas.data.rasters import SUFFIXES, brief, require_file
from ednas.data.reader import IMAGE, relative_path
from ednas.data.readers.folder.description import Part
from ednas.data.readers.folder.tree import Tree, composed, pattern_expression, pattern_folder
from ednas.exceptions import ConfigError, DataError

_ANY_PICTURE = r"\.(png|jpe?g|jpe|jfif|bmp|webp|tiff?|gif|npy)"


def find_samples(part: Part, place: Path, split: str) -> list[dict[str, str]]:
    """Find the samples that a part, whose root is ``place``, adds to one of the dataset's splits.

    Returns:
        In a fixed order, the files of every sample below ``place``: the image, and those of the targets with a label.

    Raises:
        DataError: There is no image, or a list cannot be read.
        ConfigError: The split's selector is wrong.
    """
    config = part.config
    if split not in config.split_names():
        return []
    _, selector = config.selector(split)
    files = _source(part, place)
    value = _folder(part, files, split)
    if selector.endswith(".txt"):
        ids = _read_list(place / relative_path(selector, part.where, ConfigError), part.where)
    elif _is_pattern(selector):
        ids = [sample for sample in files.ids(value) if fnmatch.fnmatchcase(sample, composed(selector))]
    else:
        ids = files.ids(value)
    if config.val_fraction is not None and split in ("train", "val"):
        held_out = _draw(ids, config.val_fraction, config.split_seed)
        ids = [sample for sample in ids if (sample in held_out) == (split == "val")]
    return [files.files(value, sample) for sample in ids]


def find_left_out(part: Part, place: Path, split: str) -> list[str]:
    """Return the files below ``place`` that a pattern would find under another suffix (:meth:`Patterns.left_out`)."""
    files = _source(part, place)
    _, selector = part.config.selector(split)
    if split not in part.config.split_names() or selector.endswith(".txt") or isinstance(files, Pairs):
        return []
    return files.left_out(_folder(part, files, split))


def _folder(part: Part, files: Patterns | Pairs, split: str) -> str:
    """Return what ``{split}`` stands for."""
    name, selector = part.config.selector(split)
    if selector.endswith(".txt") or _is_pattern(selector):
        return name
    if "{split}" not in files.template:
        key = "image" if part.config.pairs is None else "pairs"
        raise ConfigError(
            f"{part.where}: split '{name}' is the subfolder '{selector}', but {key} '{files.template}' lacks "
            "{split}; add it, or give a list (.txt) or a pattern of ids (*)"
        )
    return relative_path(selector, part.where, ConfigError)


def _is_pattern(selector: str) -> bool:
    return any(sign in selector for sign in "*?[")


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
        sample = composed(relative_path(text, f"{path}:{number}"))
        if sample in found:
            raise DataError(f"{path}:{number}: '{sample}' is listed twice (first in line {found[sample]})")
        found[sample] = number
    if not found:
        raise DataError(f"{path}: lists no ids ({where} names it as a split)")
    return list(found)


def _draw(ids: Sequence[str], fraction: float, seed: int) -> frozenset[str]:
    """Choose a share of ``ids`` by their digests: independent of the machine, nearly stable when ids are added."""
    count = min(max(1, round(len(ids) * fraction)), len(ids) - 1)
    ranked = sorted(ids, key=lambda sample: hashlib.sha256(os.fsencode(f"{seed}/{sample}")).digest())
    return frozenset(ranked[:count])


class Patterns:
    """Files whose paths hold the id of their sample.

    Attributes:
        template: What names the images; may hold ``{split}``.
    """

    def __init__(self, template: str, part: Part, tree: Tree) -> None:
        self.template = template
        self._part = part
        self._tree = tree
        self._patterns = {IMAGE: template, **{name: target.path or "" for name, target in part.targets.items()}}
        self._may_lack = {name for name, target in part.targets.items() if target.partial}

    def ids(self, value: str) -> list[str]:
        """Return the ids of all images on disk, in a fixed order, where ``{split}`` is ``value``.

        Raises:
            DataError: There is none.
        """
        pattern = self.template.replace("{split}", value)
        folder = self._tree.root / self._tree.on_disk(pattern_folder(pattern))
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; {self._part.where} expects images there ({pattern})")
        found = self._tree.ids(pattern)
        # In a folder with the images, 1_mask.png is the label of 1.png, not an image.
        others = {path.replace("{split}", value) for path in self._patterns.values()} - {pattern}
        labels = {path.replace("{id}", sample) for path in others for sample in found}
        found = [sample for sample in found if pattern.replace("{id}", sample) not in labels]
        if not found:
            raise DataError(f"{folder}: has no image that fits '{pattern}' ({self._part.where})")
        return found

    def files(self, value: str, sample: str) -> dict[str, str]:
        """Return the files of the sample of an id below the root: the image, and those of the targets with a label."""
        paths = {
            name: self._tree.on_disk(pattern.replace("{split}", value).replace("{id}", sample))
            for name, pattern in self._patterns.items()
        }
        # A link that leads nowhere is a fault of the data, not a sample without a label.
        missing = {name for name in self._may_lack if not os.path.lexists(self._tree.root / paths[name])}
        return {name: path for name, path in paths.items() if name not in missing}

    def left_out(self, value: str) -> list[str]:
        """Files that a pattern would find under another suffix: images that are no labels, and labels that may lack."""
        known = [pattern_expression(pattern.replace("{split}", value)) for pattern in self._patterns.values()]
        images = set(self.ids(value))
        found: list[str] = []
        for name in (IMAGE, *sorted(self._may_lack)):
            stem = PurePosixPath(self._patterns[name]).with_suffix("").as_posix().replace("{split}", value)
            relaxed = re.compile(pattern_expression(stem).pattern + _ANY_PICTURE, re.IGNORECASE)
            for path in self._tree.files(pattern_folder(stem)):
                match = relaxed.fullmatch(composed(path))
                if match is None or any(one.fullmatch(composed(path)) for one in known):
                    continue
                sample = match["id"]
                if name == IMAGE or (sample in images and name not in self.files(value, sample)):
                    found.append(path)
        return sorted(set(found))


class Pairs:
    """Files that a CSV lists: a line for each sample, whose id is the path of its image.

    Attributes:
        template: What names the CSV; may hold ``{split}``.
    """

    def __init__(self, template: str, part: Part, tree: Tree) -> None:
        self.template = template
        self._part = part
        self._tree = tree
        self._read: dict[str, dict[str, dict[str, str]]] = {}

    def ids(self, value: str) -> list[str]:
        """Return the images of the CSV, as :meth:`Patterns.ids` does."""
        return list(self._samples(value))

    def files(self, value: str, sample: str) -> dict[str, str]:
        """Return what the CSV says of an image, as :meth:`Patterns.files` does.

        Raises:
            DataError: It has no such image.
        """
        samples = self._samples(value)
        if sample not in samples:
            raise DataError(f"{self._path(value)}: has no image '{sample}'; a list of ids holds such images")
        return {name: self._tree.on_disk(path) for name, path in samples[sample].items()}

    def _samples(self, value: str) -> Mapping[str, dict[str, str]]:
        if value not in self._read:
            self._read[value] = read_pairs(self._path(value), list(self._part.targets))
        return self._read[value]

    def _path(self, value: str) -> Path:
        return self._tree.root / self._tree.on_disk(self.template.replace("{split}", value))


def _source(part: Part, place: Path) -> Patterns | Pairs:
    """Return where the files of a part are that lies at ``place``."""
    if part.config.pairs is not None:
        return Pairs(part.config.pairs, part, Tree(place))
    assert part.config.image is not None  # checked by the description
    return Patterns(part.config.image, part, Tree(place))


def read_pairs(path: Path, targets: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read a CSV with the columns ``image`` and one of each target's name; others are not looked at.

    Returns:
        By the path of the image, in NFC: the paths of the image and of the targets whose cell is not empty.

    Raises:
        DataError: The file is missing or no CSV, a column is missing or there twice, a line is there twice, or a cell
            is no path of a file that we read; names the line.
    """
    require_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            _check_header(path, reader.fieldnames or [], [IMAGE, *targets])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise DataError(f"{path}: cannot be read as a CSV ({brief(cause)})") from cause
    found: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    for number, row in rows:
        where = f"{path}:{number}"
        if None in row:
            raise DataError(f"{where}: has more cells than the header; put a path with a comma in quotes")
        files = {name: _file(row[name].strip(), where) for name in (IMAGE, *targets) if row[name].strip()}
        if IMAGE not in files:
            raise DataError(f"{where}: names no image")
        image = composed(files[IMAGE])
        if image in found:
            raise DataError(f"{where}: '{image}' is listed twice (first in line {lines[image]})")
        found[image], lines[image] = files, number
    if not found:
        raise DataError(f"{path}: lists no images")
    return found


def _check_header(path: Path, columns: Sequence[str], wanted: Sequence[str]) -> None:
    missing = next((name for name in wanted if name not in columns), None)
    if missing is not None:
        raise DataError(
            f"{path}: has no column '{missing}'; its first line, with commas, must name {', '.join(wanted)}, and is "
            f"{', '.join(columns):.120}"
        )
    name, count = Counter(columns).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path}: has {count} columns '{name}'; give each column its own name")


def _file(text: str, where: str) -> str:
    path = relative_path(text, where)
    if PurePosixPath(path).suffix.lower() not in SUFFIXES:
        raise DataError(f"{where}: '{path:.80}' must end in one of {', '.join(SUFFIXES)}")
    return path
