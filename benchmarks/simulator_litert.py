"""How well the ``cpu`` engine predicts LiteRT on this computer, for networks of the search space that it has not seen.

Random networks are measured in int8 on one thread, each in fresh processes. Since other jobs may disturb the machine,
networks are interleaved: every round measures each once, and the quickest round counts. Some of the networks calibrate
``cpu_generic``; the others test it, beside two simpler predictors fitted to the same networks: a line through the
multiply-accumulates, and the target as shipped with one common factor. All is done for wall time and for processor
time, which differ where other jobs take the core. Seed 0 is not for tests: its networks helped to build the engine.

    python benchmarks/simulator_litert.py --calibration 12 --test 30 --rounds 8
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ednas.arch import SearchSpace, load_architecture
from ednas.files import read_json, write_json
from ednas.hw import LayerGraph, Target, load_target, simulate
from ednas.hw.graph.trace import trace_network
from ednas.hw.sources.litert import LiteRT, Measurement
from ednas.hw.targets.calibration import Sample, calibrate, mape, spearman
from ednas.hw.tflite.writer import write_tflite

HEADS = {"segmentation": 19, "depth": 1}


def networks(count: int, input_size: tuple[int, int], seed: int) -> list[LayerGraph]:
    space = SearchSpace(load_architecture("base"))
    generator = random.Random(seed)
    genes = [[generator.randrange(len(decision.candidates)) for decision in space.decisions] for _ in range(count)]
    return [trace_network(space.decode(gene), HEADS, input_size) for gene in genes]


def measure(graphs: Sequence[LayerGraph], rounds: int, runs: int) -> list[list[Measurement]]:
    """Return the measurements of each network, one for each round."""
    source = LiteRT(processes=1, runs=runs)
    measurements: list[list[Measurement]] = [[] for _ in graphs]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.tflite" for index in range(len(graphs))]
        for graph, path in zip(graphs, paths, strict=True):
            write_tflite(graph, path)
        for _ in range(rounds):
            for path, done in zip(paths, measurements, strict=True):
                done.append(source.measure_file(path))
    return measurements


def load_or_measure(
    arguments: argparse.Namespace, graphs: Sequence[LayerGraph]
) -> list[tuple[list[float], list[float]]]:
    """Return wall and processor times, ms, of each network by round."""
    settings = [arguments.seed, arguments.rounds, arguments.runs, *arguments.input_size, len(graphs)]
    path = arguments.measurements
    if path and path.is_file():
        content = read_json(path)
        if content["settings"] != settings:
            raise SystemExit(f"{path} holds measurements with other settings: {content['settings']}, now {settings}")
        return [(wall, processor) for wall, processor in content["times"]]
    measurements = measure(graphs, arguments.rounds, arguments.runs)
    times = [([one.latency_ms for one in rounds], [one.processor_ms for one in rounds]) for rounds in measurements]
    if path:
        write_json(path, {"settings": settings, "times": times})
    return times


def line_through_macs(graphs: Sequence[LayerGraph], latencies: Sequence[float]) -> Callable[[LayerGraph], float]:
    slope, offset = np.polyfit([graph.macs for graph in graphs], latencies, 1)
    return lambda graph: float(slope * graph.macs + offset)


def by_class(graph: LayerGraph, target: Target) -> dict[str, float]:
    """Return the simulated ms of each class of operators."""
    times: defaultdict[str, float] = defaultdict(float)
    for layer, cost in zip(graph.layers, simulate(graph, target).layers, strict=True):
        is_dense = layer.op == "CONV_2D" and layer.kernel != (1, 1)
        times["dense convolution" if is_dense else layer.op] += cost.latency_ms
    return times


def compare(
    known: Sequence[LayerGraph],
    known_ms: Sequence[float],
    unseen: Sequence[LayerGraph],
    unseen_ms: Sequence[float],
    clock: str,
) -> None:
    """Calibrate on the known networks and print how well the unseen ones are predicted."""
    target = load_target("cpu_generic")
    samples = [
        Sample(f"network {index}", graph, ms) for index, (graph, ms) in enumerate(zip(known, known_ms, strict=True))
    ]
    calibrated = calibrate(target, samples)
    held_out = f"left out one by one: MAPE {100 * calibrated.held_out_mape:.1f} %"
    print(f"\n{clock}: calibrated on {len(known)} networks ({held_out})")
    for path, (old, new) in calibrated.changes.items():
        print(f"  {path:32} {old:10.4g} -> {new:.4g}")

    line = line_through_macs(known, known_ms)
    shipped = [simulate(graph, target).latency_ms for graph in unseen]
    factor = statistics.median(
        ms / simulate(graph, target).latency_ms for graph, ms in zip(known, known_ms, strict=True)
    )
    predicted = [simulate(graph, calibrated.target).latency_ms for graph in unseen]
    print(f"\n{'unseen':>8} {'MMAC':>8} {'measured':>9} {'predicted':>9} {'error':>7} {'MAC line':>9} {'error':>7}")
    for index, (graph, ms, guess) in enumerate(zip(unseen, unseen_ms, predicted, strict=True)):
        naive = line(graph)
        errors = f"{100 * (guess / ms - 1):+6.1f}%", f"{100 * (naive / ms - 1):+6.1f}%"
        print(f"{index:>8} {graph.macs / 1e6:8.1f} {ms:9.3f} {guess:9.3f} {errors[0]} {naive:9.3f} {errors[1]}")
    print(f"\n{clock}, {len(unseen)} networks that were not calibrated with:")
    report("cpu_generic, calibrated", predicted, unseen_ms)
    report("cpu_generic as shipped", shipped, unseen_ms)
    report("cpu_generic as shipped, times one factor", [factor * ms for ms in shipped], unseen_ms)
    report("line through multiply-accumulates", [line(graph) for graph in unseen], unseen_ms)

    worst = max(range(len(unseen)), key=lambda index: abs(predicted[index] / unseen_ms[index] - 1))
    print(f"\nworst: network {worst}, predicted {predicted[worst]:.3f} ms, measured {unseen_ms[worst]:.3f} ms, as")
    every = [by_class(graph, calibrated.target) for graph in unseen]
    typical = {name: sum(times.get(name, 0.0) for times in every) for name in every[worst]}
    times = every[worst]
    for name, ms in sorted(times.items(), key=lambda item: -item[1])[:6]:
        share, usual = 100 * ms / sum(times.values()), 100 * typical[name] / sum(typical.values())
        print(f"  {name:26} {ms:7.3f} ms = {share:4.1f} % (of all unseen networks: {usual:4.1f} %)")


def report(name: str, predicted: Sequence[float], measured: Sequence[float]) -> None:
    print(f"  {name:44} Spearman {spearman(predicted, measured):.3f}   MAPE {100 * mape(predicted, measured):5.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calibration", type=int, default=12, help="networks to calibrate with")
    parser.add_argument("--test", type=int, default=30, help="networks to test on")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--runs", type=int, default=20, help="timed runs in each process")
    parser.add_argument("--input-size", type=int, nargs=2, default=(128, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--measurements", type=Path, help="JSON file: reused if it exists, else written")
    arguments = parser.parse_args()
    graphs = networks(arguments.calibration + arguments.test, tuple(arguments.input_size), arguments.seed)
    times = load_or_measure(arguments, graphs)
    walls = [min(wall) for wall, _ in times]
    processors = [min(processor) for _, processor in times]
    noise = statistics.median(max(wall) / min(wall) - 1 for wall, _ in times)
    print(f"{platform.machine()}, input {arguments.input_size[0]}x{arguments.input_size[1]}, int8, one thread")
    print(
        f"{arguments.rounds} rounds of {arguments.runs} runs; slowest over quickest round: median +{100 * noise:.0f} %"
    )
    print(f"processor time over wall time: median {statistics.median(np.divide(processors, walls)):.3f}")
    half = arguments.rounds // 2
    if half:
        halves = [[min(wall[part]) for wall, _ in times] for part in (slice(half), slice(half, None))]
        agreement = f"Spearman {spearman(*halves):.3f}, MAPE {100 * mape(*halves):.1f} %"
        print(f"first half of the rounds against the second: {agreement}")

    split = arguments.calibration
    compare(graphs[:split], walls[:split], graphs[split:], walls[split:], "wall time")
    compare(graphs[:split], processors[:split], graphs[split:], processors[split:], "processor time")


if __name__ == "__main__":
    main()
