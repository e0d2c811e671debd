"""How close the simulator comes to published Coral latencies and to the vendor compiler's cycles, and how fast it is.

The networks are the layer lists of ``<data>/coral/layer_lists.json`` and three MobileNets built here in torch; the
published figures are those of ``<data>/coral/published.json``. The target's constants were fitted to such figures,
these networks among them, so the errors show the fit of one small model to all networks, not a prediction of unseen
ones. The MobileNets are padded as torch pads, which costs them a ``PAD`` before each stride that the published files do
not have.

    python benchmarks/simulator.py --data ../shared/data --architectures 500 --runs 5
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ednas.arch import Architecture, Block, SearchSpace, load_architecture
from ednas.files import read_json
from ednas.hw import LayerGraph, Target, estimate, load_layer_list, load_target, simulate, trace_module
from ednas.hw.trace import clear_cache
from ednas.nn.blocks import ConvBNAct, build_block

HEADS = {"segmentation": 19, "depth": 1}
INPUT_SIZE = (256, 256)
CLASSES = 1001
MOBILENET_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), *[(512, 2)], *[(512, 1)] * 5, (1024, 2), (1024, 1))
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@dataclass(frozen=True)
class Row:
    """A network and its published figures."""

    name: str
    graph: LayerGraph
    latency_ms: float | None
    cycles: int | None


def mobilenet_v1(width: float) -> nn.Module:
    channels = round(32 * width)
    layers: list[nn.Module] = [ConvBNAct(3, channels, 3, stride=2)]
    for filters, stride in MOBILENET_V1:
        layers.append(ConvBNAct(channels, channels, 3, stride, groups=channels))
        layers.append(ConvBNAct(channels, round(filters * width)))
        channels = round(filters * width)
    return nn.Sequential(*layers, *_classifier(channels))


def mobilenet_v2() -> nn.Module:
    channels = 32
    layers: list[nn.Module] = [ConvBNAct(3, channels, 3, stride=2)]
    for expand_ratio, filters, depth, first_stride in MOBILENET_V2:
        for stride in (first_stride, *[1] * (depth - 1)):
            layers.append(build_block(channels, Block.from_text(f"ibn_k3_s{stride}_e{expand_ratio}_c{filters}")))
            channels = filters
    return nn.Sequential(*layers, ConvBNAct(channels, 1280), *_classifier(1280))


def _classifier(channels: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES), nn.Softmax(-1)


def networks(data: Path) -> list[Row]:
    folder = data / "coral"
    published = read_json(folder / "published.json")
    latencies = published["latency_ms"]["rows"]
    by_list = {row["layers"]: row["ms"] for row in latencies if "layers" in row}
    by_file = {row["file"]: row["ms"] for row in latencies if "file" in row}
    cycles = {row["file"]: row["cycles"] for row in published["compiler"]["rows"]}
    rows = [Row(name, load_layer_list(folder / "layer_lists.json", name), ms, None) for name, ms in by_list.items()]
    built = (
        ("mobilenet_v1_0.25_128_quant.tflite", lambda: mobilenet_v1(0.25), 128),
        ("mobilenet_v1_0.75_192_quant.tflite", lambda: mobilenet_v1(0.75), 192),
        ("mobilenet_v2_1.0_224_quant.tflite", mobilenet_v2, 224),
    )
    for file, build, size in built:
        with torch.device("meta"):
            graph = trace_module(build(), (1, 3, size, size))
        rows.append(Row(file.removesuffix("_quant.tflite"), graph, by_file.get(file), cycles[file]))
    return rows


def report_accuracy(data: Path, target: Target) -> None:
    print(f"{'network':24}{'published':>11}{'predicted':>11}{'error':>8}{'compiler':>12}{'predicted':>11}{'error':>8}")
    errors: dict[str, list[float]] = {"latency": [], "cycles": []}
    for row in networks(data):
        cost = simulate(row.graph, target)
        line = f"{row.name:24}"
        if row.latency_ms is None:
            line += f"{'':>11}{cost.latency_ms:8.2f} ms{'':>8}"
        else:
            error = cost.latency_ms / row.latency_ms - 1
            errors["latency"].append(abs(error))
            line += f"{row.latency_ms:8.2f} ms{cost.latency_ms:8.2f} ms{error:+8.1%}"
        if row.cycles is not None:
            error = cost.accelerator_cycles / row.cycles - 1
            errors["cycles"].append(abs(error))
            line += f"{row.cycles:12,}{cost.accelerator_cycles:11,}{error:+8.1%}"
        print(line)
    for name, values in errors.items():
        mean, median = statistics.mean(values), statistics.median(values)
        print(f"{name}: mean absolute error {mean:.1%}, median {median:.1%} ({len(values)} networks)")


def report_speed(count: int, runs: int, target: Target) -> None:
    """Time fresh architectures (CPU seconds of one core), from a cold start and with the blocks' pieces known."""
    space = SearchSpace(load_architecture("base"))
    torch.set_num_threads(1)
    decoding: list[float] = []
    batches: list[list[Architecture]] = []
    for run in range(runs + 1):
        generator = random.Random(run)
        genes = [[generator.randrange(len(d.candidates)) for d in space.decisions] for _ in range(count)]
        start = time.process_time()
        batches.append([space.decode(values) for values in genes])
        decoding.append((time.process_time() - start) / count)
    clear_cache()
    cold = _rate(batches[0], target)
    remaining = [_rate(batch, target) for batch in batches[1:]]
    repeated = statistics.median(_warm_rates(space, runs, count, target))
    print(f"first {count} architectures of a process: {cold:,.0f} a CPU second (each new block is traced)")
    print(f"each further {count}: {', '.join(f'{rate:,.0f}' for rate in remaining)} a second")
    print(f"fresh architectures, all blocks known: {repeated:,.0f} a second (median of {runs} runs)")
    print(f"decoding genes to an Architecture: {statistics.median(decoding) * 1e3:.2f} ms each, not in the rates above")


def _warm_rates(space: SearchSpace, runs: int, count: int, target: Target) -> list[float]:
    """Return rates for architectures never costed before whose blocks have all been met in other architectures."""
    rates = []
    for run in range(runs):
        generator = random.Random(1000 + run)
        genes = [[generator.randrange(len(d.candidates)) for d in space.decisions] for _ in range(count)]
        batch = [space.decode(values) for values in genes]
        # Costing them at another number of BiFPN layers meets every block but none of these networks.
        for architecture in batch:
            estimate(architecture.clone(override={"bifpn_depth": 3}), HEADS, INPUT_SIZE, target)
        rates.append(_rate(batch, target))
    return rates


def _rate(batch: list[Architecture], target: Target) -> float:
    start = time.process_time()
    for architecture in batch:
        estimate(architecture, HEADS, INPUT_SIZE, target)
    return len(batch) / (time.process_time() - start)


def report_architectures(target: Target) -> None:
    print(f"\n{'architecture':28}{'both tasks':>11}{'two runs':>11}{'saved':>8}")
    for name in ("base", "ednas_cityscapes", "ednas_cityscapes_published", "nas_depth", "nas_depth_published"):
        architecture = load_architecture(name)
        both = estimate(architecture, HEADS, INPUT_SIZE, target).latency_ms
        single = sum(estimate(architecture, {task: n}, INPUT_SIZE, target).latency_ms for task, n in HEADS.items())
        print(f"{name:28}{both:8.2f} ms{single:8.2f} ms{1 - both / single:8.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds coral/")
    parser.add_argument("--target", default="coral_usb", help="a target's name or YAML file")
    parser.add_argument("--architectures", type=int, default=500, help="architectures a run")
    parser.add_argument("--runs", type=int, default=5, help="runs of the timing")
    options = parser.parse_args()
    target = load_target(options.target)
    report_accuracy(options.data, target)
    report_architectures(target)
    print()
    report_speed(options.architectures, options.runs, target)


if __name__ == "__main__":
    main()
