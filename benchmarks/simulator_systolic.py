"""Does the ``systolic`` engine give SCALE-Sim's cycles and memory accesses, and how much faster?

    python benchmarks/simulator_systolic.py

Runs SCALE-Sim 3.0 in an environment of its own (made on the first run, it needs a numpy that the rest does not) and the
engine on the same layers: random convolutions on arrays of random size, and every convolution, depthwise convolution
and fully connected layer of the base network on 64 x 64, in all three dataflows. SCALE-Sim pads nothing itself: it gets
the smallest padded input that gives the layer's output. Of a depthwise convolution it gets one channel, whose figures
are multiplied by the channels, and only that channel's time is counted. Layers of equal shape run once.

SCALE-Sim's time grows with the cycles, so random layers are drawn anew until none of the dataflows takes more than
``--largest`` cycles. Both times are processor time in this run, SCALE-Sim's without starting it and reading its files.
Exits with 1 if a number differs or the engine is not a thousand times as fast.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ednas.arch import load_architecture
from ednas.hw import Layer
from ednas.hw.graph import ops
from ednas.hw.graph.trace import trace_network
from ednas.hw.model.engines.systolic import Dataflow, ProductWork, SystolicArray, product, product_work

HERE = Path(__file__).parent / "scalesim"
DATAFLOWS: tuple[Dataflow, ...] = ("ws", "os", "is")
HEADS = {"segmentation": 19, "depth": 1}
INPUT_SIZE = (256, 256)
NETWORK_ARRAY = (64, 64)
ARRAY_SIDES = (8, 128)
ASKED_RATIO = 1000
REPEATS = 20
CLOCK = {"value": 700.0, "provenance": "assumed", "source": "cycles do not depend on it"}


@dataclass(frozen=True)
class Case:
    """A layer on an array."""

    layer: Layer
    array: SystolicArray

    def topology(self) -> list[int]:
        """Return SCALE-Sim's description of the layer; of one channel of a depthwise convolution."""
        layer, (height, width) = self.layer, self.layer.kernel
        inputs = [
            (side - 1) * layer.stride + kernel for side, kernel in zip(layer.output, (height, width), strict=False)
        ]
        channels, filters = layer.input[2], layer.output[2]
        if layer.op == "DEPTHWISE_CONV_2D":
            channels, filters = 1, filters // channels
        return [*inputs, height, width, channels, filters, layer.stride]

    def ours(self) -> ProductWork:
        """Return the engine's cycles and accesses, summed over channels."""
        times, *sizes = product(self.layer)
        one = product_work(*sizes, self.array.rows, self.array.cols, self.array.dataflow)
        assert self.array.work(self.layer).cycles == times * one.cycles
        return ProductWork(*(times * value for value in one))

    def theirs(self, result: Sequence[float]) -> ProductWork:
        """Return SCALE-Sim's cycles and accesses, summed over channels.

        With stationary outputs it counts rows + columns writes too many for each fold: having counted a fold's outputs,
        it adds the sides of the array to them.
        """
        times, pixels, _, filters = product(self.layer)
        cycles, inputs, weights, outputs = map(int, result[:4])
        rows, cols = self.array.rows, self.array.cols
        if self.array.dataflow == "os":
            outputs -= -(-pixels // rows) * -(-filters // cols) * (rows + cols)
        return ProductWork(*(times * value for value in (cycles, inputs, weights, outputs)))


def array(rows: int, cols: int, dataflow: Dataflow) -> SystolicArray:
    return SystolicArray.model_validate(
        {"kind": "systolic", "rows": rows, "cols": cols, "dataflow": dataflow, "clock_mhz": CLOCK}
    )


def random_layer(rng: random.Random) -> Layer:
    height, width = rng.randint(1, 32), rng.randint(1, 32)
    kernel = rng.choice((1, 1, 2, 3, 3, 5, 7)), rng.choice((1, 1, 2, 3, 3, 5, 7))
    channels, filters = rng.randint(1, 256), rng.randint(1, 256)
    stride = rng.randint(1, 3)
    sides = (height - 1) * stride + kernel[0], (width - 1) * stride + kernel[1]
    return Layer("random", "", "CONV_2D", (*sides, channels), (height, width, filters), kernel, stride)


def random_cases(count: int, largest: int, seed: int) -> dict[Dataflow, list[Case]]:
    """Return ``count`` layers, each on an array of its own, for every dataflow."""
    rng = random.Random(seed)
    cases: dict[Dataflow, list[Case]] = {dataflow: [] for dataflow in DATAFLOWS}
    while len(cases["ws"]) < count:
        layer, rows, cols = random_layer(rng), rng.randint(*ARRAY_SIDES), rng.randint(*ARRAY_SIDES)
        drawn = [Case(layer, array(rows, cols, dataflow)) for dataflow in DATAFLOWS]
        if max(case.ours().cycles for case in drawn) <= largest:
            for case in drawn:
                cases[case.array.dataflow].append(case)
    return cases


def network_cases() -> tuple[dict[Dataflow, list[Case]], int]:
    """Return the base network's distinct layers for every dataflow, and how many layers they stand for."""
    graph = trace_network(load_architecture("base"), HEADS, INPUT_SIZE)
    layers = [layer for layer in graph.layers if layer.op in ops.CONVOLUTIONS]
    distinct = {(layer.op, layer.input, layer.output, layer.kernel, layer.stride): layer for layer in layers}
    cases = {flow: [Case(layer, array(*NETWORK_ARRAY, flow)) for layer in distinct.values()] for flow in DATAFLOWS}
    return cases, len(layers)


def prepare(environment: Path) -> Path:
    """Make SCALE-Sim's environment if there is none yet; return its Python."""
    python = environment / "bin" / "python"
    if not python.exists():
        print(f"installing SCALE-Sim into {environment}", file=sys.stderr)
        venv.create(environment, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(HERE / "requirements.txt")]
        subprocess.run(install, check=True)
    return python


def run_scalesim(python: Path, cases: Iterable[Case]) -> list[list[float]]:
    """Return SCALE-Sim's cycles, input reads, weight reads, output writes and seconds for each case."""
    jobs = [[case.array.rows, case.array.cols, case.array.dataflow, case.topology()] for case in cases]
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "jobs.json", Path(folder) / "results.json"
        asked.write_text(json.dumps(jobs))
        subprocess.run([str(python), str(HERE / "run_layers.py"), str(asked), str(answered)], check=True)
        return json.loads(answered.read_text())


def seconds_per_layer(cases: Sequence[Case]) -> float:
    """Return the processor time of the engine's ``work``, mean over the cases."""
    start = time.process_time()
    for _ in range(REPEATS):
        for case in cases:
            case.array.work(case.layer)
    return (time.process_time() - start) / (REPEATS * len(cases))


def report(name: str, cases: Sequence[Case], results: Sequence[Sequence[float]]) -> bool:
    """Print a line of the table; return whether all is equal and fast enough."""
    pairs = [(case.ours(), case.theirs(result)) for case, result in zip(cases, results, strict=True)]
    equal = [sum(ours[field] == theirs[field] for ours, theirs in pairs) for field in range(4)]
    difference = max(abs(ours.cycles - theirs.cycles) for ours, theirs in pairs)
    seconds = sum(result[4] for result in results) / len(results)
    own_seconds = seconds_per_layer(cases)
    ratio = seconds / own_seconds
    counts = "".join(f"{f'{count}/{len(cases)}':>11}" for count in equal)
    print(f"{name:<12}{counts}{difference:>11}{seconds:>13.3f}{own_seconds * 1e6:>10.2f}{ratio:>13,.0f}")
    return min(equal) == len(cases) and ratio >= ASKED_RATIO


def main() -> int:
    default_environment = Path(tempfile.gettempdir()) / "ednas-scalesim-3.0.0"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=200, help="random layers (default: 200)")
    parser.add_argument("--largest", type=int, default=20_000, help="cycles of a random layer (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the random layers (default: 0)")
    parser.add_argument(
        "--environment", type=Path, default=default_environment, help="virtual environment of SCALE-Sim"
    )
    options = parser.parse_args()

    python = prepare(options.environment)
    drawn, (base, layer_count) = random_cases(options.layers, options.largest, options.seed), network_cases()
    print(f"python {' '.join(sys.argv)}")
    sides = f"{ARRAY_SIDES[0]} to {ARRAY_SIDES[1]}"
    print(f"random: {options.layers} convolutions of up to {options.largest} cycles, array sides {sides}")
    print(f"base: {layer_count} layers of the base network at {INPUT_SIZE}, {len(base['ws'])} distinct, on 64 x 64")
    counts = "".join(f"{head:>11}" for head in ("cycles", "inputs", "weights", "outputs", "max diff"))
    print(f"{'':<12}{counts}{'SCALE-Sim s':>13}{'ours us':>10}{'times faster':>13}")
    good = True
    for name, groups in (("random", drawn), ("base", base)):
        for dataflow, cases in groups.items():
            good &= report(f"{name} {dataflow}", cases, run_scalesim(python, cases))
    print("inputs, weights: reads from on-chip memory; outputs: writes to it. Equal of all, max diff in cycles;")
    print("processor time of a layer, mean. SCALE-Sim's output writes in os without rows + columns for each fold.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
