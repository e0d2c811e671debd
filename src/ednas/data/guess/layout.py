"""Which files of a folder are images, which are their labels, and how their names belong together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import PurePosixPath

from ednas.data.rasters import JPEG_SUFFIXES, SUFFIXES
from ednas.data.reader import IMAGE
from ednas.data.readers.folder.tree import Tree, composed

ROLES: dict[str, tuple[str, ...]] = {
    IMAGE: ("image", "img", "rgb", "left", "color", "colour", "photo", "picture", "still", "jpegimages", "leftimgbit"),
    "labels": (
        *("label", "labeled", "labelled", "mask", "annotation", "annot", "seg", "segmentation", "segmentationclass"),
        *("semantic", "gt", "gtfine", "groundtruth", "labelids", "ids"),
    ),
    "depth": ("depth", "depthmap"),
    "disparity": ("disparity", "disp"),
    "normals": ("normal",),
}
"""What a folder, or the last word of a file's name, says of the files: usual words in small letters."""

NO_ROLE = ""
"""Of files whose names say nothing."""

NO_CLASSES = ("object", "instance", "instances", "panoptic")
"""Words in the names of folders whose numbers are those of single things."""

SPLITS = {"train": ("training", "train"), "val": ("validation", "valid", "val"), "test": ("testing", "test")}
"""Usual names of a split's folder, the longer ones first."""

_SEPARATORS = "_-./ "
_UNWRITABLE = re.compile("[\x00-\x1f\ud800-\udfff]")
"""Of a name: what YAML, or any text, cannot hold on one line."""

_NAMES_OF_SPLITS = "|".join(name for names in SPLITS.values() for name in names)
_BESIDE_A_SPLIT = (
    re.compile(rf"(?P<before>)(?P<split>{_NAMES_OF_SPLITS})(?P<after>.+)", re.IGNORECASE),
    re.compile(rf"(?P<before>.+[_\-. ])(?P<split>{_NAMES_OF_SPLITS})(?P<after>)", re.IGNORECASE),
)
"""Folders like ``train_labels``, ``trainannot`` or ``labels-val``."""

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
class Matched:
    """Images, or labels that fit them.

    Attributes:
        group: The files.
        pattern: As a ``dataset.yaml`` names them.
        ids: Those of the images, or of the images that have such a label, by the split's folder.
    """

    group: Group
    pattern: str
    ids: dict[str, set[str]]


@dataclass(frozen=True)
class Layout:
    """What was found.

    Attributes:
        images: All images.
        labels: What fits them.
        others: Groups of labels that do not.
        score: To compare: number of labels that fit, and how little of the names was cut off for that.
    """

    images: Matched
    labels: list[Matched]
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
    return _by_suffix(groups)


def _by_suffix(groups: Sequence[Group]) -> Layout | None:
    """Find photos and drawings of the same names: ``x.jpg`` and ``x.png``, where nothing else tells them apart."""
    photos = [group for group in groups if group.suffix.lower() in JPEG_SUFFIXES and group.role in (IMAGE, NO_ROLE)]
    for group in photos:
        drawings = [
            replace(other, role="labels")
            for other in groups
            if other.role == group.role and other.folder == group.folder and other.suffix.lower() == ".png"
        ]
        layout = _match(group, ("", ""), drawings)
        if layout.labels:
            return layout
    return None


def _match(images: Group, affixes: tuple[str, str], candidates: Sequence[Group]) -> Layout:
    ids = images.ids(affixes)
    labels, others = [], []
    cut = len("".join(affixes))
    # Several places may have files of the same names: those of another one are labels only if nothing nearer is.
    near = [group for group in candidates if is_near(group, images)] or candidates
    for group in candidates:
        own, matched = _best_match(ids, group) if group in near else (("", ""), {})
        if matched:
            labels.append(Matched(group, group.pattern(own), matched))
            cut += len("".join(own))
        else:
            others.append(group)
    score = (sum(_size(found.ids) for found in labels), -cut)
    return Layout(Matched(images, images.pattern(affixes), ids), labels, others, score)


def _classify(path: PurePosixPath) -> tuple[str, str, str]:
    """Return a file's role, its folder with ``{split}``, and what that stands for."""
    folders = path.parts[:-1]
    named = [index for index, name in enumerate(folders) if _role(name) is not None]
    splits = [index for index, name in enumerate(folders) if _with_split(name) is not None]
    deepest = max([*named[-1:], *splits[:1]], default=-1)
    kept, split = list(folders[: deepest + 1]), ""
    if splits and (found := _with_split(folders[splits[0]])):
        kept[splits[0]], split = found
    lettered = [word for word in re.split(f"[{re.escape(_SEPARATORS)}]", path.stem) if re.search("[A-Za-z]", word)]
    role = _role(folders[named[-1]]) if named else _role_of_word(lettered[-1]) if lettered else None
    return role or NO_ROLE, "/".join(kept), split


def _role(name: str) -> str | None:
    """Return what a folder's name says: as one word, or the only one of its words that says something."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    if whole := _role_of_word(name):
        return whole
    beside = (match for pattern in _BESIDE_A_SPLIT if (match := pattern.fullmatch(name)))
    rests = [part for match in beside for part in (match["before"], match["after"]) if part]
    roles = {role for word in (*words, *rests) if (role := _role_of_word(word))}
    return roles.pop() if len(roles) == 1 and not {word.lower() for word in words} & set(NO_CLASSES) else None


def _role_of_word(word: str) -> str | None:
    word = re.sub("[^a-z]", "", word.lower())
    return next((role for role, words in ROLES.items() if word in words or word.removesuffix("s") in words), None)


def _with_split(name: str) -> tuple[str, str] | None:
    """Return a folder's name with ``{split}`` for the split in it, and that; None where there is none."""
    if _split(name) is not None:
        return "{split}", name
    for pattern in _BESIDE_A_SPLIT:
        match = pattern.fullmatch(name)
        if match and _role(match["before"] + match["after"]):
            return f"{match['before']}{{split}}{match['after']}", match["split"]
    return None


def _split(name: str) -> str | None:
    return next((split for split, names in SPLITS.items() if name.lower() in names), None)


def split_of_folder(name: str) -> str:
    """Return the split whose folder has this name; train if it is none."""
    return _split(name) or "train"


def is_near(group: Group, images: Group) -> bool:
    """Whether two groups are in the same place, as far as their folders say neither role nor split."""
    return _place(group) == _place(images)


def _place(group: Group) -> list[str]:
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
