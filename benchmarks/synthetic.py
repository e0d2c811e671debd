"""How fast the built-in scenes render on one core.

    python benchmarks/synthetic.py --size 64 128 --frames 200

Prints a table of wall-clock and processor time per frame, everything included: building the scene, ray casting,
textures, shadows, noise and conversion. The median of several rounds counts, so that a busy machine shows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ednas.data.readers.synthetic import SyntheticDataset


def milliseconds(dataset: SyntheticDataset, rounds: int) -> tuple[float, float]:
    """Return the median over rounds of (wall-clock, processor) time per frame."""
    walls, processors = [], []
    dataset[0]
    for part in range(rounds):
        frames = range(part, len(dataset), rounds)
        wall, processor = time.perf_counter(), time.process_time()
        for index in frames:
            dataset[index]
        walls.append(1000 * (time.perf_counter() - wall) / len(frames))
        processors.append(1000 * (time.process_time() - processor) / len(frames))
    return statistics.median(walls), statistics.median(processors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(64, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--frames", type=int, default=200, help="scenes of each kind (default: 200)")
    parser.add_argument("--rounds", type=int, default=5, help="groups whose median counts (default: 5)")
    options = parser.parse_args()

    # Before numpy is imported: one thread, as a loader's worker process has.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    from ednas.data.readers.synthetic import SyntheticDataset
    from ednas.scenes import SCENES

    height, width = options.size
    print(f"python {' '.join(sys.argv)}")
    print(f"{'scene':<10}{'size':>12}{'frames':>8}{'frames/s':>10}{'wall ms':>9}{'cpu ms':>9}")
    for scene in SCENES:
        dataset = SyntheticDataset(scene, "train", count=options.frames, size=(height, width))
        wall, processor = milliseconds(dataset, min(options.rounds, options.frames))
        row = (
            f"{scene:<10}{f'{height}x{width}':>12}{options.frames:>8}{1000 / wall:>10.1f}{wall:>9.2f}{processor:>9.2f}"
        )
        print(row)


if __name__ == "__main__":
    main()
