"""How close the target of an Ethos-U85-256 comes to what Arm published of a chip, an Alif Ensemble E8.

    python benchmarks/simulator_silicon.py

The latencies are in ``<data>/devices/arm_silicon.csv``. ResNet-50 and MobileNetV3-Large are read from ncnn's files in
``<data>/devices/ncnn/models``, Inception v3 is made here. How far the compiler packs parameters depends on their
values, so each network has the bytes of a parameter that its compiled file has; the sizes are those of Arm's model
cards (huggingface.co/Arm, ``*-ethos-u-executorch``). The bandwidth of the flash is what the two ResNet-50 say of it.
"""

from __future__ import annotations

import argparse
import csv
from math import prod
from pathlib import Path

from simulator_vela_files import as_int8

from ednas.hw import LayerGraph, load_target, simulate
from ednas.hw.graph.layers import BIAS_BYTES, Layer
from ednas.hw.model.target import Target
from ednas.hw.ncnn.reader import load_ncnn

FILES = {
    ("resnet50_224", "per_tensor"): 14.42,
    ("resnet50_224", "per_channel"): 21.76,
    ("inception_v3_299", ""): 17.53,
    ("mobilenet_v3_large_224", ""): 5.11,
}
"""Megabytes of the compiled files; without an operator's scales and the program, which are some tens of KB."""

NCNN = {"resnet50_224": "resnet50", "mobilenet_v3_large_224": "mobilenet_v3"}


class Network:
    """A graph that grows; tensors are numbers of layers, -1 is the image."""

    def __init__(self, height: int, width: int) -> None:
        self.layers: list[Layer] = []
        self.shapes = {-1: (height, width, 3)}

    def convolution(
        self, source: int, filters: int, kernel: tuple[int, int] = (1, 1), stride: int = 1, *, pad: bool = True
    ) -> int:
        """Add a convolution, padded to the size of its input (over its stride) or not at all."""
        height, width, channels = self.shapes[source]
        lost = (0, 0) if pad else (kernel[0] - 1, kernel[1] - 1)
        output = (-(-(height - lost[0]) // stride), -(-(width - lost[1]) // stride), filters)
        weights = prod(kernel) * channels * filters
        fields = {"weight_bytes": weights + BIAS_BYTES * filters, "macs": weights * output[0] * output[1]}
        return self._add("CONV_2D", (source,), output, kernel=kernel, stride=stride, **fields)

    def pool(self, source: int, op: str = "MAX_POOL_2D", kernel: int = 3, stride: int = 2) -> int:
        """Add a pooling: of the same size with stride 1, else without padding."""
        height, width, channels = self.shapes[source]
        lost = 0 if stride == 1 else kernel - 1
        output = (-(-(height - lost) // stride), -(-(width - lost) // stride), channels)
        return self._add(op, (source,), output, kernel=(kernel, kernel), stride=stride)

    def concatenation(self, *sources: int) -> int:
        """Add a concatenation of channels."""
        height, width, _ = self.shapes[sources[0]]
        channels = sum(self.shapes[source][2] for source in sources)
        return self._add("CONCATENATION", sources, (height, width, channels))

    def _add(self, op: str, sources: tuple[int, ...], output: tuple[int, int, int], **fields: object) -> int:
        number = len(self.layers)
        layer = Layer(
            name=str(number),
            scope="network",
            op=op,
            input=self.shapes[sources[0]],
            output=output,
            inputs=sources,
            **fields,  # type: ignore[arg-type]
        )
        self.layers.append(layer)
        self.shapes[number] = output
        return number


def inception_v3() -> LayerGraph:
    """Return Inception v3 (Szegedy et al. 2015) at 299 x 299, as torchvision has it."""
    net = Network(299, 299)
    conv, pool, concatenate = net.convolution, net.pool, net.concatenation

    def chain(source: int, *steps: tuple[int, tuple[int, int]]) -> int:
        for filters, kernel in steps:
            source = conv(source, filters, kernel)
        return source

    def average(source: int, filters: int) -> int:
        return conv(pool(source, "AVERAGE_POOL_2D", stride=1), filters)

    def reduction(source: int, *steps: tuple[int, tuple[int, int]]) -> int:
        return conv(chain(source, *steps[:-1]), *steps[-1], stride=2, pad=False)

    one, three, wide, high = (1, 1), (3, 3), (1, 7), (7, 1)
    last = conv(conv(-1, 32, three, 2, pad=False), 32, three, pad=False)
    last = pool(conv(last, 64, three))
    last = pool(conv(conv(last, 80), 192, three, pad=False))
    for filters in (32, 64, 64):
        branches = [chain(last, (48, one), (64, (5, 5))), chain(last, (64, one), (96, three), (96, three))]
        last = concatenate(conv(last, 64), *branches, average(last, filters))
    branches = [reduction(last, (384, three)), reduction(last, (64, one), (96, three), (96, three))]
    last = concatenate(*branches, pool(last))
    for filters in (128, 160, 160, 192):
        short = chain(last, (filters, one), (filters, wide), (192, high))
        long = chain(last, (filters, one), (filters, high), (filters, wide), (filters, high), (192, wide))
        last = concatenate(conv(last, 192), short, long, average(last, 192))
    branches = [
        reduction(last, (192, one), (320, three)),
        reduction(last, (192, one), (192, wide), (192, high), (192, three)),
    ]
    last = concatenate(*branches, pool(last))
    for _ in range(2):
        halves = [conv(last, 384), chain(last, (448, one), (384, three))]
        split = [conv(half, 384, kernel) for half in halves for kernel in ((1, 3), (3, 1))]
        last = concatenate(conv(last, 320), *split, average(last, 192))
    conv(pool(last, "AVERAGE_POOL_2D", kernel=8, stride=8), 1000)
    return LayerGraph(tuple(net.layers), 299 * 299 * 3, 1000)


def packed(target: Target, graph: LayerGraph, megabytes: float) -> Target:
    """Return a target whose compiler packs a network's parameters into a file of some size."""
    weights = sum(layer.weight_bytes - BIAS_BYTES * layer.output[2] for layer in graph.layers if layer.weight_bytes)
    engine = target.engine.model_dump()
    engine["weight_compression"]["value"] = megabytes * 1e6 / weights
    return Target.model_validate({**target.model_dump(), "engine": engine})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of devices/")
    devices = parser.parse_args().data / "devices"
    with (devices / "arm_silicon.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if "Ethos-U85-256" in row["device"]]
    published = {(row["network"], row["weights"]): float(row["ms"]) for row in rows}
    few, many = ("resnet50_224", "per_tensor"), ("resnet50_224", "per_channel")
    bandwidth = (FILES[many] - FILES[few]) / (published[many] - published[few])
    print(f"flash: {bandwidth * 1e3:.0f} MB/s")
    target = load_target("ethos_u85_256")
    print(f"{'network':24}{'weights':13}{'published':>12}{'simulator':>12}{'error':>8}{'as it ships':>14}{'error':>8}")
    for (network, weights), ms in published.items():
        ncnn = NCNN.get(network)
        graph = as_int8(load_ncnn(devices / "ncnn" / "models" / f"{ncnn}.param")) if ncnn else inception_v3()
        own = simulate(graph, packed(target, graph, FILES[network, weights])).latency_ms
        shipped = simulate(graph, target).latency_ms
        print(
            f"{network:24}{weights:13}{ms:9.1f} ms{own:9.1f} ms{own / ms - 1:+8.1%}{shipped:11.1f} ms"
            f"{shipped / ms - 1:+8.1%}"
        )


if __name__ == "__main__":
    main()
