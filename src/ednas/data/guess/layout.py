"""Which files of a folder are images, which are their labels, and how their names belong together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import PurePosixPath

from ednas.data.folder.tree import Tree, composed
from ednas.data.rasters import SUFFIXES
from ednas.data.reader import IMAGE

ROLES: dict[str, tuple[str, ...]] = {
    IMAGE: ("image", "img", "rgb", "left", "color", "colour", "photo", "picture", "jpegimages", "leftimgbit"),
    "labels": (
        *("label", "mask", "annotation", "seg", "segmentation", "segmentationclass", "semantic", "gt", "gtfine"),
        *("groundtruth", "labelids", "ids"),
    ),
    "depth": ("depth", "depthmap"),
    "disparity": ("disparity", "disp"),
    "normals": ("normal",),
}
"""What a folder, or the last word of a file's name, says of the files: usual words in small letters."""

NO_ROLE = ""
"""Of files whose names say nothing."""

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""Usual names of a split's folder."""

_SEPARATORS = "_-./ "
_UNWRITABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
"""Of a name: what YAML, or any text, cannot hold on one line."""

_LEAST_MATCHED = 0.5


@dataclass(frozen=True)
class Group:
    """Files of one role, place and kind.

    Attributes:
        role: One of :data:`ROLES`, or :data:`NO_ROLE`.
        folder: Where they are; ``{split}`` stands for what :attr:`stems` has as keys.
        suffix: What their names end in.
        stems: By the name of the split's folder (empty: there is none), the paths below the folder, without suffix.
    """

    role: str
    folder: str
    suffix: str
    stems: dict[str, list[str]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of files."""
        return sum(map(len, self.stems.values()))

    def pattern(self, affixes: tuple[str, str]) -> str:
        """Return the pattern of the files, with ``{id}`` between ``affixes``."""
        before, after = affixes
        return str(PurePosixPath(self.folder) / f"{before}{{id}}{after}{self.suffix}")

    def ids(self, affixes: tuple[str, str]) -> dict[str, set[str]]:
        """Return the ids of each split's files that have the affixes."""
        before, after = affixes
        return {
            split: {
                stem[len(before) : len(stem) - len(after)]
                for stem in stems
                if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after)
            }
            for split, stems in self.stems.items()
        }


@dataclass(frozen=True)
class Labels:
    """A group of labels that fit the images.

    Attributes:
        group: The files.
        pattern: As a ``dataset.yaml`` names them.
        ids: Those of the images that have such a label, by the split's folder.
    """

    group: Group
    pattern: str
    ids: dict[str, set[str]]


@dataclass(frozen=True)
class Layout:
    """What was found.

    Attributes:
        group: The images.
        pattern: As a ``dataset.yaml`` names them.
        ids: Those of all images, by the split's folder.
        labels: What fits them.
        others: Groups of labels that do not.
        score: To compare: number of labels that fit, and how little of the names was cut off for that.
    """

    group: Group
    pattern: str
    ids: dict[str, set[str]]
    labels: list[Labels]
    others: list[Group]
    score: tuple[int, int]


def find_groups(tree: Tree) -> list[Group]:
    """Sort the pictures and arrays below a folder by role, place and kind; the largest groups first."""
    groups: dict[tuple[str, str, str], Group] = {}
    for path in sorted(map(composed, tree.files(""))):
        place = PurePosixPath(path)
        if place.suffix.lower() not in SUFFIXES or _UNWRITABLE.search(path):
            continue
        role, folder, split = _classify(place)
        group = groups.setdefault((role, folder, place.suffix), Group(role, folder, place.suffix))
        below = place.with_suffix("").parts[len(PurePosixPath(folder).parts) :]
        group.stems.setdefault(split, []).append("/".join(below))
    return sorted(groups.values(), key=lambda group: -group.count)


def find_layout(groups: Sequence[Group]) -> Layout | None:
    """Find the images and the labels whose names fit theirs; None where nothing fits."""
    candidates = [group for group in groups if group.role not in (IMAGE, NO_ROLE)]
    for role in (IMAGE, NO_ROLE):
        layouts = [
            _match(group, affixes, candidates) for group in groups if group.role == role for affixes in _affixes(group)
        ]
        best = max(layouts, key=lambda layout: layout.score, default=None)
        if best is not None and best.labels:
            return best
    return None


def _match(images: Group, affixes: tuple[str, str], candidates: Sequence[Group]) -> Layout:
    ids = images.ids(affixes)
    labels, others = [], []
    cut = len("".join(affixes))
    # Several places may have files of the same names: those of another one are labels only if nothing nearer is.
    near = [group for group in candidates if _place(group) == _place(images)] or candidates
    for group in candidates:
        own, matched = _best_match(ids, group) if group in near else (("", ""), {})
        if matched:
            labels.append(Labels(group, group.pattern(own), matched))
            cut += len("".join(own))
        else:
            others.append(group)
    return Layout(
        images, images.pattern(affixes), ids, labels, others, (sum(_size(found.ids) for found in labels), -cut)
    )


def _classify(path: PurePosixPath) -> tuple[str, str, str]:
    """Return a file's role, its folder with ``{split}``, and what that stands for."""
    folders = path.parts[:-1]
    named = [index for index, name in enumerate(folders) if _role(name) is not None]
    splits = [index for index, name in enumerate(folders) if _split(name) is not None]
    deepest = max([*named[-1:], *splits[:1]], default=-1)
    split = folders[splits[0]] if splits else ""
    kept = ["{split}" if splits and index == splits[0] else name for index, name in enumerate(folders[: deepest + 1])]
    by_name = _role(re.split(f"[{re.escape(_SEPARATORS)}]", path.stem)[-1])
    role = _role(folders[named[-1]]) if named else by_name
    return role or NO_ROLE, "/".join(kept), split


def _role(name: str) -> str | None:
    word = re.sub("[^a-z]", "", name.lower())
    return next((role for role, words in ROLES.items() if word in words or word.removesuffix("s") in words), None)


def _split(name: str) -> str | None:
    return next((split for split, names in SPLITS.items() if name.lower() in names), None)


def split_of_folder(name: str) -> str:
    """Return the split whose folder has this name; train if it is none."""
    return _split(name) or "train"


def _place(group: Group) -> list[str]:
    """Return the folders above a group that say neither role nor split."""
    return [name for name in group.folder.split("/") if name not in ("", "{split}") and _role(name) is None]


def _affixes(group: Group) -> list[tuple[str, str]]:
    """Return what may stand before and after the id in the names of a group: nothing, or what all of them share."""
    stems = [stem for of_split in group.stems.values() for stem in of_split]
    before = _shared_start(stems)
    after = _shared_start([stem[::-1] for stem in stems])[::-1]
    # Digits are of the id, and so are letters that all ids happen to share; where a word ends, nobody knows.
    to_separator = before[: max(before.rfind(sign) for sign in _SEPARATORS) + 1]
    from_separator = re.sub(f"^[^{re.escape(_SEPARATORS)}]+", "", after)
    befores = {"", before.rstrip("0123456789"), to_separator}
    afters = {"", after.lstrip("0123456789"), from_separator}
    return sorted(product(befores, afters), key=lambda pair: (len(pair[0] + pair[1]), pair))


def _shared_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return next((first[:i] for i, letter in enumerate(first) if last[i : i + 1] != letter), first)


def _best_match(images: Mapping[str, set[str]], group: Group) -> tuple[tuple[str, str], dict[str, set[str]]]:
    """Return the affixes with which the names of most labels fit those of images, and the ids that do."""
    best: tuple[tuple[str, str], dict[str, set[str]]] = (("", ""), {})
    for affixes in _affixes(group):
        ids = group.ids(affixes)
        matched = {
            split: found & ids.get(split if "{split}" in group.folder else "", set()) for split, found in images.items()
        }
        if _size(matched) > _size(best[1]) and _size(matched) >= _LEAST_MATCHED * min(group.count, _size(images)):
            best = affixes, matched
    return best


def _size(ids: Mapping[str, Iterable[str]]) -> int:
    return sum(len(set(found)) for found in ids.values())
