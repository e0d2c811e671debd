"""The text of a proposed ``dataset.yaml``, which says why each thing was guessed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from ednas.data.formats import FORMATS
from ednas.data.guess.layout import NO_ROLE, Group, Layout, Matched, find_groups, find_layout, is_near, split_of_folder
from ednas.data.guess.values import Guess, guess_target
from ednas.data.reader import IMAGE, Progress
from ednas.data.readers.folder.tree import Tree, composed
from ednas.exceptions import DataError

_VAL_FRACTION = 0.1


def propose(folder: Path, root: str, progress: Progress | None = None) -> str:
    """Propose the description of a folder.

    Args:
        folder: With images and labels in it, or below it.
        root: How the description names the folder.
        progress: Called for every label file that is read.

    Returns:
        The content of a ``dataset.yaml``, with comments.

    Raises:
        DataError: There is no such folder, it is a dataset of a known format, or nothing in it is recognised.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name the one that holds the images and their labels")
    known = next((entry.name for entry in FORMATS.values() if entry.name != "folder" and entry.find(folder)), None)
    if known is not None:
        raise DataError(
            f"{folder}: is a dataset of the format {known} and needs no description; give its path as it is"
        )
    tree = Tree(folder)
    groups = find_groups(tree)
    layout = find_layout(groups)
    if layout is None:
        raise DataError(f"{folder}: {_what_is_missing(groups)}; docs/bring-your-own-data.md says how to describe it")
    layout, split_lines = _with_splits(layout, tree)
    images = layout.images
    others = [group for group in groups if group.role == IMAGE and group is not images.group]
    target_lines, left_out = _targets(layout, tree, progress)
    if not target_lines:
        raise DataError(f"{folder}: no labels are recognised: {'; '.join(left_out)}")
    lines = [
        "# A proposal of 'ednas data guess'. Look at it with 'ednas data preview', and give the classes their names.",
        f"name: {_text(folder.resolve().name)}",
        f"root: {_text(root)}",
        f"image: {_text(images.pattern)}  # {images.group.count} files in {_place(images.group)}",
        *split_lines,
        "targets:",
        *target_lines,
        *(f"  # Left out: {text}" for text in left_out),
        *(
            f"# Left out: {group.count} more images in {_place(group)}, which may be another of 'parts'"
            for group in others
        ),
    ]
    return "\n".join(lines) + "\n"


def _what_is_missing(groups: Sequence[Group]) -> str:
    if not groups:
        return "holds no PNG, JPEG or NPY file"
    found = ", ".join(f"{group.count} {group.suffix} in {_place(group)}" for group in groups[:6])
    if all(group.role in (IMAGE, NO_ROLE) for group in groups):
        usual = "labels, masks, depth, disparity, normals"
        return f"no name of a folder or file says that there are labels (usual are {usual}); found {found}"
    if not any(group.role in (IMAGE, NO_ROLE) for group in groups):
        return f"no name of a folder or file says that there are images (usual are images, rgb, left); found {found}"
    return f"no labels have the names of images; found {found}; name the pairs in a CSV (pairs: pairs.csv)"


def _with_splits(layout: Layout, tree: Tree) -> tuple[Layout, list[str]]:
    """Return the layout without the images that are in no split, and the lines that describe the splits."""
    images = layout.images
    drawn = f"val_fraction: {_VAL_FRACTION}  # no validation split was found: a share of the images is set apart"
    labelled = {name: set().union(*(labels.ids.get(name, ()) for labels in layout.labels)) for name in images.ids}
    if "{split}" in images.group.folder:
        named = {split_of_folder(name): name for name, ids in labelled.items() if ids}
        if "train" not in named:
            named = {"train": min(named.values())}
        elif "val" not in named and "test" in named:
            named["val"] = named["test"]
        chosen = {split: place for split, place in named.items() if split != "test"}
        ids = {name: images.ids[name] for name in chosen.values()}
        why = "folders that hold images with labels"
    else:
        lists = _list_files(labelled[""], tree)
        chosen = {split: path for split, (path, _) in lists.items()} if "train" in lists else {}
        ids = {"": set().union(*(listed for _, listed in lists.values()))} if chosen else images.ids
        why = "lists of ids"
    entries = ", ".join(f"{split}: {_text(place)}" for split, place in chosen.items())
    lines = [f"splits: {{{entries}}}  # {why}"] if chosen else []
    layout = dataclasses.replace(layout, images=dataclasses.replace(images, ids=ids))
    return layout, lines if "val" in chosen else [*lines, drawn]


def _list_files(labelled: set[str], tree: Tree) -> dict[str, tuple[str, set[str]]]:
    """Return text files that list ids of images with a label, and the ids, by the split that their names say."""
    found: dict[str, tuple[str, set[str]]] = {}
    for path in sorted(tree.files("")):
        name = Path(path)
        if name.suffix == ".txt" and name.stem in ("train", "val"):
            text = (tree.root / path).read_text(encoding="utf-8", errors="replace")
            ids = {composed(line.strip()) for line in text.splitlines() if line.strip()}
            if ids and ids <= labelled:
                found[name.stem] = path, ids
    return found


def _targets(layout: Layout, tree: Tree, progress: Progress | None) -> tuple[list[str], list[str]]:
    """Return the lines of all targets, and what is none, and why."""
    lines: list[str] = []
    left_out = [f"{_place(group)}, {_why_apart(group, layout.images.group)}" for group in layout.others]
    taken: set[str] = set()
    images = layout.images.ids
    total = sum(map(len, images.values()))
    for labels in layout.labels:
        paths = [
            tree.root / tree.on_disk(labels.pattern.replace("{split}", split).replace("{id}", sample))
            for split, known in images.items()
            for sample in sorted(known & labels.ids.get(split, set()))
        ]
        guess = _guess(labels, paths, progress)
        if isinstance(guess, str):
            left_out.append(f"{_place(labels.group)}, {guess}")
            continue
        name = guess.name if guess.name not in taken else _unique(labels.group, taken)
        taken.add(name)
        lines += [
            f"  {name}:",
            f"    kind: {guess.kind}  # {guess.why}",
            f"    path: {_text(labels.pattern)}  # {len(paths)} files for {total} images",
            *(f"    {line}" for line in guess.lines),
        ]
        if len(paths) < total:
            lines.append(f"    partial: true  # {total - len(paths)} images have no such file")
    return lines, left_out


def _why_apart(group: Group, images: Group) -> str:
    if not is_near(group, images):
        return "which is in another place than the images; it may be another of 'parts'"
    return "the names of its files do not fit those of the images"


def _guess(labels: Matched, paths: Sequence[Path], progress: Progress | None) -> Guess | str:
    done = count(1)

    def step() -> None:
        if progress is not None:
            progress(_place(labels.group), next(done), len(paths))

    return guess_target(paths, labels.group.role, step) if paths else "no image that has a split has such a file"


def _unique(group: Group, taken: set[str]) -> str:
    """Return a name for a second target of a kind: that of its folder."""
    word = re.sub(r"\W+", "_", group.folder.replace("{split}", ""), flags=re.ASCII).strip("_0123456789") or group.role
    return next(name for name in (word, *(f"{word}_{i}" for i in range(2, 99))) if name not in taken)


def _place(group: Group) -> str:
    if group.folder:
        return group.folder.replace("{split}", "*")
    is_flat = not any("/" in stem for stems in group.stems.values() for stem in stems)
    return "the folder itself" if is_flat else "its subfolders"


def _text(value: str) -> str:
    """Write a text so that YAML reads it as one, whatever is in it."""
    return json.dumps(value, ensure_ascii=False)
