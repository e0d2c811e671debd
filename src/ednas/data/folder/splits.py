"""Which samples of a part are in a split: a subfolder's, those of a list, those that fit a pattern, or a share."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ednas.data.folder.description import Part
from ednas.data.folder.sources import Pairs, Patterns, source
from ednas.data.folder.tree import composed
from ednas.data.rasters import brief, require_file
from ednas.data.reader import relative_path
from ednas.exceptions import ConfigError, DataError


def find_samples(part: Part, place: Path, split: str) -> list[dict[str, str]]:
    """Find the samples that a part adds to a split.

    Args:
        part: The part.
        place: Its root.
        split: One of the dataset's splits.

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
    files = source(part, place)
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
    files = source(part, place)
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
