"""The built-in datasets: endless procedural scenes behind the contract of every reader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, PositiveInt

from ednas.config import StrictModel, parse
from ednas.data.classes import CITYSCAPES_19, NYU_40
from ednas.data.reader import SPLITS, choose_split
from ednas.data.sample import DatasetInfo, Sample, TargetInfo
from ednas.exceptions import DataError
from ednas.scenes.rendering import check_scene, check_seed, check_size, render
from ednas.seeding import derive_seed

REVISION = 1
"""Number of the scenes' recipe; raise it whenever the same seed gives other pictures or labels."""

TARGETS: Mapping[str, Mapping[str, TargetInfo]] = {
    "streets": {
        "segmentation": TargetInfo("labels", len(CITYSCAPES_19), CITYSCAPES_19),
        "depth": TargetInfo("disparity", unit="p/65535"),
        "normals": TargetInfo("normals"),
    },
    "rooms": {
        "segmentation": TargetInfo("labels", len(NYU_40), NYU_40),
        "depth": TargetInfo("distance", unit="m"),
        "normals": TargetInfo("normals"),
    },
}
"""Targets of each kind of scene."""


class SyntheticOptions(StrictModel):
    """Options of the built-in scenes; None: the scene's own default.

    Attributes:
        count: Number of samples of the split.
        size: Height and width.
        seed: Seed of the scenes.
    """

    count: PositiveInt | None = None
    size: tuple[PositiveInt, PositiveInt] | None = None
    seed: int | None = Field(default=None, ge=0)


class SyntheticDataset:
    """Rendered scenes with exact labels; nothing is downloaded or stored.

    Sample i is a pure function of (scene, seed, split, i, size). Train and val draw from disjoint streams of scenes,
    and a larger ``count`` continues a smaller one.

    Args:
        scene: ``streets`` (Cityscapes train ids, normalised disparity) or ``rooms`` (NYUv2's 40 classes, metres).
        split: ``train`` or ``val``.
        count: Number of samples.
        size: (height, width) in pixels, each from 32 to 4096.
        seed: Seed of the whole dataset, >= 0.

    Raises:
        DataError: An argument is wrong.

    Example:
        >>> dataset = SyntheticDataset("streets", "val", count=2, size=(32, 64))
        >>> dataset[0].image.shape, sorted(dataset[0].targets)
        ((32, 64, 3), ['depth', 'normals', 'segmentation'])
    """

    def __init__(
        self, scene: str, split: str = "train", count: int = 768, size: tuple[int, int] = (64, 128), seed: int = 0
    ) -> None:
        check_scene(scene)
        if split not in SPLITS:
            raise DataError(f"unknown split {split!r} of synthetic {scene}; use one of: {', '.join(SPLITS)}")
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise DataError(f"synthetic {scene} needs a whole number of samples from 1 on, not {count!r}")
        self._scene = scene
        self.info = DatasetInfo(f"synthetic-{scene}", "synthetic", TARGETS[scene])
        self.split = split
        self._count = count
        self._size = check_size(size)
        self._seed = check_seed(seed)

    def __len__(self) -> int:
        return self._count

    def scene_seed(self, index: int) -> int:
        """Return the seed with which ``render`` and ``describe_scene`` show sample ``index``.

        Raises:
            IndexError: There is no such sample (this also ends ``for sample in dataset``).
        """
        if not -self._count <= index < self._count:
            raise IndexError(f"sample {index} of {self._count} in synthetic {self._scene}/{self.split}")
        return derive_seed(self._seed, "synthetic", self._scene, self.split, int(index) % self._count)

    def __getitem__(self, index: int) -> Sample:
        found = render(self._scene, self.scene_seed(index), self._size)
        return Sample(found.image, {"segmentation": found.labels, "depth": found.depth, "normals": found.normals})

    def source(self, index: int) -> str:
        """Name of sample ``index``, with the seed that ``render`` takes."""
        return f"{self._scene}/{self.split}/{index % self._count:05d} (scene seed {self.scene_seed(index)})"

    def fingerprint(self) -> str:
        """Hex digest of everything that determines the samples."""
        height, width = self._size
        identity = ["synthetic", REVISION, self._scene, self.split, self._count, height, width, self._seed]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def open_scene(scene: str, split: str, options: Mapping[str, Any]) -> SyntheticDataset:
    """Open a split of one of :data:`SCENES`.

    Raises:
        ConfigError: An option is wrong.
        DataError: There is no such split, or no image of that size.
    """
    chosen = parse(SyntheticOptions, options, f"options of {scene}")
    return SyntheticDataset(scene, choose_split(split, SPLITS, scene), **chosen.model_dump(exclude_none=True))
