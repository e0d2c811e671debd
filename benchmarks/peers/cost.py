"""What networks of segmentation_models_pytorch cost on the device, beside the base architecture of ours.

All go the same way: without what enlarges their predictions at the end (a Unet has none and predicts at stride 1, the
others at stride 4), converted by litert-torch, quantised by ai-edge-quantizer, with weights that are not trained, since
no time depends on them. Then each int8 file runs in LiteRT on one thread of this computer, one network after the other
in every round, and is read by the simulator. ``ednas export`` itself refuses the peers: their operators are not those
of a clean graph. ::

    python -m benchmarks.peers.cost             # prints results/peers_cost.json
    python -m benchmarks.peers.cost --measure   # makes it: some minutes once all are converted, which takes twenty
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import Any

import litert_torch
import torch
from ai_edge_quantizer import quantizer, recipe
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.networks import PEERS, PeerNetwork, build_peer
from benchmarks.recipes import HEADS, RESULTS, STREETS_TASKS, TARGETS
from ednas.arch import load_architecture
from ednas.export.tflite_model import TfliteModel
from ednas.files import atomic_path, read_json, write_json
from ednas.hw import LayerCost, load_target, load_tflite, simulate
from ednas.hw.benchmark import run_benchmark
from ednas.hw.sources.litert import LiteRT
from ednas.nn import MultiTaskNetwork

COSTS = RESULTS.with_name("peers_cost.json")
FILES = Path("runs/peers")
"""Where the int8 files are; one that is there is not converted again."""

OURS = "ednas, base"
SIZES = ((64, 128), (256, 512))


class Outputs(nn.Module):
    """A network's predictions as deployed, in a tuple, as the converter wants them."""

    def __init__(self, network: MultiTaskNetwork | PeerNetwork) -> None:
        super().__init__()
        # The converter loses weights of another layout; see ednas.export.deployed.
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.contiguous_format)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map a normalised image ``(N, 3, H, W)`` to one output a task, in the order of the heads."""
        return tuple(self.network.predict_heads(image).values())


def build(name: str) -> Outputs:
    heads = {task: HEADS[task] for task in STREETS_TASKS}
    return Outputs(build_peer(name, heads) if name in PEERS else MultiTaskNetwork(load_architecture("base"), heads))


def count_macs(network: Outputs, size: tuple[int, int]) -> int:
    """Return the multiply-accumulates of convolutions, as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, *size))
    return int(counter.get_total_flops()) // 2


def write_int8(network: Outputs, size: tuple[int, int], path: Path) -> None:
    """Convert and quantise, with noise for the ranges of the activations."""
    images = torch.randn(4, 1, *size, 3, generator=torch.Generator().manual_seed(0))
    channels_last = litert_torch.to_channel_last_io(network, args=[0], outputs=list(range(len(STREETS_TASKS))))
    floats = path.with_suffix(".float.tflite")
    litert_torch.convert(channels_last.eval(), (images[0],)).export(str(floats))
    ends = TfliteModel(floats)
    work = quantizer.Quantizer(str(floats), recipe.static_wi8_ai8())
    ranges = work.calibrate({ends.signature: [{ends.input.name: image.numpy()} for image in images]}, num_threads=1)
    with atomic_path(path) as temporary:
        work.quantize(ranges).export_model(str(temporary))
    floats.unlink()


def describe(name: str, size: tuple[int, int], path: Path) -> dict[str, Any]:
    """Write the file unless it is there; return all that is not measured."""
    network = build(name)
    if not path.exists():
        write_int8(network, size, path)
    graph = load_tflite(path)
    estimates = {target: simulate(graph, load_target(target)) for target in TARGETS}
    return {
        "name": name,
        "size": size,
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "macs": count_macs(network, size),
        "operators": Counter(layer.op for layer in graph.layers),
        "left_in_float": sum(dtype == "float32" for dtype in TfliteModel(path).computed_dtypes.values()),
        "estimates": {
            target: {
                "latency_ms": cost.latency_ms,
                "host_ms": cost.host_ms,
                "first_on_host": next((_why(layer) for layer in cost.layers if layer.where == "host"), ""),
            }
            for target, cost in estimates.items()
        },
    }


def _why(layer: LayerCost) -> str:
    return f"{layer.op}: {layer.reason.rpartition('): ')[2]}"


def measure(rounds: int) -> list[dict[str, Any]]:
    FILES.mkdir(parents=True, exist_ok=True)
    rows, paths = [], []
    for size in SIZES:
        for name in (OURS, *PEERS):
            paths.append(FILES / f"{re.sub('[^a-z0-9]+', '_', name.lower())}_{size[0]}x{size[1]}.tflite")
            rows.append(describe(name, size, paths[-1]))
    measured = run_benchmark(list(map(str, paths)), load_target("cpu_generic"), runtime=LiteRT(processes=rounds))
    for row, result in zip(rows, measured.results, strict=True):
        row["processor_ms"] = [one.processor_ms for one in result.rounds]
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    targets = [f"{target} ms (host)" for target in TARGETS]
    table = Table("", "input", "M params", "MMAC", "processor ms", "times ours", *targets, "first on the host")
    for row in rows:
        ours = next(other for other in rows if other["name"] == OURS and other["size"] == row["size"])
        least = min(row["processor_ms"])
        estimates = row["estimates"].values()
        table.add_row(
            row["name"],
            "x".join(map(str, row["size"])),
            f"{row['params'] / 1e6:.2f}",
            f"{row['macs'] / 1e6:.0f}",
            f"{least:.2f}",
            f"{least / min(ours['processor_ms']):.2f}",
            *(f"{one['latency_ms']:.2f} ({one['host_ms']:.2f})" for one in estimates),
            "; ".join(dict.fromkeys(one["first_on_host"] for one in estimates if one["first_on_host"])),
        )
    Console(width=200).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="convert and measure again")
    parser.add_argument("--rounds", type=int, default=8, help="of the measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        write_json(COSTS, measure(options.rounds))
    show(read_json(COSTS))


if __name__ == "__main__":
    main()
