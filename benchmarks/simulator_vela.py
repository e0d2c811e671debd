"""How close the simulator's Ethos-U targets come to Vela, the compiler whose estimates they model.

Draws networks at random from the default search space, lets Vela compile each for every target (two to five seconds
each), fits the targets' free constants to the first of them and compares on the others, which were not fitted, and on
some of four times as many pixels. Beside it stands what a line through multiply-accumulates predicts, fitted to the
same networks. The intervals are those of the targets as they ship.

The networks of seed 0 also served to build the engine; those of other seeds did not.

    python benchmarks/simulator_vela.py --fitted 20 --compared 60 --large 20 --seed 7 --processes 2
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from intervals import print_intervals

from ednas.arch import SearchSpace, load_architecture
from ednas.files import read_json, write_json
from ednas.hw import Cost, LayerGraph, load_target, simulate, trace_network
from ednas.hw.sources.vela import Vela
from ednas.hw.targets.calibration import Sample, calibrate, mape, spearman

HEADS = {"segmentation": 19, "depth": 1}
INPUT_SIZE = (128, 256)
LARGE_SIZE = (256, 512)
TARGETS = {
    "ethos_u55_256": "ethos-u55-256",
    "ethos_u65_512": "ethos-u65-512",
    "ethos_u85_1024": "ethos-u85-1024",
}


def sampled(count: int, seed: int, size: tuple[int, int]) -> list[LayerGraph]:
    space = SearchSpace(load_architecture("base"))
    generator = random.Random(seed)
    genes = [[generator.randrange(len(d.candidates)) for d in space.decisions] for _ in range(count)]
    return [trace_network(space.decode(values), HEADS, size) for values in genes]


def compiled(graphs: list[LayerGraph], processes: int) -> dict[str, list[float]]:
    """Return Vela's latencies, ms, by target."""
    latencies = {}
    for target, accelerator in TARGETS.items():
        source = Vela(accelerator, fallback="refuse")
        start = time.perf_counter()
        with ThreadPoolExecutor(processes) as pool:  # each thread waits for the compiler's process
            latencies[target] = [cost.latency_ms for cost in pool.map(source.cost, graphs)]
        seconds = time.perf_counter() - start
        print(f"{source.name}: {len(graphs)} networks in {seconds:.0f} s, {processes} at a time")
    return latencies


def per_mac(fitted: list[Sample], compared: list[Sample]) -> list[float]:
    """Predict with a line through multiply-accumulates, fitted by least squares of relative errors."""
    rate, base = _line([sample.graph.macs for sample in fitted], [sample.latency_ms for sample in fitted])
    return [rate * sample.graph.macs + base for sample in compared]


def _line(x: list[int], y: list[float]) -> tuple[float, float]:
    weights = [1.0 / value**2 for value in y]
    total = sum(weights)
    mean_x = sum(w * v for w, v in zip(weights, x, strict=True)) / total
    mean_y = sum(w * v for w, v in zip(weights, y, strict=True)) / total
    spread = sum(w * (v - mean_x) ** 2 for w, v in zip(weights, x, strict=True))
    slope = sum(w * (a - mean_x) * (b - mean_y) for w, a, b in zip(weights, x, y, strict=True)) / spread
    return slope, mean_y - slope * mean_x


def report(name: str, predicted: list[float], compared: list[Sample]) -> None:
    measured = [sample.latency_ms for sample in compared]
    errors = [p / m - 1.0 for p, m in zip(predicted, measured, strict=True)]
    worst = max(range(len(errors)), key=lambda index: abs(errors[index]))
    median = statistics.median(map(abs, errors))
    print(
        f"  {name:28} Spearman {spearman(predicted, measured):.3f}  MAPE {mape(predicted, measured):6.1%}  median "
        f"{median:6.1%}  worst {errors[worst]:+6.1%} ({compared[worst].name})"
    )


def explain(cost: Cost) -> str:
    """Return where a network's time goes in the simulator."""
    shares: dict[str, float] = {}
    for layer in cost.layers:
        shares[layer.bound_by] = shares.get(layer.bound_by, 0.0) + layer.latency_ms / cost.latency_ms
    return ", ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items(), key=lambda item: -item[1]))


def compare(target_name: str, fitted: list[Sample], compared: list[Sample], large: list[Sample]) -> list[float]:
    latencies = [sample.latency_ms for sample in compared]
    print(f"\n{target_name}: {len(compared)} networks, {min(latencies):.2f} to {max(latencies):.2f} ms")
    target = load_target(target_name)
    shipped = [simulate(sample.graph, target).latency_ms for sample in compared]
    of_large = [simulate(sample.graph, target).latency_ms for sample in large]
    calibration = calibrate(target, fitted)
    costs = [simulate(sample.graph, calibration.target) for sample in compared]
    report("target as it ships", shipped, compared)
    report(f"fitted to {len(fitted)} others", [cost.latency_ms for cost in costs], compared)
    report("line through MACs", per_mac(fitted, compared), compared)
    report(f"{len(large)} of {LARGE_SIZE[0]}x{LARGE_SIZE[1]}, as it ships", of_large, large)
    changes = ", ".join(f"{path} {old:.4g} -> {new:.4g}" for path, (old, new) in calibration.changes.items())
    print(f"  fitted: {changes}")
    worst = max(range(len(compared)), key=lambda index: abs(costs[index].latency_ms / latencies[index] - 1.0))
    print(f"  {compared[worst].name}: {latencies[worst]:.2f} ms; the simulator's time: {explain(costs[worst])}")
    both = zip([*shipped, *of_large], [*compared, *large], strict=True)
    ratios = [sample.latency_ms / estimated for estimated, sample in both]
    print_intervals({"space": ratios}, f"Vela's estimates of {len(ratios)} networks (benchmarks/simulator_vela.py)")
    return [cost.latency_ms / latency - 1.0 for cost, latency in zip(costs, latencies, strict=True)]


def each(errors: dict[str, list[float]], compared: dict[str, list[Sample]]) -> None:
    """Print every network: what Vela estimates, and the fitted simulator's error."""
    print(f"\n{'Vela, ms; error':16}" + "".join(f"{name:>22}" for name in errors))
    for index, first in enumerate(compared[next(iter(errors))]):
        cells = "".join(f"{compared[name][index].latency_ms:>13.2f} {errors[name][index]:>+8.1%}" for name in errors)
        print(f"{first.name:16}{cells}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fitted", type=int, default=20, help="networks that constants are fitted to")
    parser.add_argument("--compared", type=int, default=60, help="other networks, for the errors")
    parser.add_argument("--seed", type=int, default=0, help="of the networks")
    parser.add_argument("--large", type=int, default=20, help="networks of four times as many pixels")
    parser.add_argument("--processes", type=int, default=2, help="compilers at a time")
    parser.add_argument("--save", type=Path, help="write Vela's latencies to a JSON file")
    parser.add_argument("--reuse", type=Path, help="read Vela's latencies from such a file instead of compiling")
    options = parser.parse_args()
    graphs = sampled(options.fitted + options.compared, options.seed, INPUT_SIZE)
    graphs += sampled(options.large, options.seed + 1, LARGE_SIZE)
    key = hashlib.sha256(repr(graphs).encode()).hexdigest()[:16]  # what is compiled, not how it was drawn
    if options.reuse:
        content = read_json(options.reuse)
        if content["key"] != key:
            parser.error(f"{options.reuse} holds the latencies of other networks")
        latencies = content["latency_ms"]
        print(f"Vela's latencies are those of {options.reuse}")
    else:
        latencies = compiled(graphs, options.processes)
    if options.save:
        write_json(options.save, {"key": key, "latency_ms": latencies})
    errors: dict[str, list[float]] = {}
    compared: dict[str, list[Sample]] = {}
    for target in TARGETS:
        samples = [
            Sample(f"network {index}", graph, latency_ms)
            for index, (graph, latency_ms) in enumerate(zip(graphs, latencies[target], strict=True))
        ]
        small = options.fitted + options.compared
        compared[target] = samples[options.fitted : small]
        errors[target] = compare(target, samples[: options.fitted], compared[target], samples[small:])
    each(errors, compared)


if __name__ == "__main__":
    main()
