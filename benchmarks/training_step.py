"""Time and memory of a training step: ours beside the same network in plain PyTorch (NCHW, not compiled).

Both sides train the base network for segmentation and depth on the same random batch, each in a process of its own,
and take turns, so that a busy machine slows both alike::

    python benchmarks/training_step.py --threads 2

The plain side is what one would write first: NCHW tensors, ``torch.optim.Adam``, the same losses. Asked for: ours at
least 1.8 times as fast, with no more memory.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

SIDES = ("plain", "ours")
TASKS = ("segmentation", "depth")
TARGET_RATIO = 1.8


def make_batch(batch_size, height, width):
    """Return a random batch in the types that the loader yields."""
    import torch

    generator = torch.Generator().manual_seed(0)
    segmentation = torch.randint(0, 19, (batch_size, height, width), generator=generator)
    segmentation[:, :4] = 255
    return {
        "image": torch.rand(batch_size, 3, height, width, generator=generator),
        "segmentation": segmentation,
        "depth": torch.rand(batch_size, 1, height, width, generator=generator),
    }


def make_model(height, width):
    from ednas.arch import load_architecture
    from ednas.data import TargetInfo
    from ednas.training import build_model

    targets = {"segmentation": TargetInfo("labels", 19), "depth": TargetInfo("disparity")}
    return build_model(load_architecture("base"), TASKS, targets, input_size=(height, width))


def plain_step(model, batch) -> Callable[[], None]:
    import torch

    network = model.network.to(memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4, weight_decay=1e-4)

    def step():
        optimizer.zero_grad()
        outputs = network((batch["image"] - 0.5) / 0.25)
        sum(task.loss(outputs[name], batch[name]) for name, task in model.tasks.items()).backward()
        optimizer.step()

    return step


def our_step(model, batch) -> Callable[[], None]:
    import torch

    from ednas.training import recipe
    from ednas.training.allocator import keep_freed_memory
    from ednas.training.config import Normalisation
    from ednas.training.device import make_fabric
    from ednas.training.step import TrainingStep

    keep_freed_memory()
    batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
    step = TrainingStep(model.network, model.tasks, recipe("full"), make_fabric("cpu"), Normalisation())
    return lambda: step(batch, 0).tolist()


def serve(side, args):
    """Worker: time as many steps as each line of standard input asks for, and answer with times and peak memory."""
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    make_step = our_step if side == "ours" else plain_step
    step = make_step(make_model(args.height, args.width), make_batch(args.batch_size, args.height, args.width))
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(peak, *times, flush=True)


def compare(args):
    """Let the sides take turns; return every step's seconds and the peak memory in MiB, by side."""
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    pipe = subprocess.PIPE
    workers = {s: subprocess.Popen([*command, s], stdin=pipe, stdout=pipe, text=True) for s in SIDES}
    times = {side: [] for side in SIDES}
    peak = dict.fromkeys(SIDES, 0.0)

    def turn(side, steps):
        workers[side].stdin.write(f"{steps}\n")
        workers[side].stdin.flush()
        answer = [float(word) for word in workers[side].stdout.readline().split()]
        peak[side] = answer[0]
        return answer[1:]

    try:
        for side in SIDES:
            turn(side, args.warmup)
        for _ in range(args.rounds):
            for side in SIDES:
                times[side] += turn(side, args.steps)
    finally:
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    return times, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--warmup", type=int, default=3, help="steps that do not count")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each side")
    parser.add_argument("--steps", type=int, default=3, help="steps in a turn")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        serve(args.worker, args)
        return
    times, peak = compare(args)
    shape = f"batch {args.batch_size}, {args.height}x{args.width}, {args.threads} threads"
    table = Table(title=f"Training step of the base network, two tasks ({shape})")
    for column in ("side", "median ms", "quickest ms", "images/s", "peak MiB"):
        table.add_column(column, justify="left" if column == "side" else "right")
    for side in SIDES:
        median = statistics.median(times[side])
        quickest = min(times[side])
        speed = args.batch_size / median
        table.add_row(side, f"{median * 1e3:.0f}", f"{quickest * 1e3:.0f}", f"{speed:.1f}", f"{peak[side]:.0f}")
    ratio = statistics.median(times["plain"]) / statistics.median(times["ours"])
    quickest = min(times["plain"]) / min(times["ours"])
    console = Console()
    console.print(table)
    console.print(f"ours is {ratio:.2f} times as fast (quickest steps: {quickest:.2f}); asked for: {TARGET_RATIO}")
    console.print(f"memory: {peak['ours'] / peak['plain']:.2f} times the plain side's; asked for: at most 1")


if __name__ == "__main__":
    main()
