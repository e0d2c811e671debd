"""Train once, ship many: what ``ednas specialise`` gives each device, beside a search and a training for each.

    python benchmarks/train_once.py
    python benchmarks/train_once.py --run

One supernet is trained for 1,500 steps on the street scenes, as ``benchmarks/search_methods.py`` has them. For every
device, a network no slower than the base at 256x512 is cut out of it, fine-tuned for 200 steps on the whole training
split, and measured on ``val``; and so is the base, for what the weights are worth without a choice. Beside that stand
the searches of ``benchmarks/search_methods.py``, each with one training of what it found, and the base network alone,
trained for longer. These were run for the first device, and their seconds stand for all.

Runs are kept in ``runs/train_once`` and can be ended and gone on with; what came of them is in
``results/train_once.jsonl``. Seconds are those of one processor. Latencies are shown as they are estimated now, which
is not always as they were when networks were chosen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from judgements import HEADS
from rich.console import Console
from rich.table import Table
from search_methods import LONG, METHODS, SHOWN, Method, configure, searches, trainings

from ednas.arch import load_architecture
from ednas.demo import DEPLOYED_SIZE
from ednas.hw import estimate, load_target
from ednas.report.labels import metric_heading, show_metric
from ednas.scoring import accuracy
from ednas.search import SearchProgress, run_search
from ednas.specialise import SpecialiseConfig, load_supernet_search, specialise
from ednas.training.supernet.file import TrainedSupernet

RESULTS = Path(__file__).parent / "results" / "train_once.jsonl"
RUNS = Path("runs/train_once")
SUPERNET = Method(
    "supernet", {"evaluator": {"name": "supernet", "options": {"steps": 1500}}, "trials": 1, "finalists": 0}
)
TARGETS = ("coral_usb", "ethos_u55_256", "ethos_u65_512", "ethos_u85_1024", "cpu_generic")
BASE = "base network"
COMPARED = ("predictor", "near")
TRIALS = 100
ASKED = 0.2
"""Share of the compute of one search a device."""


def run() -> None:
    """Train the supernet, and specialise it for the devices that the results do not know."""
    supernet = RUNS / "supernet"
    with SearchProgress() as progress:
        run_search(configure(SUPERNET, seed=0), supernet, resume=True, callbacks=[progress])
    known = {row["target"] for row in _rows()}
    if "supernet" not in known:
        _, folder = load_supernet_search(supernet)
        _add({"target": "supernet", "seconds": TrainedSupernet.load(folder).notes.cpu_seconds})
    if BASE not in known:
        _specialise(supernet, "base", TARGETS[:1], 1, BASE)  # the base network is judged first
    if targets := tuple(target for target in TARGETS if target not in known):
        _specialise(supernet, "devices", targets, TRIALS)


def _specialise(supernet: Path, folder: str, targets: tuple[str, ...], trials: int, name: str = "") -> None:
    """Specialise for devices, and keep what each got, under its name or another one."""
    config = SpecialiseConfig(targets=targets, trials=trials, export=False)
    before = time.process_time()
    with SearchProgress() as progress:
        for found in specialise(supernet, RUNS / folder, config, search_callbacks=[progress]):
            now = time.process_time()
            row = found.row
            _add(
                {
                    "target": name or found.target,
                    "seconds": now - before,
                    "architecture": found.result.architecture.to_text(),
                    "latency_ms": row.latency_ms,
                    "base_ms": row.base_ms,
                    "metrics": row.metrics,
                }
            )
            before = now


def _rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def _add(row: dict[str, Any]) -> None:
    with RESULTS.open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def show_devices(rows: list[dict[str, Any]]) -> Table:
    """Return what each device got."""
    table = Table(title="cut out of one supernet, fine-tuned for 200 steps, measured on val", title_justify="left")
    metrics = [metric_heading(metric) for own in SHOWN.values() for metric in own]
    for heading in ("device", "processor seconds", "ms", "base, ms", "accuracy (Eq. 6)", *metrics):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [show_metric(metric, row["metrics"][task][metric]) for task, own in SHOWN.items() for metric in own]
        target = TARGETS[0] if row["target"] == BASE else row["target"]
        networks = (load_architecture(row["architecture"]), load_architecture("base"))
        own_ms, base_ms = (estimate(each, HEADS, DEPLOYED_SIZE, load_target(target)).latency_ms for each in networks)
        figures = (f"{row['seconds']:.0f}", f"{own_ms:.2f}", f"{base_ms:.2f}")
        table.add_row(row["target"], *figures, f"{accuracy(row['metrics']):.3f}", *cells)
    return table


def show_compute(once: float, each: float) -> Table:
    """Return what both ways cost, by the number of devices.

    Args:
        once: Seconds of the supernet.
        each: Seconds of a device, beyond it.
    """
    title = f"compute of one supernet ({once:.0f} s, {each:.0f} s a device) as a share; asked: {ASKED}"
    table = Table(title=title, title_justify="left")
    counts = (1, 2, 5, 10, 20)
    for heading in ("of, for each device", "seconds", "accuracy", *(f"{count} devices" for count in counts)):
        table.add_column(heading, justify="right")
    alone = trainings("base", LONG)
    sides = [(METHODS[name].title, searches(name), trainings(name)) for name in COMPARED]
    for title, found, trained in [*sides, (f"base, trained alone for {LONG:,} steps", [], alone)]:
        search = statistics.mean(row["seconds"] for row in found) if found else 0.0
        own = search + statistics.mean(row["seconds"] for row in trained)
        shares = [f"{(once + count * each) / (count * own):.2f}" for count in counts]
        reached = statistics.mean(accuracy(row["metrics"]) for row in trained)
        table.add_row(title, f"{own:.0f}", f"{reached:.3f}", *shares)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="train and specialise what the results do not know")
    torch.set_num_threads(1)
    if parser.parse_args().run:
        run()
    cut = [row for row in _rows() if row["target"] != "supernet"]
    devices = [row for row in cut if row["target"] != BASE]
    supernet = next((row for row in _rows() if row["target"] == "supernet"), None)
    tables = [show_devices(cut)]
    if supernet and devices:
        tables.append(show_compute(supernet["seconds"], statistics.mean(row["seconds"] for row in devices)))
    for table in tables:
        Console(width=160).print(table)


if __name__ == "__main__":
    main()
