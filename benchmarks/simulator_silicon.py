"""How close the target of an Ethos-U85-256 comes to what Arm published of a chip, an Alif Ensemble E8.

    python benchmarks/simulator_silicon.py

The latencies are in ``<data>/devices/arm_silicon.csv``. ResNet-50 and MobileNetV3-Large are read from ncnn's files in
``<data>/devices/ncnn/models``, Inception v3 is made by hand. How far the compiler packs parameters depends on their
values, so each network has the bytes of a parameter that its compiled file has; the sizes are those of Arm's model
cards (huggingface.co/Arm, ``*-ethos-u-executorch``). The bandwidth of the flash is what the two ResNet-50 say of it.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from networks_by_hand import inception_v3
from simulator_vela_files import as_int8

from ednas.hw import LayerGraph, load_target, simulate
from ednas.hw.graph.layers import BIAS_BYTES
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
