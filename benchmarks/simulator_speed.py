"""How fast the cost model is: architectures from the space, cold and warm, and layer graphs that were read.

Processor seconds of one thread, so that other jobs on the machine matter little. *Cold* are the first architectures of
a process after its imports: every block is met for the first time. *Warm* architectures are as new, but their blocks
have been met. Genes go in, costs come out. Beside it stands the path without kept pieces: each architecture's whole
graph, simulated layer by layer. (SCALE-Sim stands beside the systolic engine in ``simulator_systolic.py``.)

    python benchmarks/simulator_speed.py --architectures 1000 --runs 5
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from ednas.arch import SearchSpace, load_architecture
from ednas.hw import LayerGraph, Target, estimate, load_network, load_target, simulate, trace_network

HEADS = {"segmentation": 19, "depth": 1}
INPUT_SIZE = (256, 256)
GRAPH_OPS = 250


def genes(space: SearchSpace, count: int, seed: int) -> list[list[int]]:
    generator = random.Random(seed)
    return [[generator.randrange(len(d.candidates)) for d in space.decisions] for _ in range(count)]


def rate(space: SearchSpace, batch: list[list[int]], target: Target) -> float:
    start = time.process_time()
    for values in batch:
        estimate(space.decode(values), HEADS, INPUT_SIZE, target)
    return len(batch) / (time.process_time() - start)


def cold_rate(count: int, target: str, seed: int) -> float:
    """Return the rate of a fresh process."""
    command = [sys.executable, __file__, "--cold", str(seed), "--architectures", str(count), "--target", target]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def report_architectures(name: str, count: int, runs: int) -> None:
    target = load_target(name)
    space = SearchSpace(load_architecture("base"))
    cold = [cold_rate(count, name, seed) for seed in range(runs)]
    for seed in range(5):  # meet the blocks
        rate(space, genes(space, count, seed), target)
    warm = [rate(space, genes(space, count, 100 + seed), target) for seed in range(runs)]
    whole = []
    for seed in range(runs):
        batch = genes(space, max(count // 20, 1), 200 + seed)
        start = time.process_time()
        for values in batch:
            simulate(trace_network(space.decode(values), HEADS, INPUT_SIZE), target)
        whole.append(len(batch) / (time.process_time() - start))
    print(f"{name}: architectures a processor second, median (least to most) of {runs} runs of {count}")
    for title, values in (("cold process", cold), ("warm", warm), ("whole graphs, layer by layer", whole)):
        print(f"  {title:30}{statistics.median(values):9,.0f} ({min(values):,.0f} to {max(values):,.0f})")


def report_graphs(data: Path, target: Target, runs: int) -> None:
    print(f"\n{'graph that was read':36}{'ops':>5}{'ms':>8}{'ms for 250 ops':>16}")
    lists = data / "coral" / "layer_lists.json"
    sources = [str(path) for path in sorted((data / "coral").glob("*.tflite"))]
    sources += [f"{lists}#{name}" for name in ("inception_v1", "inception_v4", "effnet_M")]
    for source in sources:
        network = load_network(source)
        milliseconds = _graph_ms(network.graph, target, runs)
        ops = len(network.graph.layers)
        print(f"{network.name[:35]:36}{ops:5}{milliseconds:8.3f}{milliseconds * GRAPH_OPS / ops:16.3f}")


def _graph_ms(graph: LayerGraph, target: Target, runs: int) -> float:
    times = []
    for _ in range(10 * runs):
        start = time.process_time()
        simulate(graph, target)
        times.append((time.process_time() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds coral/")
    parser.add_argument("--target", default="coral_usb", help="a target's name or YAML file")
    parser.add_argument("--architectures", type=int, default=1000, help="architectures a run")
    parser.add_argument("--runs", type=int, default=5, help="runs of the timing")
    parser.add_argument("--cold", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.cold is not None:
        space = SearchSpace(load_architecture("base"))
        print(rate(space, genes(space, options.architectures, options.cold), load_target(options.target)))
        return
    report_architectures(options.target, options.architectures, options.runs)
    if (options.data / "coral").is_dir():
        report_graphs(options.data, load_target(options.target), options.runs)


if __name__ == "__main__":
    main()
