"""How close the simulator comes to published Coral latencies and to the vendor compiler's own figures.

The networks and figures are those of ``<data>/coral``: five TFLite files, five layer lists, the latencies that the
vendor published and what its compiler wrote into its executables. The errors that count are those of networks that were
left out of the fit: the two free constants of the target (dispatch time and link bandwidth) are fitted to all the other
networks for each row, and to random halves. The engine's factors are fitted to the compiler's cycles in the same way.
Beside it stand simpler models, fitted in the same way: a line through the MACs, and the simulator with one mechanism
left out.

    python benchmarks/simulator_coral.py --data ../shared/data
    python benchmarks/simulator_coral.py --data ../shared/data --without movenet --without slim
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from intervals import print_intervals
from networks_by_hand import unet_mobilenet_v2

from ednas.files import read_json
from ednas.hw import Target, load_target, simulate
from ednas.hw.model.errors import Kind
from ednas.hw.networks import load_network
from ednas.hw.targets.calibration import Calibration, Sample, calibrate, mape, replace_figures, spearman

FACTORS = ("pointwise_factor", "dense_factor", "depthwise_factor", "elementwise_factor")
UNET_MS = 29.0
"""What is published for a quantised U-Net at 256x256 on the USB stick; that it is this U-Net is assumed."""

NEVER = 1e-9
"""In place of 0 where a figure must be above it."""

ABLATIONS = {
    "no streaming of parameters": {"memory.parameter_cache_kib": 1e9},
    "nothing on the host": {"host.element_ns": 0.0, "host.custom_element_ns": 0.0, "host.convolution_gmac_per_s": 1e9},
    "no instruction stream": {"link.instruction_bytes_per_layer": 0.0, "link.instruction_bytes_per_cycle": 0.0},
    "peak rate (4 TOPS)": {f"engine.{name}": 0.25 for name in FACTORS},
}


def load(data: Path) -> tuple[list[Sample], dict[str, dict[str, float]]]:
    """Return the published latencies, and the compiler's figures by network."""
    published = read_json(data / "published.json")

    def network(row: dict[str, str]) -> tuple[str, str]:
        file = row.get("file") or f"layer_lists.json#{row['layers']}"
        return file.removesuffix(".tflite").partition("#")[2] or file.removesuffix(".tflite"), str(data / file)

    samples = []
    for row in published["latency_ms"]["rows"]:
        name, source = network(row)
        samples.append(Sample(name, load_network(source).graph, row["ms"]))
    return samples, {network(row)[0]: row for row in published["compiler"]["rows"]}


def report_latency(samples: list[Sample], target: Target) -> Calibration:
    result = calibrate(target, samples)
    print(f"{'network':52}{'published':>11}{'as shipped':>12}{'left out':>10}{'error':>8}")
    for sample, row in zip(samples, result.rows, strict=True):
        shipped = sample.predicted_ms(target)
        print(
            f"{row.name:52}{row.measured_ms:8.2f} ms{shipped:9.2f} ms{row.held_out_ms:7.2f} ms"
            f"{row.held_out_ms / row.measured_ms - 1:+8.1%}"
        )
    measured = [row.measured_ms for row in result.rows]
    held_out = [row.held_out_ms for row in result.rows]
    errors = [abs(p / m - 1) for p, m in zip(held_out, measured, strict=True)]
    print(
        f"left out: mean absolute error {statistics.mean(errors):.1%}, median {statistics.median(errors):.1%}, "
        f"worst {max(errors):.1%}, Spearman {spearman(held_out, measured):.3f}; fit to all: {result.fitted_mape:.1%}"
    )
    halves = ", ".join(f"{value:.1%}" for value in result.split_mape)
    print(f"fitted to random halves, error on the others: {halves}")
    for path, (old, new) in result.changes.items():
        print(f"  {path}: {old:g} in the file, {new:.4g} fitted to all")
    return result


def report_intervals(samples: list[Sample], full: Calibration) -> None:
    """Print how sure estimates are, by kinds of networks."""
    by_kind: dict[Kind, list[float]] = {"any": [], "host": []}
    for sample, row in zip(samples, full.rows, strict=True):
        kind: Kind = "host" if simulate(sample.graph, full.target).host_ms else "any"
        by_kind[kind].append(row.measured_ms / row.held_out_ms)
    print()
    print_intervals(by_kind, "published latencies, each left out of the fit (benchmarks/simulator_coral.py)")


def report_ablations(samples: list[Sample], target: Target, full: Calibration) -> None:
    measured = [sample.latency_ms for sample in samples]
    print(f"\n{'model, fitted alike':36}{'left out':>10}{'Spearman':>10}")
    rows = [("the simulator", [row.held_out_ms for row in full.rows])]
    figures = target.figures()
    for name, values in ABLATIONS.items():
        changed = {path: figures[path].model_copy(update={"value": value}) for path, value in values.items()}
        fitted = calibrate(replace_figures(target, changed), samples)
        rows.append((name, [row.held_out_ms for row in fitted.rows]))
    rows.append(("a line through the MACs", _line(samples)))
    for name, predicted in rows:
        print(f"{name:36}{mape(predicted, measured):10.1%}{spearman(predicted, measured):10.3f}")


def _line(samples: list[Sample]) -> list[float]:
    """Predict each network from a line through the MACs of the others, fitted to relative errors."""
    macs = np.array([sample.graph.macs for sample in samples], float)
    measured = np.array([sample.latency_ms for sample in samples])
    predicted = []
    for index in range(len(samples)):
        others = np.arange(len(samples)) != index
        features = np.stack([np.ones(others.sum()), macs[others]], 1) / measured[others, None]
        a, b = np.linalg.lstsq(features, np.ones(others.sum()), rcond=None)[0]
        predicted.append(float(a + b * macs[index]))
    return predicted


def report_compiler(data: Path, figures: dict[str, dict[str, float]], target: Target) -> None:
    graphs = {name: load_network(str(data / str(row["file"]))).graph for name, row in figures.items()}
    units = {}
    for name, graph in graphs.items():
        units[name] = [simulate(graph, _only(target, factor)).accelerator_cycles or 0 for factor in FACTORS]
    print(f"\n{'network':52}{'compiler':>12}{'as shipped':>12}{'error':>8}{'left out':>12}{'error':>8}")
    errors: dict[str, list[float]] = {"as shipped": [], "left out": [], "parameter bytes": [], "instruction bytes": []}
    for name, graph in graphs.items():
        cost, row = simulate(graph, target), figures[name]
        others = [other for other in graphs if other != name]
        features = np.array([[unit / figures[other]["cycles"] for unit in units[other]] for other in others])
        # The shortest change of the shipped factors that fits the others: four networks may leave a factor open.
        shipped = np.array([getattr(target.engine, factor).value for factor in FACTORS])
        change = np.linalg.lstsq(features * shipped, 1.0 - features @ shipped, rcond=0.01)[0]
        held_out = float(np.dot(units[name], shipped * (1 + change)))
        for key, value, reference in (
            ("as shipped", cost.accelerator_cycles, row["cycles"]),
            ("left out", held_out, row["cycles"]),
            ("parameter bytes", cost.parameter_bytes, row["parameter_bytes"]),
            ("instruction bytes", cost.instruction_bytes, row["instruction_bytes"]),
        ):
            errors[key].append(float(value or 0) / reference - 1)
        print(
            f"{name:52}{row['cycles']:12,}{cost.accelerator_cycles:12,}{errors['as shipped'][-1]:+8.1%}"
            f"{held_out:12,.0f}{errors['left out'][-1]:+8.1%}"
        )
    for key, values in errors.items():
        sizes = [abs(value) for value in values]
        print(f"{key}: mean absolute error {statistics.mean(sizes):.1%}, worst {max(sizes):.1%}")


def _only(target: Target, factor: str) -> Target:
    """Return the target with one factor 1 and the others next to nothing: cycles are linear in the factors."""
    figures = target.figures()
    return replace_figures(
        target,
        {
            f"engine.{name}": figures[f"engine.{name}"].model_copy(update={"value": 1.0 if name == factor else NEVER})
            for name in FACTORS
        },
        f"{target.name}_{factor}",
    )


def report_by_hand(target: Target) -> None:
    """Print a network that is in no file here; of the model it decided that exactly half of a tile is too much."""
    cost = simulate(unet_mobilenet_v2(), target)
    print(
        f"\nunet_mobilenet_v2, 256x256, made by hand: published {UNET_MS:.2f} ms, as shipped {cost.latency_ms:.2f} ms"
    )
    print(f"  of these {cost.spilled_bytes / 1e6:.1f} MB of activations over the link")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds coral/")
    parser.add_argument("--without", action="append", default=[], help="part of a network's name; can be repeated")
    parser.add_argument("--target", default="coral_usb", help="a target's name or YAML file")
    options = parser.parse_args()
    target = load_target(options.target)
    samples, compiler = load(options.data / "coral")
    samples = [sample for sample in samples if not any(part in sample.name for part in options.without)]
    full = report_latency(samples, target)
    report_intervals(samples, full)
    report_ablations(samples, target, full)
    report_compiler(options.data / "coral", compiler, target)
    report_by_hand(target)


if __name__ == "__main__":
    main()
