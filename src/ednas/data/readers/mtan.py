"""The preprocessed NYUv2 and CityScapes of MTAN (Liu et al., 2019), as LibMTL uses them too.

``{train,val}/{image,label,depth,normal}/{i}.npy``: image ``(H, W, 3)`` in [0, 1]; label ``(H, W)``, -1 = void; depth
``(H, W, 1)``, 0 = invalid; normal ``(H, W, 3)`` unit vectors, zero = invalid. CityScapes has no normals, and its label
maps may lie in ``label_7`` and ``label_19`` instead of ``label``. NYUv2 has 13 classes and depth in metres; CityScapes
has 7 or 19 classes and normalised disparity (its largest value, 0.4922, is the 32257 / 65535 of the raw files), of
which values up to 3e-5 (p = 0 and p = 1) are invalid as in AdaShare's copy of the same files.

**Axes of the normals.** MTAN does not document them. Its author says that they were taken unchanged from the files
that Eigen and Fergus distribute; AdaShare's are the same files, whose axes we verified against depth (x right, y into
the scene, z up: ``("r", "-b", "g")``), and MTAN's successors negate channel 0 when they mirror a sample, so channel 0
is x. That convention is therefore the default. ``ednas data check`` warns when most normals face away from the camera;
the option ``normal_axes`` sets another permutation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from ednas.config import StrictModel, parse
from ednas.data.classes import known_class_names
from ednas.data.decode import decode_depth, decode_labels, decode_normals, parse_axes
from ednas.data.rasters import Array, brief, read_channel, read_image, read_measurements, read_vectors
from ednas.data.reader import IMAGE, SPLITS, FileReader, Format, choose_split, left_out
from ednas.data.readers.adashare import NORMAL_AXES, SMALLEST_DISPARITY
from ednas.data.sample import VOID, DatasetInfo, TargetInfo
from ednas.exceptions import ConfigError, DataError

_PROBES = 16


class MTANOptions(StrictModel):
    """Options of :class:`MTAN`.

    Attributes:
        num_classes: Number of classes; None: 13 if there are normals (NYUv2), else (CityScapes) the largest of the
            folders ``label_19`` and ``label_7``, else 7 or 19 by the ids in some of the label maps.
        depth: Kind of the depth target; None: ``distance`` if there are normals (NYUv2), else ``disparity``.
        normal_axes: Stored channels of our x, y, z, see :func:`ednas.data.decode.parse_axes`.
    """

    num_classes: int | None = Field(default=None, ge=1, le=255)
    depth: Literal["distance", "disparity"] | None = None
    normal_axes: tuple[str, str, str] = NORMAL_AXES

    @field_validator("normal_axes")
    @classmethod
    def _check_axes(cls, value: tuple[str, str, str]) -> tuple[str, str, str]:
        parse_axes(value)
        return value


class MTAN(FileReader):
    """MTAN's NYUv2 or CityScapes: targets ``segmentation``, ``depth`` and, for NYUv2, ``normals``.

    At most a few label maps are read at once, to tell 7 from 19 classes.

    Args:
        root: Folder with ``train`` and ``val``.
        split: ``train`` or ``val``.
        options: See :class:`MTANOptions`.
    """

    def __init__(self, root: Path, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        chosen = parse(MTANOptions, options or {}, "options of mtan")
        choose_split(split, mtan_splits(root), root)
        folders = _target_folders(root / split, chosen.num_classes)
        if not folders:
            raise DataError(f"{root / split}: has none of the folders label, label_7, label_19, depth, normal")
        nyu = "normals" in folders
        targets: dict[str, TargetInfo] = {}
        if "segmentation" in folders:
            classes = chosen.num_classes or (13 if nyu else _count_classes(root, folders["segmentation"]))
            targets["segmentation"] = TargetInfo("labels", classes, known_class_names(classes))
        if "depth" in folders:
            kind = chosen.depth or ("distance" if nyu else "disparity")
            targets["depth"] = TargetInfo(kind, unit="m" if kind == "distance" else "p/65535")
        if nyu:
            targets["normals"] = TargetInfo("normals")
        self._axes = parse_axes(chosen.normal_axes)
        super().__init__(
            root=root,
            split=split,
            info=DatasetInfo("NYUv2 (MTAN)" if nyu else "CityScapes (MTAN)", "mtan", targets),
            records=[
                {part: f"{split}/{folder}/{name}" for part, folder in {IMAGE: IMAGE, **folders}.items()}
                for name in _file_names(root / split / IMAGE)
            ],
            options=chosen,
        )

    def remarks(self) -> tuple[str, ...]:
        """Files among the images that are no arrays."""
        folder = self._root / self.split / IMAGE
        return left_out([path for path in folder.glob("[!.]*") if path.suffix != ".npy"], folder, "*.npy")

    def _load(self, part: str, record: Mapping[str, str]) -> Array:
        path = self._root / record[part]
        if part == IMAGE:
            return read_image(path)
        target = self.info.targets[part]
        if target.kind == "labels":
            return decode_labels(read_channel(path), num_classes=target.num_classes, void=(-1, VOID), where=path)
        if target.kind == "normals":
            return decode_normals(read_vectors(path), axes=self._axes, where=path)
        minimum = SMALLEST_DISPARITY if target.kind == "disparity" else None
        return decode_depth(read_measurements(path), minimum=minimum, where=path)


def mtan_splits(root: Path) -> tuple[str, ...]:
    """Splits that have a folder of images."""
    return tuple(split for split in SPLITS if (root / split / IMAGE).is_dir())


def _target_folders(folder: Path, num_classes: int | None) -> dict[str, str]:
    """Folder of each target that a split has."""
    wanted = ("label_19", "label_7") if num_classes is None else (f"label_{num_classes}",)
    labels = [name for name in (*wanted, "label") if (folder / name).is_dir()]
    others = sorted(path.name for path in folder.glob("label_*") if path.is_dir())
    if not labels and others:
        raise ConfigError(f"{folder}: has no labels of {num_classes} classes; num_classes must fit {', '.join(others)}")
    found = {"segmentation": labels[0]} if labels else {}
    pairs = (("depth", "depth"), ("normals", "normal"))
    return found | {target: name for target, name in pairs if (folder / name).is_dir()}


def _count_classes(root: Path, folder: str) -> int:
    """7 or 19, by the folder's name or the ids in label maps spread over the first split (so that all splits agree)."""
    if folder != "label":
        return int(folder.removeprefix("label_"))
    labels = root / mtan_splits(root)[0] / folder
    names = _file_names(labels)
    largest = -1.0
    for name in names[:: max(1, len(names) // _PROBES)]:
        try:
            values = read_channel(labels / name)
        except DataError:  # named when the sample itself is read
            continue
        classes = values[values < VOID]
        largest = max(largest, float(classes.max())) if classes.size else largest
    return 7 if largest < 7 else 19


def _file_names(folder: Path) -> list[str]:
    """Names of the arrays in a folder, in the order of their numbers."""
    try:
        names = [path.name for path in folder.iterdir() if path.suffix == ".npy" and not path.name.startswith(".")]
    except OSError as cause:
        raise DataError(f"{folder}: cannot be listed ({brief(cause)})") from cause
    return sorted(names, key=lambda name: (len(name), name))


def _find(path: Path) -> Path | None:
    return path if any(any((path / split / IMAGE).glob("*.npy")) for split in SPLITS) else None


FORMAT = Format(
    name="mtan",
    looks_for="train/image/*.npy (MTAN, LibMTL)",
    find=_find,
    open=MTAN,
    splits=mtan_splits,
)
