"""How a search through Ray scales: trials that only sleep, on 1 to 32 workers, and what each costs the driver.

Efficiency is the time that the sleeping alone takes, divided by that of the search: asked for is 0.9 at every number of
workers. Processors are Ray's own count of them, so that any number of workers sleeps on any machine. Each worker is
warm: it has done a trial before the clock starts, as in a search of hours. ::

    python benchmarks/search_ray.py --seconds 60 --waves 2
    python benchmarks/search_ray.py --in-hand 1000
    python benchmarks/search_ray.py --data

The driver's processor time per trial is that of the process that proposes, costs, submits, waits and stores, with the
threads of Ray in it. ``--in-hand`` gives that many trials to Ray at once, of which ``--at-once`` run: what a driver of
so many workers does, without the workers. The machines of a cluster have processors of their own; here all share one
machine, so that what starting a trial costs its machine is in the efficiency, too.

``--data`` measures what every machine does with the data: it decodes them once, and opens them for each candidate.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from search_controllers import BASE, HEADS, INPUT_SIZE, surrogate_accuracy

from ednas.arch import Architecture, SearchSpace
from ednas.hw.sources import load_source
from ednas.search import ControllerConfig, DeviceCost, Evaluation, Evaluator, Objective, RayExecutor, Search, Study
from ednas.search.executors.ray import own_ray

WORKERS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Sleeping:
    """Sleeps, then judges by a made-up accuracy.

    Attributes:
        seconds: How long.
    """

    seconds: float

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:  # noqa: ARG002
        """Return the made-up accuracy as the only metric."""
        time.sleep(self.seconds)
        return Evaluation({"surrogate": {"quality": surrogate_accuracy(architecture)}}, {"quality": True})


@dataclass(frozen=True)
class Meeting(Sleeping):
    """Ends when as many candidates as ``count`` are being judged at the same time: all workers have started then.

    Attributes:
        folder: Where each leaves a file.
        count: How many have to come.
    """

    folder: Path
    count: int

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        """Wait for the others."""
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < self.count:
            time.sleep(0.2)
        return super().evaluate(architecture, seed)


def search(evaluator: Evaluator, workers: int, trials: int) -> tuple[float, float]:
    """Run a search on the Ray that this program is connected to; return its seconds and its processor seconds."""
    space = SearchSpace(BASE)
    sizes = [len(decision.candidates) for decision in space.decisions]
    with tempfile.TemporaryDirectory() as folder, Study(Path(folder) / "study.db", {}) as study:
        run = Search(
            space=space,
            cost=DeviceCost(load_source("coral_usb"), HEADS, INPUT_SIZE),
            objective=Objective({"latency_ms": 2.0}),
            study=study,
            controller=ControllerConfig(name="random").make(sizes, seed=0),
            executor=RayExecutor(evaluator, workers=workers),
            trials=trials,
        )
        wall, processor = time.perf_counter(), time.process_time()
        run.run()
        return time.perf_counter() - wall, time.process_time() - processor


def measure(workers: int, seconds: float, waves: int) -> tuple[float, float]:
    """Return the efficiency of a search, and the driver's processor seconds per trial."""
    with own_ray(workers), tempfile.TemporaryDirectory() as folder:
        search(Meeting(0.0, Path(folder), workers), workers, workers)
        trials = waves * workers
        wall, processor = search(Sleeping(seconds), workers, trials)
    return waves * seconds / wall, processor / trials


def measure_data() -> str:
    """Say what 200 street scenes cost a machine once, and each candidate."""
    from ednas.training import TrainConfig, prepare_judgement, recipe

    config = TrainConfig(data="streets", data_options={"count": 200}, recipe=recipe("mini", input_size=(128, 256)))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDNAS_CACHE"] = folder
        ends = [time.process_time()]
        for _ in range(2):
            prepare_judgement(config)
            ends.append(time.process_time())
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.npy"))
    decoding, opening = (stop - start for start, stop in pairwise(ends))
    return (
        f"200 street scenes of 128x256, {size / 1e6:.0f} MB: {decoding:.1f} s of a processor to decode them once, "
        f"{opening:.2f} s to open them for each candidate"
    )


def main() -> None:
    # Evaluators are sent to other processes, which know this file by its own name alone.
    import search_ray

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="that each trial sleeps")
    parser.add_argument("--waves", type=int, default=2, help="trials of each worker")
    parser.add_argument("--workers", type=int, nargs="*", default=list(WORKERS))
    parser.add_argument("--in-hand", type=int, help="only measure the driver, with so many trials in hand")
    parser.add_argument("--at-once", type=int, default=4, help="with --in-hand: trials that run")
    parser.add_argument("--data", action="store_true", help="only measure what every machine does with the data")
    arguments = parser.parse_args()
    console = Console(width=100)
    if arguments.data:
        console.print(measure_data())
        return
    if arguments.in_hand:
        with own_ray(arguments.at_once):
            trials = arguments.in_hand + arguments.in_hand // 4
            wall, processor = search(search_ray.Sleeping(0.0), arguments.in_hand, trials)
        console.print(
            f"{arguments.in_hand} trials in hand, {trials} in all: {wall:.0f} s, "
            f"{1e3 * processor / trials:.1f} ms of the driver's processor per trial"
        )
        return
    console.print(
        f"{arguments.waves} trials of {arguments.seconds:g} s per worker\n\nworkers  efficiency  driver ms/trial"
    )
    for workers in arguments.workers:  # printed as they come: the last ones take minutes
        efficiency, processor = search_ray.measure(workers, arguments.seconds, arguments.waves)
        console.print(f"{workers:7d}  {efficiency:10.3f}  {1e3 * processor:15.1f}")


if __name__ == "__main__":
    main()
