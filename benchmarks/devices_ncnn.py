"""How well the cost of networks in ncnn is estimated on processors that five networks were measured on.

    python benchmarks/devices_ncnn.py
    python benchmarks/devices_ncnn.py --figures float16

The reference is what people reported with ncnn's benchmark program: ``latency.csv`` with the networks' ``.param`` files
beside it in ``models`` (``--data``). Entries of one thread on the processor are compared, networks in floating point
alone, by the least of a network's times. ncnn's program computes in float16 where the core can, else in float32.

For each entry the figures of the engine and their spreads are estimated from devices of other groups (every fifth
device is left out of them together), then fitted to five networks, and compared on the rest: once with the five that
docs recommend, and with random ones (the mean over ``--draws``). *Held* are the others that the calibrated target's
interval holds, of which 80 % are meant. Beside it: only the speed fitted to the same five, and a line through MACs.
``--figures`` prints those that ``cpu_ncnn_fp32`` and ``cpu_ncnn_fp16`` ship, from all devices.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import least_squares, nnls

from ednas.hw import load_target
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.model.simulator import simulate
from ednas.hw.model.target import Target
from ednas.hw.ncnn.reader import load_ncnn
from ednas.hw.targets.calibration import ROW_ERROR, Sample, calibrate, fit, mape, replace_figures, spearman

DATA = Path("../shared/data/devices/ncnn")
FIVE = ("mobilenet_v3", "resnet18", "shufflenet_v2", "efficientnet_b0", "squeezenet_ssd")
"""Networks that together hold every kind of layer but large windows and attention."""

SIZES = {"FastestDet": (352, 352), "vision_transformer": (384, 384)}
"""Inputs of networks whose file leaves them open, as ncnn's program has them."""

RENAMED = {"mobilenet_yolov3": "mobilenetv2_yolov3"}
HALF = re.compile(
    r"A55|A76|A78|A720|X1\b|855|675|888|X Elite|Orion|RK3588|RK3568|T527|kunpeng|Xavier|M1, 2020", re.IGNORECASE
)
"""What the names of devices hold whose cores compute in float16."""

SPEED = "engine.mac_cycles"
GROUPS = 5
ROUNDS = 12
FEWEST = 12
"""Networks that an entry must have."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """What one person reported of one device.

    Attributes:
        device: Its name.
        run: Which of the device's reports.
        latencies: The least time of each network, ms.
    """

    device: str
    run: str
    latencies: Mapping[str, float]

    @property
    def precision(self) -> str:
        """The type in which ncnn's program computes there."""
        return "float16" if HALF.search(self.device) else "float32"


def read_entries(data: Path, networks: Mapping[str, LayerGraph], threads: str = "1") -> list[Entry]:
    """Return the entries of so many threads on the processor, with the networks that there are."""
    found: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    with (data / "latency.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = RENAMED.get(row["network"], row["network"])
            if row["threads"] == threads and row["gpu_device"] == "-1" and name in networks:
                times = found[row["device"], row["run"]]
                times[name] = min(times.get(name, float("inf")), float(row["min_ms"]))
    return [Entry(*key, times) for key, times in found.items() if len(times) >= FEWEST]


def read_networks(data: Path) -> dict[str, LayerGraph]:
    """Return the networks in floating point by their name."""
    files = sorted((data / "models").glob("*.param"))
    return {path.stem: load_ncnn(path, SIZES.get(path.stem)) for path in files if not path.stem.endswith("_int8")}


class Linear:
    """The engine as what it is: a time that is linear in its figures, for estimating them from many devices.

    Attributes:
        paths: Of the free figures, the speed left out.
        values: Theirs in the file.
        parts: For each network its milliseconds at speed 1: those of no figure, and for 1 of each.
    """

    def __init__(self, target: Target, networks: Mapping[str, LayerGraph]) -> None:
        figures = target.figures()
        self.speed = figures[SPEED].value
        self.paths = [path for path, figure in figures.items() if figure.fit and path != SPEED]
        self.values = np.array([figures[path].value for path in self.paths])
        doubled = [
            replace_figures(target, {path: figures[path].model_copy(update={"value": 2 * figures[path].value})})
            for path in self.paths
        ]
        self.parts: dict[str, Floats] = {}
        for name, graph in networks.items():
            whole = simulate(graph, target).latency_ms / self.speed
            slopes = [
                (simulate(graph, other).latency_ms / self.speed - whole) / value
                for other, value in zip(doubled, self.values, strict=True)
            ]
            self.parts[name] = np.array([whole - float(np.dot(slopes, self.values)), *slopes])

    def residuals(self, parameters: Floats, entry: Entry) -> Floats:
        """Return logarithms of estimates over measurements; parameters are logarithms of the speed and the figures."""
        names = list(entry.latencies)
        parts = np.array([self.parts[name] for name in names])
        estimates = np.exp(parameters[0]) * (parts @ np.concatenate([[1.0], np.exp(parameters[1:])]))
        return np.asarray(np.log(estimates / np.array([entry.latencies[name] for name in names])))


def estimate_figures(linear: Linear, entries: Sequence[Entry]) -> tuple[float, Floats, Floats]:
    """Return a typical speed, typical figures, and their spreads, from devices.

    Expectation maximisation: each entry's figures by their most probable values under the present mean and spread, with
    the variance that its networks leave them; then mean and spread of all.
    """
    mean, spread = np.log(linear.values), np.full(len(linear.values), 0.3)
    speeds: list[float] = []
    for _ in range(ROUNDS):
        found, left = [], []
        speeds = []
        for entry in entries:
            solution = least_squares(
                lambda p, entry=entry, mean=mean, spread=spread: np.concatenate(
                    [linear.residuals(p, entry) / ROW_ERROR, (p[1:] - mean) / spread]
                ),
                np.concatenate([[_start(linear, entry, mean)], mean]),
                loss="soft_l1",
            )
            covariance = np.linalg.inv(solution.jac.T @ solution.jac)
            speeds.append(float(solution.x[0]))
            found.append(solution.x[1:])
            left.append(np.diag(covariance)[1:])
        centre = np.median(found, axis=0)
        # By medians: a few entries were measured on machines that did other work, too.
        deviation = 1.48 * np.median(np.abs(np.array(found) - centre), axis=0)
        spread = np.sqrt(deviation**2 + np.median(left, axis=0)).clip(0.05, 1.0)
        mean = centre
    return float(np.exp(np.median(speeds))), np.exp(mean), spread


def _start(linear: Linear, entry: Entry, mean: Floats) -> float:
    return float(-np.median(linear.residuals(np.concatenate([[0.0], mean]), entry)))


def with_figures(target: Target, linear: Linear, speed: float, values: Floats, spreads: Floats) -> Target:
    """Return a target with these figures."""
    figures = target.figures()
    changed = {
        path: figures[path].model_copy(update={"value": float(value), "spread": float(spread)})
        for path, value, spread in zip(linear.paths, values, spreads, strict=True)
    }
    return replace_figures(target, {**changed, SPEED: figures[SPEED].model_copy(update={"value": speed})})


@dataclass(frozen=True)
class Judgement:
    """Errors on the networks that were left out, as parts of 1, and their rank correlation."""

    error: float
    rank: float
    speed_alone: float
    line: float


def held(target: Target, entry: Entry, networks: Mapping[str, LayerGraph], chosen: Sequence[str]) -> float:
    """Return the share of the other networks that the interval of a target holds, calibrated to the chosen ones."""
    samples = [Sample(name, networks[name], entry.latencies[name]) for name in chosen]
    calibration = calibrate(target, samples)
    assert calibration.error is not None
    low, high = calibration.error.low, calibration.error.high
    others = [name for name in entry.latencies if name not in chosen]
    ratios = [entry.latencies[name] / simulate(networks[name], calibration.target).latency_ms for name in others]
    return statistics.mean(low <= ratio <= high for ratio in ratios)


def judge(target: Target, entry: Entry, networks: Mapping[str, LayerGraph], chosen: Sequence[str]) -> Judgement:
    """Fit a target to the chosen networks and compare it on the others."""
    others = [name for name in entry.latencies if name not in chosen]
    measured = [entry.latencies[name] for name in others]

    def errors(fitted: Target) -> tuple[float, float]:
        estimates = [simulate(networks[name], fitted).latency_ms for name in others]
        return mape(estimates, measured), spearman(estimates, measured)

    samples = [Sample(name, networks[name], entry.latencies[name]) for name in chosen]
    error, rank = errors(fit(target, samples))
    fixed = {path: figure.model_copy(update={"fit": path == SPEED}) for path, figure in target.figures().items()}
    macs = np.array([[networks[name].macs, 1.0] for name in chosen])
    times = np.array([entry.latencies[name] for name in chosen])
    slope, _ = nnls(macs / times[:, None], np.ones(len(chosen)))
    line = [float(slope @ [networks[name].macs, 1.0]) for name in others]
    return Judgement(error, rank, errors(fit(replace_figures(target, fixed), samples))[0], mape(line, measured))


def compare(entries: Sequence[Entry], networks: Mapping[str, LayerGraph], draws: int) -> Table:
    """Return the table of all entries of one precision."""
    name = f"cpu_ncnn_fp{entries[0].precision.removeprefix('float')}"
    base = load_target(name)
    linear = Linear(base, networks)
    devices = list(dict.fromkeys(entry.device for entry in entries))
    starts: dict[str, Target] = {}
    for group in range(GROUPS):
        left_out = devices[group::GROUPS]
        figures = estimate_figures(linear, [entry for entry in entries if entry.device not in left_out])
        starts |= dict.fromkeys(left_out, with_figures(base, linear, *figures))
    table = Table(title=f"{name}, {entries[0].precision}: {len(entries)} entries", title_justify="left")
    table.add_column("device", no_wrap=True)
    for heading in ("networks", "left out %", "Spearman", "held %", "random five %", "speed alone %", "line %"):
        table.add_column(heading, justify="right")
    rows: list[list[float]] = []
    generator = np.random.default_rng(0)
    for entry in track(entries, name):
        chosen = [network for network in (*FIVE, *sorted(entry.latencies)) if network in entry.latencies]
        chosen = list(dict.fromkeys(chosen))[: len(FIVE)]  # a few entries lack one of them
        own = judge(starts[entry.device], entry, networks, chosen)
        drawn = [
            judge(
                starts[entry.device], entry, networks, list(generator.choice(sorted(entry.latencies), 5, replace=False))
            )
            for _ in range(draws)
        ]
        errors = [judgement.error for judgement in drawn]
        inside = held(starts[entry.device], entry, networks, chosen)
        row = [own.error, own.rank, inside, statistics.mean(errors), own.speed_alone, own.line]
        rows.append(row)
        table.add_row(f"{entry.device[:44]} ({entry.run})", str(len(entry.latencies)), *_cells(row))
    table.add_section()
    table.add_row("median", "", *_cells([statistics.median(column) for column in zip(*rows, strict=True)]))
    return table


def _cells(row: Sequence[float]) -> list[str]:
    return [f"{value:.3f}" if place == 1 else f"{100 * value:.1f}" for place, value in enumerate(row)]


def print_figures(entries: Sequence[Entry], networks: Mapping[str, LayerGraph]) -> None:
    """Print typical figures and spreads as lines of a target's file."""
    linear = Linear(load_target(f"cpu_ncnn_fp{entries[0].precision.removeprefix('float')}"), networks)
    speed, values, spreads = estimate_figures(linear, entries)
    source = f"typical of {len(entries)} reports with ncnn's benchmark program (benchmarks/devices_ncnn.py --figures)"
    print(f'  mac_cycles: {{value: {speed:.3g}, provenance: measured, source: "{source}", fit: true}}')
    for path, value, spread in zip(linear.paths, values, spreads, strict=True):
        figure = f'{{value: {value:.3g}, provenance: measured, source: "{source}", fit: true, spread: {spread:.2f}}}'
        print(f"  {path.removeprefix('engine.')}: {figure}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of latency.csv and models")
    parser.add_argument("--draws", type=int, default=4, help="random choices of five networks for each entry")
    parser.add_argument("--figures", choices=["float32", "float16"], help="print the figures of a target")
    options = parser.parse_args()
    networks = read_networks(options.data)
    entries = read_entries(options.data, networks)
    for precision in ("float32", "float16"):
        own = [entry for entry in entries if entry.precision == precision]
        if options.figures is None:
            Console(width=150).print(compare(own, networks, options.draws))
        elif options.figures == precision:
            print_figures(own, networks)


if __name__ == "__main__":
    main()
