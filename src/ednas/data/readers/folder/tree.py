"""Finding the files below a folder, whichever form of Unicode their names are written in.

macOS writes letters with marks as two characters (NFD), most other systems as one (NFC): an archive made there holds
names that look like those in a list, and are others. Names are compared, and samples are called, in NFC.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ednas.exceptions import DataError


def composed(text: str) -> str:
    """Return a name in NFC."""
    return unicodedata.normalize("NFC", text)


class Tree:
    """The files below the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[str, dict[str, list[str]]] = {}

    def on_disk(self, path: str) -> str:
        """Return a path below the root as its names are written on disk; as it is where nothing is there.

        Raises:
            DataError: Two names in a folder are the same but for their form of Unicode, and the path has one of them.
        """
        if path.isascii():
            return path
        found = ""
        for name in path.split("/"):
            same = self._names(found).get(composed(name), [name])
            if len(same) > 1:
                raise DataError(_collision(self.root / found, *same[:2]))
            found = posixpath.join(found, same[0])
        return found

    def files(self, folder: str) -> Iterator[str]:
        """Yield the paths below the root of the files in a folder and below it; through links, without hidden ones."""
        for path in self._below(self.root / self.on_disk(folder), frozenset()):
            yield path.relative_to(self.root).as_posix()

    def ids(self, pattern: str) -> list[str]:
        """Return what ``{id}`` stands for in the paths of the files that fit a pattern, in NFC, sorted.

        Raises:
            DataError: Two files have the same name but for its form of Unicode.
        """
        expression = pattern_expression(pattern)
        found: dict[str, str] = {}
        for path in self.files(pattern_folder(pattern)):
            match = expression.fullmatch(composed(path))
            if match is not None and (first := found.setdefault(match["id"], path)) != path:
                raise DataError(_collision(self.root, *sorted((first, path))))
        return sorted(found)

    def _below(self, folder: Path, above: frozenset[str]) -> Iterator[Path]:
        place = os.path.realpath(folder)
        if place in above:  # links in a circle
            return
        try:
            found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        except OSError:  # whoever reads the file says that it cannot be read
            return
        for path in found:
            if path.is_dir():
                yield from self._below(path, above | {place})
            else:
                yield path

    def _names(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            with suppress(OSError):  # whoever reads the file says that it cannot be read
                for name in sorted(path.name for path in (self.root / folder).iterdir()):
                    names.setdefault(composed(name), []).append(name)
            self._listed[folder] = names
        return self._listed[folder]


def pattern_folder(pattern: str) -> str:
    """Return the folder in which, or below which, all files lie that fit a pattern with ``{id}``."""
    return pattern.partition("{id}")[0].rpartition("/")[0]


def pattern_expression(pattern: str) -> re.Pattern[str]:
    """Return what the paths, in NFC, of a pattern with ``{id}`` match."""
    before, *between = (re.escape(composed(text)) for text in pattern.split("{id}"))
    return re.compile(before + "(?P<id>.+)" + "(?P=id)".join(between))


def _collision(folder: Path, first: str, second: str) -> str:
    return (
        f"{folder}: {first!a} and {second!a} are the same name, in two forms of Unicode; remove one of them, or give "
        "it another name"
    )
