"""A small split in memory, every sample a pure function of its index, and what other processes do with it.

Here and not in the tests, because a fresh process has to find it by name.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np
import torch

from ednas.data.augment import AugmentConfig, Batch
from ednas.data.cache import load_cache, open_cache
from ednas.data.loader import BatchLoader
from ednas.data.sample import VOID, DatasetInfo, Sample, TargetInfo

SIZE = (12, 20)
AUGMENT = AugmentConfig(crop=(8, 16), brightness=0.2, contrast=0.2, saturation=0.2, hue=5)
TARGETS = {
    "segmentation": TargetInfo("labels", num_classes=5, class_names=("a", "b", "c", "d", "e")),
    "depth": TargetInfo("distance", unit="m"),
    "disparity": TargetInfo("disparity", unit="p/65535"),
    "normals": TargetInfo("normals"),
}


class MemoryDataset:
    """``log``: a file that grows by one byte with every sample read, in whatever process."""

    split = "train"

    def __init__(self, length: int = 7, size: tuple[int, int] = SIZE, log: Path | None = None) -> None:
        self.info = DatasetInfo("memory", "test", TARGETS)
        self.length, self.size, self.log = length, size, log

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if self.log is not None:
            with self.log.open("ab") as stream:
                stream.write(b".")
        random = np.random.default_rng(index)
        valid = random.random(self.size) < 0.9
        depth = np.where(valid, random.uniform(1, 80, self.size), 0).astype(np.float32)
        normals = random.normal(size=(*self.size, 3))
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        image = random.integers(0, 256, (*self.size, 3), dtype=np.uint8)
        image[0, 0] = index
        return Sample(
            image=image,
            targets={
                "segmentation": np.where(valid, random.integers(0, 5, self.size), VOID).astype(np.uint8),
                "depth": depth,
                "disparity": np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0),
                "normals": np.where(valid[..., None], normals, 0).astype(np.float32),
            },
        )

    def source(self, index: int) -> str:
        return f"image/{index:05d}.png"

    def fingerprint(self) -> str:
        return f"{self.length}-{self.size}"


def open_in_process(folder: Path, log: Path, barrier: object, results: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    cached = open_cache(MemoryDataset(log=log), SIZE, folder)
    results.put(int(cached.image.sum()))  # type: ignore[attr-defined]


class NeverEnding(MemoryDataset):
    def __getitem__(self, index: int) -> Sample:
        if index == 3:
            time.sleep(60)
        return super().__getitem__(index)


def open_never_ending(folder: Path) -> None:
    open_cache(NeverEnding(), SIZE, folder)


def digest(batch: Batch) -> str:
    state = hashlib.sha256()
    for name in sorted(batch):
        state.update(batch[name].contiguous().numpy().tobytes())
    return state.hexdigest()


def digest_in_process(folder: Path, results: object) -> None:
    torch.set_num_threads(1)
    results.put(digest(BatchLoader(load_cache(folder), 4, seed=3, augment=AUGMENT).batch(11)))  # type: ignore[attr-defined]
