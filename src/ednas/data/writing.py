"""Writing any dataset to disk as a ``folder`` dataset, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image

from ednas.data.reader import Progress
from ednas.data.readers.folder import FILE_NAME
from ednas.data.sample import VOID, DatasetInfo, DenseDataset, Sample, TargetInfo
from ednas.exceptions import ConfigError
from ednas.files import atomic_path

METRES_PER_STEP = 1 / 256
"""Step of a written depth map; ``uint16`` reaches 255.99 m."""

_MAX_STEPS = 65535
_NO_NORMAL = (128, 128, 128)


def write_folder(
    dataset_by_split: Mapping[str, DenseDataset], out_dir: Path | str, progress: Progress | None = None
) -> Path:
    """Write a dataset as images, label files and a ``dataset.yaml`` (:mod:`ednas.data.readers.folder`).

    What is stored: images and labels exactly (PNG); a distance as 16-bit PNG in steps of 1/256 m, so off by at most
    2 mm, and invalid beyond 255.99 m; a disparity exactly (``float32`` NPY); normals as 8-bit PNG,
    round((n + 1) * 127.5), so off by at most 0.4 degrees.

    Args:
        dataset_by_split: Splits by name, all of the same dataset.
        out_dir: Folder to make; it must not exist, or be empty.
        progress: Called after each sample.

    Returns:
        Path of the ``dataset.yaml``.

    Raises:
        ConfigError: ``out_dir`` is in use, or the splits have different targets.
        DataError: A sample cannot be read; nothing is left behind.
        EdnasError: The disk is full or the place not writable; nothing is left behind.
    """
    out_dir = Path(out_dir)
    if out_dir.exists() and not (out_dir.is_dir() and not any(out_dir.iterdir())):
        raise ConfigError(f"{out_dir}: exists already; choose another folder or remove it first")
    info = _common_info(dataset_by_split)
    with atomic_path(out_dir) as temporary:
        temporary.mkdir()
        for split, dataset in dataset_by_split.items():
            for part in ("image", *info.targets):
                (temporary / split / part).mkdir(parents=True)
            for index in range(len(dataset)):
                _write_sample(dataset[index], info, temporary / split, f"{index:06d}")
                if progress is not None:
                    progress(split, index + 1, len(dataset))
        description = yaml.safe_dump(_describe(info, tuple(dataset_by_split)), sort_keys=False, allow_unicode=True)
        (temporary / FILE_NAME).write_text(description, encoding="utf-8")
    return out_dir / FILE_NAME


def _common_info(dataset_by_split: Mapping[str, DenseDataset]) -> DatasetInfo:
    if not dataset_by_split:
        raise ConfigError("a dataset to write needs at least one split")
    first, *others = (dataset.info for dataset in dataset_by_split.values())
    if any(dict(other.targets) != dict(first.targets) for other in others):
        raise ConfigError(f"the splits {', '.join(dataset_by_split)} have different targets; write them apart")
    return first


def _write_sample(sample: Sample, info: DatasetInfo, folder: Path, name: str) -> None:
    Image.fromarray(np.ascontiguousarray(sample.image)).save(folder / "image" / f"{name}.png")
    for target, what in info.targets.items():
        values = sample.targets[target]
        path = folder / target / name
        if what.kind == "disparity":
            np.save(path.with_suffix(".npy"), values.astype(np.float32), allow_pickle=False)
        else:
            Image.fromarray(_encode(values, what)).save(path.with_suffix(".png"))


def _encode(values: npt.NDArray[Any], info: TargetInfo) -> npt.NDArray[Any]:
    if info.kind == "labels":
        return values.astype(np.uint8)
    if info.kind == "distance":
        steps = np.rint(values / METRES_PER_STEP)
        steps = np.where(values > 0, np.maximum(steps, 1), 0)
        return np.where(steps > _MAX_STEPS, 0, steps).astype(np.uint16)
    invalid = (values == 0).all(axis=-1, keepdims=True)
    return np.where(invalid, _NO_NORMAL, np.rint((values + 1) * 127.5)).astype(np.uint8)


def _describe(info: DatasetInfo, splits: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": info.name,
        "image": "{split}/image/{id}.png",
        "splits": {split: split for split in splits},
        "targets": {name: _describe_target(name, target) for name, target in info.targets.items()},
    }


def _describe_target(name: str, info: TargetInfo) -> dict[str, Any]:
    path = f"{{split}}/{name}/{{id}}"
    if info.kind == "labels":
        names = {"class_names": list(info.class_names)} if info.class_names else {}
        return {"kind": "labels", "path": f"{path}.png", "num_classes": info.num_classes, "void": VOID, **names}
    if info.kind == "distance":
        scale = {"scale": METRES_PER_STEP, "invalid": 0}
        return {"kind": "distance", "path": f"{path}.png", **scale, "unit": info.unit}
    if info.kind == "disparity":
        return {"kind": "disparity", "path": f"{path}.npy", "invalid": 0, "unit": info.unit}
    return {"kind": "normals", "path": f"{path}.png", "axes": ["r", "g", "b"], "invalid": [list(_NO_NORMAL)]}
