"""Opening a dataset of any format by its path, or one of the built-in scenes by its name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ednas.data.reader import SPLITS, Format
from ednas.data.readers import adashare, cityscapes, folder, mtan, nyuv2
from ednas.data.readers.synthetic import open_scene
from ednas.data.sample import DenseDataset
from ednas.exceptions import ConfigError, DataError
from ednas.files import exists
from ednas.scenes import SCENES

_log = logging.getLogger(__name__)

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        folder.FORMAT,
        adashare.CITYSCAPES_FORMAT,
        adashare.NYUV2_FORMAT,
        mtan.FORMAT,
        cityscapes.FORMAT,
        nyuv2.FORMAT,
    )
}
"""Formats by name, in the order in which they are looked for."""


def register_format(entry: Format) -> None:
    """Add a format; it is looked for after those that are known already.

    Raises:
        ConfigError: There is a format of that name.
    """
    if entry.name in FORMATS:
        raise ConfigError(f"a dataset format '{entry.name}' is registered already")
    FORMATS[entry.name] = entry


def open_dataset(path: str | Path, split: str = "train", **options: Any) -> DenseDataset:
    """Open a split of a dataset; its format is recognised from the path.

    Args:
        path: A ``dataset.yaml``, a folder of a known format, a ``.mat`` file, or ``streets`` or ``rooms`` for the
            built-in procedural data (if there is no such path).
        split: ``train``, ``val``, or another split that the dataset has.
        **options: Options of the format, for example ``num_classes=7``; see the reader's options.

    Returns:
        The split. Samples are read when asked for.

    Raises:
        DataError: Nothing known is at ``path``, or it is damaged, or has no such split.
        ConfigError: An option or a ``dataset.yaml`` is wrong.

    Example:
        >>> dataset = open_dataset("examples/nyuv2.yaml", "val")  # doctest: +SKIP
        >>> dataset[0].targets["depth"].shape  # doctest: +SKIP
        (144, 192)
    """
    if _is_scene(path):
        return open_scene(str(path), split, options)
    entry, found = find_format(path)
    return entry.open(found, split, options)


def open_as_trained(
    path: str | Path, split: str, trained_on: str, trained_with: Mapping[str, Any], options: Mapping[str, Any]
) -> DenseDataset:
    """Open a split for a model: where it is the dataset that the model was trained on, with the options of then.

    Args:
        path: As in :func:`open_dataset`, as are the errors.
        split: As in :func:`open_dataset`.
        trained_on: Name of the dataset that the model was trained on.
        trained_with: Options that it was opened with.
        options: Options that are asked for now; they go first.
    """
    kept = {name: value for name, value in trained_with.items() if name not in options}
    try:
        found = open_dataset(path, split, **options)
    except (DataError, ConfigError):
        # It may be that one that cannot be opened without its options.
        with suppress(DataError, ConfigError):
            as_trained = open_dataset(path, split, **{**kept, **options})
            if as_trained.info.name == trained_on:
                return as_trained
        raise
    if found.info.name != trained_on or not kept:
        return found
    _log.info("%s is opened as in the training, with %s", path, kept)
    return open_dataset(path, split, **{**kept, **options})


def dataset_splits(path: str | Path) -> tuple[str, ...]:
    """Names of the splits of a dataset; ``path`` as in :func:`open_dataset`.

    Raises:
        DataError: Nothing known is at ``path``.
        ConfigError: A ``dataset.yaml`` is wrong.
    """
    if _is_scene(path):
        return SPLITS
    entry, found = find_format(path)
    return entry.splits(found)


def find_format(path: str | Path) -> tuple[Format, Path]:
    """Recognise the format of what is at ``path``.

    Returns:
        The format, and the file or folder that it opens.

    Raises:
        DataError: Nothing known is there; lists what was looked for.
    """
    place = Path(path)
    if not exists(place):
        raise DataError(f"{path!s:.200}: no such file or folder; built-in datasets are {' and '.join(SCENES)}")
    for entry in FORMATS.values():
        found = entry.find(place)
        if found is not None:
            return entry, found
    looked_for = "; ".join(entry.looks_for for entry in FORMATS.values())
    raise DataError(f"{path}: holds no dataset of a known format; looked for {looked_for}")


def _is_scene(path: str | Path) -> bool:
    return str(path) in SCENES and not exists(path)
