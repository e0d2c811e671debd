"""What is lost with half of the labels: images that keep one of their labels beside images that are dropped.

Of every task's labels on the training split of the street scenes a random half is removed, independently of the other
task. A quarter of the images then has both labels, half of them have one, and the last quarter has none and goes. ::

    python benchmarks/partial_labels.py
    python benchmarks/partial_labels.py --train --streets runs/benchmark_streets/seed_0

``partial`` trains on what is left, ``both`` on the images that kept both labels alone, as one would have to without
partial labels, and ``half`` on a random half of the images with all their labels: as many labels as ``partial``, on
fewer images. Asked for: ``partial`` loses at most half of what ``both`` loses.

All train the base network for two tasks by the recipe ``mini`` with JAReD and are measured on the validation split. In
a few hundred steps it counts how many labels a network gets to see, and a third of the labels of a batch are missing:
``partial, as many labels`` therefore trains 1.5 times as many steps, so that each task sees as many as with the others.
Each training is one line in ``results/partial_labels.jsonl``; what is there is printed and not trained again, and what
is not there is only trained with ``--train``. Times are processor seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recipes import JARED, NO_MATTER, SCENES, SEEDS
from rich.console import Console
from rich.table import Table

from ednas.arch import load_architecture
from ednas.data import CachedSplit, open_cache, open_dataset
from ednas.data.loader import BatchLoader
from ednas.data.sample import no_label
from ednas.demo import SIZE, make_streets
from ednas.metrics import METRICS
from ednas.report.labels import metric_heading, show_metric
from ednas.seeding import derive_seed
from ednas.training import Recipe, build_model, evaluate, fit, recipe

RESULTS = Path(__file__).parent / "results" / "partial_labels.jsonl"
TASKS = ("segmentation", "depth")
SHOWN = ("miou", "pixel_acc", "abs_err", "rel_err")
JUDGED = ("miou", "rel_err")
ASKED = 0.5
"""Largest share of what dropping images loses that partial labels may lose."""

Masks = Mapping[str, npt.NDArray[np.bool_]]
"""By target, which samples ``(N,)`` keep its label."""


def draw_masks(count: int, seed: int) -> Masks:
    """Keep a random half of every task's labels."""
    return {
        task: np.random.default_rng(derive_seed(seed, "labels", task)).permutation(count) < count // 2 for task in TASKS
    }


def remove_labels(split: CachedSplit, masks: Masks) -> CachedSplit:
    """Return what a dataset would be whose files of the other labels are missing; the images without any are left out.

    Args:
        split: All samples of a split.
        masks: Which keep their label.
    """
    targets = {}
    for name, keeps in masks.items():
        targets[name] = np.array(split.targets[name])
        targets[name][~keeps] = no_label(split.info.targets[name], split.size)
    labelled = np.any(list(masks.values()), axis=0)
    return replace(split, targets={**split.targets, **targets}).select(labelled, split.split)


@dataclass(frozen=True)
class Variant:
    """What to train on, and for how long.

    Attributes:
        select: Makes it from all samples and the labels that are kept.
        longer: How many times as many steps.
    """

    select: Callable[[CachedSplit, Masks], CachedSplit]
    longer: float = 1.0


ALL, PARTIAL, AS_MANY, BOTH = "all", "partial", "partial, as many labels", "both"
VARIANTS = {
    ALL: Variant(lambda split, _: split),
    PARTIAL: Variant(remove_labels),
    AS_MANY: Variant(remove_labels, longer=1.5),
    "half": Variant(lambda split, masks: split.select(masks[TASKS[0]], split.split)),
    BOTH: Variant(lambda split, masks: split.select(np.all(list(masks.values()), axis=0), split.split)),
}


def make_recipe(name: str, steps: int) -> Recipe:
    """Return how a variant is trained."""
    return recipe("mini", steps=round(VARIANTS[name].longer * steps), **JARED)


def key(name: str, seed: int, steps: int) -> str:
    """Return what decides the outcome of a training."""
    chosen = make_recipe(name, steps).model_dump(mode="json", exclude_defaults=True, exclude=NO_MATTER)
    return json.dumps([name, seed, chosen], sort_keys=True)


def run(name: str, seed: int, steps: int, streets: Path) -> dict[str, Any]:
    """Train and measure once."""
    chosen = make_recipe(name, steps)
    train, val = (open_cache(open_dataset(make_streets(streets), split), SIZE) for split in ("train", "val"))
    left = VARIANTS[name].select(train, draw_masks(len(train), seed))
    model = build_model(
        load_architecture("base"),
        TASKS,
        train.info.targets,
        input_size=train.size,
        seed=derive_seed(seed, "weights"),
        task_options=chosen.options_of(TASKS),
    )
    loader = BatchLoader(left, chosen.batch_size, derive_seed(seed, "batches"), chosen.augment, TASKS)
    began = time.process_time()
    fit(model.network, model.tasks, loader, chosen, normalisation=model.normalisation, device="cpu")
    seconds = time.process_time() - began
    metrics = evaluate(model, val, batch_size=chosen.eval_batch_size)["tasks"]
    return {
        "name": name,
        "seed": seed,
        "key": key(name, seed, steps),
        "images": len(left),
        "seconds": seconds,
        "metrics": {metric: value for task in metrics.values() for metric, value in task.items()},
    }


def load() -> dict[str, dict[str, Any]]:
    """Return the trainings that were done, by key."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def tabulate(done: Mapping[str, dict[str, Any]], steps: int) -> tuple[Table, list[str]]:
    """Return a line for each variant, means and standard deviations over the seeds, and sentences on what is lost."""
    table = Table(title=f"Street scenes, half of the labels, {steps} steps", title_justify="left")
    for heading in ("", "seeds", "images", *map(metric_heading, SHOWN), "seconds"):
        table.add_column(heading, justify="right" if heading else "left")
    means: dict[str, dict[str, float]] = {}
    for name in VARIANTS:
        rows = [done[key(name, seed, steps)] for seed in SEEDS if key(name, seed, steps) in done]
        if not rows:
            table.add_row(name, "0")  # not trained
            continue
        values = {metric: [row["metrics"][metric] for row in rows] for metric in SHOWN}
        means[name] = {metric: statistics.mean(found) for metric, found in values.items()}
        cells = [
            show_metric(metric, means[name][metric], statistics.stdev(found) if len(found) > 1 else None)
            for metric, found in values.items()
        ]
        images, seconds = (statistics.mean(row[what] for row in rows) for what in ("images", "seconds"))
        table.add_row(name, str(len(rows)), f"{images:.0f}", *cells, f"{seconds:.0f}")
    judged = JUDGED if len(means) == len(VARIANTS) else ()
    return table, [_verdict(metric, {name: found[metric] for name, found in means.items()}) for metric in judged]


def _verdict(metric: str, means: Mapping[str, float]) -> str:
    """Say which share of what dropping images loses is lost with partial labels."""
    sign = 1 if METRICS[metric].higher_is_better else -1
    lost = {name: sign * (means[ALL] - mean) for name, mean in means.items() if name != ALL}
    shares = ", ".join(f"'{name}' loses {lost[name] / lost[BOTH]:.0%}" for name in (PARTIAL, AS_MANY))
    return f"{metric_heading(metric)}: of what '{BOTH}' loses, {shares} (asked for: at most {ASKED:.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train what is not there yet")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="seeds to train")
    parser.add_argument("--steps", type=int, default=800, help="of every training")
    parser.add_argument("--streets", type=Path, default=SCENES / "seed_0", help="the scenes; made if they are missing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = load()
    wanted = [(name, seed) for seed in options.seeds for name in VARIANTS] if options.train else []
    for name, seed in wanted:
        if key(name, seed, options.steps) not in done:
            row = run(name, seed, options.steps, options.streets)
            done[row["key"]] = row
            RESULTS.parent.mkdir(exist_ok=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{name} seed {seed}: {row['seconds']:.0f} s", flush=True)
    console = Console(width=120)
    table, verdicts = tabulate(done, options.steps)
    console.print(table)
    for verdict in verdicts:
        console.print(verdict)


if __name__ == "__main__":
    main()
