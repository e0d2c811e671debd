"""How close the Ethos-U engines come to Vela's estimates on public networks, which nothing was fitted to.

    python benchmarks/simulator_vela_files.py
    python benchmarks/simulator_vela_files.py --target ethos_u85_1024

The networks are the TFLite files of ``<data>/coral``, and those of ncnn's benchmark program in
``<data>/devices/ncnn/models`` that can be written as TFLite files, in int8 with random weights.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from intervals import print_intervals

from ednas.exceptions import EdnasError
from ednas.hw import LayerGraph, load_target, simulate
from ednas.hw.graph.layers import BIAS_BYTES
from ednas.hw.ncnn.reader import load_ncnn
from ednas.hw.networks import load_network
from ednas.hw.sources.vela import Vela
from ednas.hw.targets.calibration import mape, spearman

TARGETS = ("ethos_u55_256", "ethos_u65_512", "ethos_u85_1024")
LEFT_OUT = ("vgg16", "vision_transformer")
"""Networks that Vela takes minutes for, or whose file leaves the input's size open."""


def networks(data: Path) -> Iterator[tuple[str, LayerGraph, Path | None]]:
    """Yield each network with its name, and its file if it is a TFLite file."""
    for path in sorted((data / "coral").glob("*.tflite")):
        yield path.stem, load_network(str(path)).graph, path
    for path in sorted((data / "devices" / "ncnn" / "models").glob("*.param")):
        if path.stem not in LEFT_OUT and not path.stem.endswith("_int8"):
            try:
                yield path.stem, as_int8(load_ncnn(path)), None
            except EdnasError:
                continue


def as_int8(graph: LayerGraph) -> LayerGraph:
    layers = []
    for layer in graph.layers:
        biases = BIAS_BYTES * layer.output[2] if layer.weight_bytes else 0
        size = max((layer.weight_bytes - biases) // 4, 0) + biases
        layers.append(replace(layer, dtype="int8", weight_bits=8, weight_bytes=size))
    return replace(
        graph, layers=tuple(layers), input_bytes=graph.input_bytes // 4, output_bytes=max(graph.output_bytes // 4, 1)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of coral/ and devices/")
    parser.add_argument("--target", action="append", choices=TARGETS, help="can be repeated; default: all")
    options = parser.parse_args()
    found = list(networks(options.data))
    for name in options.target or TARGETS:
        target, vela = load_target(name), Vela(name.replace("_", "-"))
        print(f"\n{name:52}{'Vela':>11}{'simulator':>12}{'error':>9}")
        compiled: list[float] = []
        simulated: list[float] = []
        for network, graph, model in found:
            try:
                reference = vela.cost(graph, model).latency_ms
            except EdnasError:
                continue  # it cannot be written, or Vela cannot compile it
            compiled.append(reference)
            simulated.append(simulate(graph, target).latency_ms)
            error = simulated[-1] / reference - 1
            print(f"{network[:50]:52}{reference:8.2f} ms{simulated[-1]:9.2f} ms{error:+9.1%}", flush=True)
        errors = [abs(own / other - 1) for own, other in zip(simulated, compiled, strict=True)]
        print(
            f"{len(errors)} networks: MAPE {mape(simulated, compiled):.1%}, median {statistics.median(errors):.1%}, "
            f"worst {max(errors):.1%}, Spearman {spearman(simulated, compiled):.3f}"
        )
        ratios = [other / own for own, other in zip(simulated, compiled, strict=True)]
        print_intervals({"any": ratios}, "Vela's estimates of public networks (benchmarks/simulator_vela_files.py)")


if __name__ == "__main__":
    main()
