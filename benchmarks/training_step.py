"""Time and memory of a training step: ours, also compiled or weighed, beside the same network in plain PyTorch (NCHW).

Both sides train the base network for segmentation and depth on the same random batch, each in a process of its own,
and take turns, so that a busy machine slows both alike::

    python benchmarks/training_step.py --threads 2
    python benchmarks/training_step.py --sides ours,compiled --device cuda --height 96 --width 128 --batch-size 12
    python benchmarks/training_step.py --sides ours,dwa,famo,pcgrad --threads 1 --height 64 --width 128

The plain side is what one would write first: NCHW tensors, ``torch.optim.Adam``, the same losses. Asked for: ours at
least 1.8 times as fast, with no more memory; and on a GPU ``compiled`` (``ednas train --compile``) at least 3 times as
fast as ours. What compiling costs is in the first step. The other sides are weightings of the tasks (docs/training.md).
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from ednas.mtl.weighting import weighting_names

SIDES = ("plain", "ours", "compiled", *weighting_names())
TASKS = ("segmentation", "depth")
ASKED = {("ours", "plain"): 1.8, ("compiled", "ours"): 3.0}
"""How many times as fast the first should be as the second."""


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


def plain_step(model, batch, device) -> Callable[[], None]:
    import torch

    batch = {name: values.to(device) for name, values in batch.items()}
    network = model.network.to(device, memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4, weight_decay=1e-4)

    def step():
        optimizer.zero_grad()
        outputs = network((batch["image"] - 0.5) / 0.25)
        loss = sum(task.loss(outputs[name], batch[name]) for name, task in model.tasks.items())
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a GPU

    return step


def our_step(model, batch, device, side) -> Callable[[], None]:
    import torch

    from ednas.training import recipe
    from ednas.training.allocator import keep_freed_memory
    from ednas.training.config import Normalisation
    from ednas.training.device import make_fabric
    from ednas.training.step import TrainingStep

    keep_freed_memory()
    batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
    fabric = make_fabric(device)
    batch = {name: values.to(fabric.device) for name, values in batch.items()}
    chosen = recipe("full") if side in ("ours", "compiled") else recipe("full", weighting=side)
    step = TrainingStep(model.network, model.tasks, chosen, fabric, Normalisation(), compiled=side == "compiled")
    numbers = itertools.count()
    return lambda: step(batch, next(numbers)).tolist()


def serve(side, args):
    """Worker: time as many steps as each line of standard input asks for, and answer with times and peak memory."""
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model, batch = make_model(args.height, args.width), make_batch(args.batch_size, args.height, args.width)
    step = plain_step(model, batch, args.device) if side == "plain" else our_step(model, batch, args.device, side)
    on_gpu = args.device.startswith("cuda")
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if on_gpu:
            peak = torch.cuda.max_memory_reserved() / 2**20
        print(peak, *times, flush=True)


def compare(args):
    """Let the sides take turns; return by side: every step's seconds, the first step's, and the peak memory in MiB."""
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    pipe = subprocess.PIPE
    workers = {s: subprocess.Popen([*command, s], stdin=pipe, stdout=pipe, text=True) for s in args.sides}
    times = {side: [] for side in args.sides}
    first, peak = {}, {}

    def turn(side, steps):
        workers[side].stdin.write(f"{steps}\n")
        workers[side].stdin.flush()
        answer = [float(word) for word in workers[side].stdout.readline().split()]
        peak[side] = answer[0]
        return answer[1:]

    try:
        for side in args.sides:
            first[side] = turn(side, args.warmup)[0]
        for _ in range(args.rounds):
            for side in args.sides:
                times[side] += turn(side, args.steps)
    finally:
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    return times, first, peak


def parse_sides(text):
    """Return sides in their order of :data:`SIDES`."""
    if unknown := set(text.split(",")) - set(SIDES):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return [side for side in SIDES if side in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=parse_sides, default=["plain", "ours"], help=f"of {', '.join(SIDES)}")
    parser.add_argument("--device", default="cpu", help="cpu, cuda")
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
    times, first, peak = compare(args)
    place = f"{args.threads} threads" if args.device == "cpu" else args.device
    shape = f"batch {args.batch_size}, {args.height}x{args.width}, {place}"
    table = Table(title=f"Training step of the base network, two tasks ({shape})")
    columns = ("side", "first step s", "median ms", "quickest ms", "of the first side's", "images/s", "peak MiB")
    for column in columns:
        table.add_column(column, justify="left" if column == "side" else "right")
    for side in args.sides:
        median = statistics.median(times[side])
        quickest = min(times[side])
        speed = args.batch_size / median
        share = quickest / min(times[args.sides[0]])
        cells = (f"{first[side]:.1f}", f"{median * 1e3:.0f}", f"{quickest * 1e3:.0f}", f"{share:.2f}", f"{speed:.1f}")
        table.add_row(side, *cells, f"{peak[side]:.0f}")
    console = Console()
    console.print(table)
    for (side, other), asked in ASKED.items():
        if side in times and other in times:
            ratio = statistics.median(times[other]) / statistics.median(times[side])
            quickest = min(times[other]) / min(times[side])
            console.print(
                f"{side} is {ratio:.2f} times as fast as {other} (quickest steps: {quickest:.2f}; asked for: {asked}), "
                f"with {peak[side] / peak[other]:.2f} times its memory"
            )


if __name__ == "__main__":
    main()
