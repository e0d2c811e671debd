"""From checkpoints to int8 models: what the conversion keeps, what it costs, and how fast the models run here.

Takes the folder of a study (`ednas demo`, or :func:`ednas.pipeline.run_study`) with its trained networks: single-task
ones, the multi-task base, and the one that was found. Exports the multi-task networks with the proof that
`ednas export` makes, then measures all of them on this computer, interleaved: single-task networks one after another
against the one multi-task network (the "Speed" column of the paper's tables). A study trains no single-task networks of
the found architecture; they get random weights here, with which they take the same time.

    ednas demo --out runs/demo
    python benchmarks/deploy.py runs/demo --data runs/demo/streets
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from ednas.data import open_cache, open_dataset
from ednas.data.loader import load_samples
from ednas.export.audit import audit
from ednas.export.deployed import Deployed
from ednas.export.formats import litert
from ednas.export.run import ExportConfig, Exported, export_model
from ednas.hw import load_target
from ednas.hw.benchmark import Benchmark, run_benchmark
from ednas.hw.sources.litert import LiteRT
from ednas.report.labels import metric_heading, show_metric
from ednas.training import Model, load_checkpoint
from ednas.training.model import build_model, normalise

TARGETS = ("coral_usb", "ethos_u55_256", "ethos_u65_512", "ethos_u85_1024")
PRECISIONS = ("int8", "float")


def checkpoint(study: Path, name: str) -> Path:
    return study / "checkpoints" / name / "seed_0" / "checkpoint"


def single_task(study: Path, name: str, whole: Model, task: str) -> Model:
    """Return the trained single-task network, or one of the same architecture with random weights."""
    trained = checkpoint(study, f"{name}_{task}")
    if trained.exists():
        return load_checkpoint(trained)
    made = build_model(
        whole.architecture, (task,), whole.targets, input_size=whole.input_size, normalisation=whole.normalisation
    )
    return dataclasses.replace(made, network=made.network.eval())


def files(model: Model, data: str, folder: Path) -> dict[str, Path]:
    """Convert a network without a proof; return its files by precision."""
    cached = open_cache(open_dataset(data, "train"), model.input_size)
    image = normalise(load_samples(cached, range(32), ())["image"], model.normalisation)
    deployed = Deployed(model, input_size=model.input_size)
    paths = {precision: folder / f"{precision}.tflite" for precision in PRECISIONS}
    folder.mkdir(parents=True)
    litert.convert(deployed, paths["float"])
    litert.quantise(paths["float"], image.permute(0, 2, 3, 1)[:, None].contiguous().numpy(), paths["int8"])
    return paths


def print_proof(name: str, model: Model, result: Exported) -> None:
    size = f"{(result.folder / 'model_float.tflite').stat().st_size / 1e6:.2f} MB"
    small = f"{result.model.stat().st_size / 1e6:.2f} MB"
    print(f"| **{name}**, {model.params / 1e6:.2f} M | file | {size} | {small} | |")
    report = result.check
    for task, error in report.parity.items():
        print(f"| {task} | float model against PyTorch, relative error | | {error:.1e} | |")
        print(f"| | int8 against float, signal to noise | | {report.snr_db[task]:.1f} dB | |")
        for drop in report.metrics.drops if report.metrics else ():
            if drop.task == task:
                before, after = (show_metric(drop.metric, value) for value in (drop.before, drop.after))
                heading = metric_heading(drop.metric, unit=drop.unit)
                print(f"| | {heading} | {before} | {after} | {drop.drop_percent:+.2f} % |")
    for target in TARGETS:
        found = audit(result.model, load_target(target))
        print(f"| {target} | operators, of these on the host | | {found.operators}, {found.host_ops} | |")


def print_speed(result: Benchmark, names: Mapping[str, str]) -> None:
    print(f"\n| network | ms | spread | processor ms | {result.target} ms | MiB | against one multi-task network |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for index, one in enumerate(result.results):
        measured, whole = one.measurement, result.results[index - index % 2]
        memory = "" if measured.peak_memory_kb is None else f"{measured.peak_memory_kb / 1024:.1f}"
        predicted = "" if one.predicted_ms is None else f"{one.predicted_ms:.2f}"
        ratio = f"{one.measurement.processor_ms / whole.measurement.processor_ms:.2f}x" if index % 2 else ""
        print(
            f"| {names[one.entry.name]} | {measured.latency_ms:.2f} | {measured.spread_ms:.2f} | "
            f"{measured.processor_ms:.2f} | {predicted} | {memory} | {ratio} |"
        )
    for remark in result.remarks:
        for path, name in names.items():
            remark = remark.replace(path, name)  # noqa: PLW2901
        print(f"\n{remark}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study")
    parser.add_argument("--data", required=True, help="its dataset")
    parser.add_argument("--qat-steps", type=int, default=0, help="of fine-tuning before the multi-task networks' int8")
    parser.add_argument("--processes", type=int, default=8, help="rounds of the measurement")
    options = parser.parse_args()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names: dict[str, str] = {}
        print("| network, task | | PyTorch, float | exported, int8 | worse by |\n|---|---|---:|---:|---:|")
        for name in ("base", "found"):
            console.print(f"exporting {name}")
            model = load_checkpoint(checkpoint(options.study, name))
            config = ExportConfig(int8=True, data=options.data, targets=("coral_usb",), qat_steps=options.qat_steps)
            result = export_model(model, folder / name, config, name=name)
            print_proof(name, model, result)
            singles = [
                files(single_task(options.study, name, model, task), options.data, folder / f"{name}_{task}")
                for task in model.tasks
            ]
            for precision in PRECISIONS:
                whole = result.model if precision == "int8" else folder / name / "model_float.tflite"
                names[str(whole)] = f"{name}, {precision}: one multi-task network"
                parts = "+".join(str(single[precision]) for single in singles)
                names[parts] = f"{name}, {precision}: {len(singles)} single-task networks, one after another"
        console.print("measuring")
        runtime = LiteRT(processes=options.processes)
        print_speed(run_benchmark(list(names), load_target("cpu_generic"), runtime=runtime), names)


if __name__ == "__main__":
    main()
