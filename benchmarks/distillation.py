"""What a teacher adds to the labels: the base network alone and taught by a larger one.

The teacher is the base with a BiFPN of two layers of 96 channels; it learns by the recipe ``mini`` from the labels, as
its students do, which differ in the share of the imitation in their loss. All learn two tasks with JAReD on the street
scenes, as many steps, and are measured on the validation split. ::

    python benchmarks/distillation.py
    python benchmarks/distillation.py --train --streets runs/benchmark_streets/seed_0

Each training is one line in ``results/distillation.jsonl``; what is there is printed and not trained again, and what is
not there is only trained with ``--train``. Times are processor seconds of one core; a student's are without those of
its teacher, but with the teacher's forward passes. A training that was broken off goes on, and then its time is that of
the last part alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from recipes import JARED, SCENES, SEEDS, STREETS_TASKS
from rich.console import Console
from rich.table import Table

from ednas.arch import load_architecture
from ednas.demo import make_streets
from ednas.report.labels import metric_heading, show_metric
from ednas.training import TrainConfig, recipe, train

RESULTS = Path(__file__).parent / "results" / "distillation.jsonl"
RUNS = Path("runs/benchmark_distillation")
SHOWN = ("miou", "pixel_acc", "abs_err", "rel_err")

TEACHER = "teacher"
STUDENTS: Mapping[str, dict[str, Any]] = {
    "labels alone": {},
    "half of the loss from the teacher": {"teacher_weight": 0.5},
    "the teacher alone": {"teacher_weight": 1.0},
    "half, at temperature 4": {"teacher_weight": 0.5, "temperature": 4.0},
}

Row = dict[str, Any]


def make_config(name: str, streets: str, seed: int) -> TrainConfig:
    """Return the training of the teacher or of a student."""
    architecture, changes = load_architecture("base"), dict(STUDENTS.get(name, {}))
    if name == TEACHER:
        architecture = replace(architecture, bifpn_depth=2, bifpn_width=96)
    elif changes:
        changes["teacher"] = str(RUNS / f"seed_{seed}" / TEACHER)
    chosen = recipe("mini", **JARED, **changes)
    return TrainConfig(architecture=architecture.to_text(), data=streets, tasks=STREETS_TASKS, recipe=chosen, seed=seed)


def run(name: str, streets: str, seed: int) -> Row:
    """Train and measure once."""
    began = time.process_time()
    folder = RUNS / f"seed_{seed}" / name.replace(" ", "_").replace(",", "")
    result = train(make_config(name, streets, seed), folder, resume=True, device="cpu", logs=False)
    return {"name": name, "seed": seed, "seconds": time.process_time() - began, "metrics": result.metrics["tasks"]}


def load() -> list[Row]:
    """Return the trainings that were done."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def show(rows: list[Row]) -> None:
    """Print a line for each training: means over the seeds and standard deviations."""
    table = Table(title="base on streets, mini, JAReD", title_justify="left")
    table.add_column("")
    for heading in ("seeds", *map(metric_heading, SHOWN), "seconds"):
        table.add_column(heading, justify="right")
    for name in (TEACHER, *STUDENTS):
        found = [row for row in rows if row["name"] == name]
        if found:
            values = [{key: value for task in row["metrics"].values() for key, value in task.items()} for row in found]
            cells = [_mean(metric, [each[metric] for each in values]) for metric in SHOWN]
            table.add_row(name, str(len(found)), *cells, f"{statistics.mean(row['seconds'] for row in found):.0f}")
    Console(width=130).print(table)


def _mean(metric: str, values: list[float]) -> str:
    return show_metric(metric, statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train what is not there yet")
    parser.add_argument("--streets", help="the folder of the street scenes; rendered by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", nargs="+", default=[TEACHER, *STUDENTS], help="trainings by name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.train:
        streets = options.streets or str(make_streets(SCENES / "seed_0", seed=0))
        done = {(row["name"], row["seed"]) for row in load()}
        for seed in options.seeds:
            for name in options.only:
                if (name, seed) not in done:
                    row = run(name, streets, seed)
                    with RESULTS.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(f"{name}, seed {seed}: {row['seconds']:.0f} s", flush=True)
    show(load())


if __name__ == "__main__":
    main()
