"""Does the loader keep up? Loader and training step side by side, in one run on the same machine.

    python benchmarks/loader.py

Measures, on synthetic arrays at 128x256 with three targets and every augmentation on, samples per second of (a) the
loader alone, (b) training steps of the base network alone on one prepared batch, and (c) training fed by the loader's
background thread. Asks for a loader at least five times as fast as the training: then it never holds a step up.
Exits with 1 if it is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.arch import zoo
from ednas.data.augment import AugmentConfig
from ednas.data.cache import open_cache
from ednas.data.loader import BatchLoader
from ednas.data.sample import DatasetInfo, Sample, TargetInfo
from ednas.nn import MultiTaskNetwork

ASKED = 5.0
EVERYTHING = AugmentConfig(brightness=0.2, contrast=0.2, saturation=0.2, hue=10)


class RandomArrays:
    """A split of random pixels: what they show does not matter to the clock."""

    info = DatasetInfo(
        "random",
        "memory",
        {
            "segmentation": TargetInfo("labels", num_classes=19),
            "depth": TargetInfo("distance", unit="m"),
            "normals": TargetInfo("normals"),
        },
    )
    split = "train"

    def __init__(self, length: int, size: tuple[int, int]) -> None:
        self.length, self.size = length, size

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng(index)
        normals = random.normal(size=(*self.size, 3)).astype(np.float32)
        return Sample(
            image=random.integers(0, 256, (*self.size, 3), dtype=np.uint8),
            targets={
                "segmentation": random.integers(0, 19, self.size, dtype=np.uint8),
                "depth": random.uniform(1, 50, self.size).astype(np.float32),
                "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True),
            },
        )

    def source(self, index: int) -> str:
        """Name of sample ``index``."""
        return f"random {index}"

    def fingerprint(self) -> str:
        """Text that changes with the data."""
        return f"{self.length} {self.size}"


def train_step(network: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> None:
    output = network((batch["image"] - 0.5) / 0.25)
    loss = (
        F.cross_entropy(output["segmentation"], batch["segmentation"], ignore_index=255)
        + (output["depth"] - batch["depth"]).abs().mean()
        + (1 - F.cosine_similarity(output["normals"], batch["normals"], dim=1)).mean()
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Clock:
    """Wall and processor seconds (of all threads) of one kind of step.

    The best of all steps counts: whatever else the machine does can only add to the time.
    """

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self.name, self.work = name, work
        self.times: list[tuple[float, float]] = []
        work()

    def take(self) -> None:
        """Time one more step."""
        wall, processor = time.perf_counter(), time.process_time()
        self.work()
        self.times.append((time.perf_counter() - wall, time.process_time() - processor))

    @property
    def wall(self) -> float:
        """Seconds that passed in the best step."""
        return min(wall for wall, _ in self.times)

    @property
    def processor(self) -> float:
        """Seconds of all threads in the best step."""
        return min(processor for _, processor in self.times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 256), metavar=("H", "W"))
    parser.add_argument("--steps", type=int, default=12, help="training steps to take the best of")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    count, size = arguments.batch_size, (arguments.size[0], arguments.size[1])

    with tempfile.TemporaryDirectory() as folder:
        cached = open_cache(RandomArrays(16 * count, size), size, Path(folder))
        loader = BatchLoader(cached, count, seed=0, augment=EVERYTHING)
        heads = {"segmentation": 19, "depth": 1, "normals": 3}
        network = MultiTaskNetwork(zoo.architecture("base"), heads).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)
        fixed = loader.batch(0)
        steps = iter(range(10**9))

        loading = Clock("loader alone", lambda: loader.batch(next(steps)))
        training = Clock("training alone", lambda: train_step(network, optimizer, fixed))
        with closing(loader.stream(0, 10**9)) as stream:
            fed = Clock("training fed by the loader", lambda: train_step(network, optimizer, next(stream)[1]))
            for _ in range(arguments.steps):
                fed.take()
        # In turn, so that whatever else the machine does meets both alike.
        for _ in range(arguments.steps):
            loading.take()
            training.take()
            loading.take()

    ratio = min(training.wall, fed.wall) / loading.wall
    report = [f"{count} x {size[0]}x{size[1]}, 3 targets, {arguments.threads} threads, torch {torch.__version__}"]
    report += [
        f"{clock.name:28s} {1e3 * clock.wall:8.1f} ms/step {1e3 * clock.processor:8.1f} ms of processor time "
        f"{count / clock.wall:8.0f} samples/s"
        for clock in (loading, training, fed)
    ]
    report.append(f"loader / training: {ratio:.1f}x (asked for: {ASKED:.0f}x)")
    sys.stdout.write("\n".join(report) + "\n")
    sys.exit(0 if ratio >= ASKED else 1)


if __name__ == "__main__":
    main()
