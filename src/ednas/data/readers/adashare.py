"""The preprocessed CityScapes and NYUv2 of AdaShare (Sun et al., 2020), also used by the EDNAS paper.

**CityScapes**: ``cityscape.json`` holds ``{"train", "train1", "train2", "test": [[image, depth, label2, label7,
label19], ...]}``, paths of ``.npy`` files below the JSON's folder. Image ``(H, W, 3)`` in [0, 1]; depth ``(H, W, 1)``
is the normalised disparity p / 65535, valid above 3e-5; labels ``(H, W)``, -1 = void.

**NYUv2**: ``nyu_v2_3task.json`` holds ``{"train", "test": [[image, segmentation, normals, depth], ...]}``. Image and
segmentation (0..39, 255 = void) are PNG, depth is ``float32`` NPY in metres. Normals are RGB PNG, v / 127.5 - 1, with
R to the right, G into the scene (a surface that faces the camera has G < 127) and B up, so that in our camera frame
x = R, y = -B, z = G; (255, 255, 255) and the zero vector (127, 127, 127) mean "no normal". Recomputing the normals from
the depth maps agrees with this permutation and no other.

Our split ``val`` is their ``test``; ``train1`` and ``train2`` (AdaShare's halves for weights and policy) can be
opened by name where the JSON has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ednas.config import StrictModel, parse
from ednas.data.classes import NYU_40, known_class_names
from ednas.data.decode import decode_depth, decode_labels, decode_normals, parse_axes
from ednas.data.rasters import Array, read_channel, read_image, read_measurements, read_vectors
from ednas.data.reader import IMAGE, FileReader, Format, choose_split, relative_path
from ednas.data.sample import VOID, DatasetInfo, TargetInfo
from ednas.exceptions import DataError
from ednas.files import read_json

CITYSCAPES_INDEX = "cityscape.json"
NYUV2_INDEX = "nyu_v2_3task.json"

SMALLEST_DISPARITY = 3e-5
"""Normalised disparities up to this one are invalid (AdaShare's own mask): p = 0 (not measured) and p = 1 (d = 0)."""

NORMAL_AXES = ("r", "-b", "g")
"""Stored channels of our x, y, z in the normals that Eigen and Fergus distribute for NYUv2."""

_NO_NORMAL = ((255, 255, 255), (127, 127, 127))


class AdaShareCityscapesOptions(StrictModel):
    """Options of :class:`AdaShareCityscapes`.

    Attributes:
        num_classes: Which of the stored label maps to read.
    """

    num_classes: Literal[7, 19] = 19


class AdaShareCityscapes(FileReader):
    """AdaShare's CityScapes: targets ``segmentation`` and ``depth`` (kind ``disparity``).

    Args:
        index: Path of ``cityscape.json``.
        split: ``train``, ``val``, ``train1`` or ``train2``.
        options: See :class:`AdaShareCityscapesOptions`.
    """

    def __init__(self, index: Path, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        chosen = parse(AdaShareCityscapesOptions, options or {}, "options of adashare_cityscapes")
        label = {7: 3, 19: 4}[chosen.num_classes]
        targets = {
            "segmentation": TargetInfo("labels", chosen.num_classes, known_class_names(chosen.num_classes)),
            "depth": TargetInfo("disparity", unit="p/65535"),
        }
        super().__init__(
            root=index.parent,
            split=split,
            info=DatasetInfo("CityScapes (AdaShare)", "adashare_cityscapes", targets),
            records=_records(index, split, 5, {IMAGE: 0, "segmentation": label, "depth": 1}),
            options=chosen,
        )

    def _load(self, part: str, record: Mapping[str, str]) -> Array:
        path = self._root / record[part]
        if part == IMAGE:
            return read_image(path)
        if part == "segmentation":
            classes = self.info.targets[part].num_classes
            return decode_labels(read_channel(path), num_classes=classes, void=(-1, VOID), where=path)
        return decode_depth(read_measurements(path), minimum=SMALLEST_DISPARITY, where=path)


class AdaShareNYUv2(FileReader):
    """AdaShare's NYUv2: targets ``segmentation`` (40 classes), ``depth`` (metres) and ``normals``.

    Args:
        index: Path of ``nyu_v2_3task.json``.
        split: ``train`` or ``val``.
        options: None exist.
    """

    def __init__(self, index: Path, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        chosen = parse(StrictModel, options or {}, "options of adashare_nyuv2")
        targets = {
            "segmentation": TargetInfo("labels", 40, NYU_40),
            "depth": TargetInfo("distance", unit="m"),
            "normals": TargetInfo("normals"),
        }
        super().__init__(
            root=index.parent,
            split=split,
            info=DatasetInfo("NYUv2 (AdaShare)", "adashare_nyuv2", targets),
            records=_records(index, split, 4, {IMAGE: 0, "segmentation": 1, "normals": 2, "depth": 3}),
            options=chosen,
        )

    def _load(self, part: str, record: Mapping[str, str]) -> Array:
        path = self._root / record[part]
        if part == IMAGE:
            return read_image(path)
        if part == "segmentation":
            return decode_labels(read_channel(path), num_classes=40, where=path)
        if part == "depth":
            return decode_depth(read_measurements(path), where=path)
        return decode_normals(read_vectors(path), axes=parse_axes(NORMAL_AXES), invalid=_NO_NORMAL, where=path)


def adashare_splits(index: Path) -> tuple[str, ...]:
    """Names of the splits in an index: ``train`` and ``val`` where it has them.

    Raises:
        DataError: The index is missing or damaged.
    """
    stored = _read_index(index)
    return tuple(ours for ours, theirs in (("train", "train"), ("val", "test")) if theirs in stored)


def _read_index(index: Path) -> dict[str, Any]:
    stored = read_json(index, DataError)
    if not isinstance(stored, dict):
        raise DataError(f"{index}: holds {type(stored).__name__}, expected lists of samples by split")
    return stored


def _records(index: Path, split: str, columns: int, parts: Mapping[str, int]) -> list[dict[str, str]]:
    """Paths of every sample of a split: part -> path, from rows of ``columns`` paths."""
    stored = _read_index(index)
    known = ["val" if key == "test" else str(key) for key in stored]
    rows = stored["test" if choose_split(split, known, index) == "val" and "test" in stored else split]
    if not isinstance(rows, list):
        raise DataError(f"{index}: split '{split}' is {type(rows).__name__}, expected a list of samples")
    records = []
    for number, row in enumerate(rows):
        where = f"{index}: sample {number} of '{split}'"
        if not isinstance(row, list) or len(row) != columns:
            found = f"{len(row)} entries" if isinstance(row, list) else type(row).__name__
            raise DataError(f"{where}: is {found}, expected a list of {columns} paths")
        records.append({part: relative_path(row[column], where) for part, column in parts.items()})
    return records


def _find(name: str, path: Path) -> Path | None:
    if path.is_dir():
        path = path / name
    return path if path.name == name and path.is_file() else None


CITYSCAPES_FORMAT = Format(
    name="adashare_cityscapes",
    looks_for=f"{CITYSCAPES_INDEX} (AdaShare CityScapes)",
    find=lambda path: _find(CITYSCAPES_INDEX, path),
    open=AdaShareCityscapes,
    splits=adashare_splits,
)
NYUV2_FORMAT = Format(
    name="adashare_nyuv2",
    looks_for=f"{NYUV2_INDEX} (AdaShare NYUv2)",
    find=lambda path: _find(NYUV2_INDEX, path),
    open=AdaShareNYUv2,
    splits=adashare_splits,
)
