"""Cityscapes as its authors distribute it (Cordts et al., 2016).

``leftImg8bit/{split}/{city}/*_leftImg8bit.png``, ``gtFine/.../*_gtFine_labelIds.png``, optionally
``disparity/.../*_disparity.png`` and ``camera/.../*_camera.json``. Of the label ids 0 to 33 the 19 evaluated ones
become train ids 0 to 18 (or their 7 categories), all others are void. A 16-bit disparity p is invalid at p = 0, else
the disparity is d = (p - 1) / 256 pixels, and the depth is f B / d metres with the focal length f and the baseline B
of the camera file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field, PositiveInt

from ednas.config import StrictModel, parse
from ednas.data.classes import CITYSCAPES_CATEGORIES, CITYSCAPES_TRAIN_IDS, known_class_names
from ednas.data.decode import decode_depth, decode_labels
from ednas.data.rasters import Array, read_channel, read_image, resize_nearest
from ednas.data.reader import IMAGE, SPLITS, FileReader, Format, choose_split, left_out
from ednas.data.readers.adashare import SMALLEST_DISPARITY
from ednas.data.sample import VOID, DatasetInfo, TargetInfo
from ednas.exceptions import DataError
from ednas.files import read_json

IMAGES = "leftImg8bit"

_ENDS = {
    IMAGE: (IMAGES, "_leftImg8bit.png"),
    "segmentation": ("gtFine", "_gtFine_labelIds.png"),
    "depth": ("disparity", "_disparity.png"),
    "camera": ("camera", "_camera.json"),
}


class CityscapesOptions(StrictModel):
    """Options of :class:`Cityscapes`.

    Attributes:
        num_classes: 19 train ids, or their 7 categories.
        depth: ``disparity``: p / 65535, as in the multi-task literature; ``metric``: metres, by the camera files;
            ``none``: no depth; ``auto``: ``disparity`` if the folder exists.
        max_depth: Metres beyond which metric depth is invalid: a disparity of 2 of 65535 would be 127 km, and a few
            such pixels make the mean error. 80 is what depth on Cityscapes is measured up to.
        size: Height and width to resize to (image by area, labels by nearest neighbour); None: as stored. A
            disparity keeps its value, as in AdaShare's and MTAN's copies.
    """

    num_classes: Literal[7, 19] = 19
    depth: Literal["auto", "disparity", "metric", "none"] = "auto"
    max_depth: float = Field(default=80.0, gt=0)
    size: tuple[PositiveInt, PositiveInt] | None = None


class Cityscapes(FileReader):
    """Raw Cityscapes: targets ``segmentation`` and, if there are disparities, ``depth``.

    Args:
        root: Folder with ``leftImg8bit`` and ``gtFine``.
        split: ``train`` or ``val`` (``test`` has no public labels).
        options: See :class:`CityscapesOptions`.
    """

    def __init__(self, root: Path, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        chosen = parse(CityscapesOptions, options or {}, "options of cityscapes")
        choose_split(split, cityscapes_splits(root), root)
        depth = chosen.depth
        if depth == "auto":
            depth = "disparity" if (root / "disparity" / split).is_dir() else "none"
        names = known_class_names(chosen.num_classes)
        targets = {"segmentation": TargetInfo("labels", chosen.num_classes, names)}
        if depth == "disparity":
            targets["depth"] = TargetInfo("disparity", unit="p/65535")
        elif depth == "metric":
            targets["depth"] = TargetInfo("distance", unit="m")
        self._metric = depth == "metric"
        self._max_depth = chosen.max_depth
        self._size = chosen.size
        parts = (IMAGE, *targets, "camera") if self._metric else (IMAGE, *targets)
        super().__init__(
            root=root,
            split=split,
            info=DatasetInfo("Cityscapes", "cityscapes", targets),
            records=[_record(split, scene, parts) for scene in _scenes(root, split)],
            options=chosen,
        )

    def remarks(self) -> tuple[str, ...]:
        """Files among the images that are called otherwise."""
        end = _ENDS[IMAGE][1]
        folder = self._root / IMAGES / self.split
        others = [path for path in folder.glob("*/[!.]*") if not path.name.endswith(end) and path.is_file()]
        return left_out(others, folder, f"*{end}")

    def _load(self, part: str, record: Mapping[str, str]) -> Array:
        path = self._root / record[part]
        if part == IMAGE:
            image = read_image(path)
            if self._size is None:
                return image
            return np.array(Image.fromarray(image).resize(self._size[::-1], Image.Resampling.BOX))
        stored = read_channel(path)
        if self._size is not None:
            stored = resize_nearest(stored, self._size)
        if part == "segmentation":
            return _train_ids(stored, self.info.targets[part].num_classes, path)
        if self._metric:
            return _metric_depth(stored, self._root / record["camera"], path, self._max_depth)
        return decode_depth(_sixteen_bits(stored, path), scale=1 / 65535, minimum=SMALLEST_DISPARITY, where=path)


def cityscapes_splits(root: Path) -> tuple[str, ...]:
    """Splits with labels that have a folder of images."""
    return tuple(split for split in SPLITS if (root / IMAGES / split).is_dir())


def _scenes(root: Path, split: str) -> list[str]:
    """``city/name`` of every image, without the ending."""
    folder = root / IMAGES / split
    end = _ENDS[IMAGE][1]
    found = (path.relative_to(folder).as_posix() for path in folder.glob(f"*/[!.]*{end}"))
    return sorted(name.removesuffix(end) for name in found)


def _record(split: str, scene: str, parts: tuple[str, ...]) -> dict[str, str]:
    return {part: f"{_ENDS[part][0]}/{split}/{scene}{_ENDS[part][1]}" for part in parts}


def _train_ids(values: Array, num_classes: int, path: Path) -> Array:
    ids = CITYSCAPES_TRAIN_IDS
    if num_classes == 7:
        ids = {stored: CITYSCAPES_CATEGORIES[train] for stored, train in ids.items()}
    # Id -1 (licence plates) is stored as 255.
    void = [*(i for i in range(34) if i not in ids), VOID]
    return decode_labels(values, num_classes=num_classes, id_map=ids.items(), void=void, where=path)


def _sixteen_bits(values: Array, path: Path) -> Array:
    if values.dtype == np.uint8:
        raise DataError(f"{path}: has 8 bits per pixel; a Cityscapes disparity has 16")
    return values


def _metric_depth(values: Array, camera: Path, path: Path, maximum: float) -> Array:
    """Depth f B / d in metres; 0 where the disparity is invalid or zero, or the depth above the maximum."""
    disparity = (_sixteen_bits(values, path).astype(np.float32) - 1) / 256
    depth = np.divide(_focal_times_baseline(camera), disparity, where=disparity > 0, out=np.zeros_like(disparity))
    return decode_depth(depth, maximum=maximum, where=path)


def _focal_times_baseline(camera: Path) -> float:
    stored = read_json(camera, DataError)
    try:
        product = float(stored["intrinsic"]["fx"]) * float(stored["extrinsic"]["baseline"])
    except (TypeError, KeyError, ValueError, OverflowError):
        raise DataError(f"{camera}: lacks the numbers intrinsic.fx and extrinsic.baseline") from None
    if not (math.isfinite(product) and product > 0):
        raise DataError(f"{camera}: intrinsic.fx times extrinsic.baseline is {product:g}, expected a positive number")
    return product


FORMAT = Format(
    name="cityscapes",
    looks_for=f"{IMAGES}/ and gtFine/ (raw Cityscapes)",
    find=lambda path: path if (path / IMAGES).is_dir() else None,
    open=Cityscapes,
    splits=cityscapes_splits,
)
