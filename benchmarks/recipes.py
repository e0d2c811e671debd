"""How much networks learn from a recipe: learning curves and results side by side.

``choice`` compares recipes, one change at a time, and ``network`` necks and heads, with their estimated latencies; both
on data that no reported result is measured on: street scenes of another seed, and a tenth of NYUv2's training images.
Every tenth of these (``nyuv2:choice``) shows rooms that are trained on, too, and flatters what learns them by heart;
ten following ones of a hundred (``nyuv2:rooms``) hardly do.
``result`` trains by the recipes that were chosen, three seeds each, and measures on the validation splits. ::

    python benchmarks/recipes.py choice
    python benchmarks/recipes.py result --only streets
    python benchmarks/recipes.py result --nyuv2 examples/nyuv2.yaml

Each training is one line in ``results/recipes.jsonl``; what is there is printed and not trained again, and what is not
there is only trained with ``--train``. Times are processor seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from ednas.arch import SearchSpace, load_architecture
from ednas.data import CachedSplit, open_cache, open_dataset
from ednas.data.loader import BatchLoader
from ednas.demo import make_streets
from ednas.hw import estimate, load_target
from ednas.report.labels import metric_heading, show_metric
from ednas.seeding import derive_seed
from ednas.tasks import Task
from ednas.tasks.segmentation.losses import COUNTED_WEIGHTS
from ednas.training import build_model, fit, recipe
from ednas.training.config import Normalisation
from ednas.training.evaluate import measure
from ednas.training.init import initialise, load_weights
from ednas.training.model import normalise
from ednas.training.preparation import count_weights

RESULTS = Path(__file__).parent / "results" / "recipes.jsonl"
SCENES = Path("runs/benchmark_streets")
SEEDS = (0, 1, 2)
SHOWN = ("miou", "pixel_acc", "abs_err", "rel_err", "mean_angle")

NO_MATTER = {"name", "eval_batch_size", "checkpoint_every", "log_every"}
"""What of a recipe does not decide what is learned."""

RATES = (1e-2, 2e-2, 4e-2)
CANDIDATE_STEPS = 320
"""What the demo's candidates are trained by."""

TARGETS = ("ethos_u85_1024", "coral_usb")
HEADS = {"segmentation": 19, "depth": 1, "normals": 3}
"""Output channels that latencies are estimated with."""

STREETS_TASKS, NYUV2_TASKS = ("segmentation", "depth"), ("segmentation", "depth", "normals")
JARED: dict[str, Any] = {"task_options": {"depth": {"loss": "jared", "abs_weight": 0.95, "rel_weight": 0.05}}}
NYUV2: dict[str, Any] = {"batch_size": 12, "loss_weights": {"normals": 3.0}, **JARED}
FINETUNE: dict[str, Any] = {
    key: value
    for key, value in recipe("finetune").model_dump(mode="json").items()
    if key in ("init", "learning_rate", "encoder_rate", "warmup_steps", "augment")
}
"""What ``finetune`` changes in the networks' training beside its length."""


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: For the table; rows of one name differ in their seed.
        data: ``streets`` or ``nyuv2``; with ``:choice`` or ``:rooms`` on what recipes are chosen by.
        changes: What differs from the recipe ``mini``.
        architecture: The network.
        tasks: What it learns.
        seed: Of weights and batches.
    """

    name: str
    data: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "base"
    tasks: tuple[str, ...] = STREETS_TASKS
    seed: int = 0

    @property
    def key(self) -> str:
        """What decides the outcome."""
        chosen = recipe("mini", input_size=None, **self.changes)
        # Without defaults, so that what is added to recipes later leaves the keys as they are.
        values = chosen.model_dump(mode="json", exclude_defaults=True, exclude=NO_MATTER)
        return json.dumps([self.data, self.architecture, self.tasks, self.seed, values], sort_keys=True)


def choices() -> Iterator[Job]:
    """Each decision of ``mini`` undone, and what else was tried."""
    paper = {"optimizer": "Adam", "optimizer_options": {}, "weight_decay": 1e-4, "decay_all": True, "grad_clip": None}
    variants: dict[str, dict[str, Any]] = {
        "mini": {},
        "16 x 400": {"steps": 400, "batch_size": 16},
        "4 x 1600": {"steps": 1600, "batch_size": 4},
        "rate 1e-2": {"learning_rate": 1e-2},
        "rate 4e-2": {"learning_rate": 4e-2},
        "gradient not clipped": {"grad_clip": None},
        "gradient clipped at 0.3": {"grad_clip": 0.3},
        "betas 0.9, 0.999": {"optimizer_options": {}},
        "decay 0.01": {"weight_decay": 0.01},
        "decay of everything": {"decay_all": True},
        "Adam, coupled decay 1e-4": paper,
        "warm-up 80": {"warmup_steps": 80},
        "constant rate, average 0.99": {"schedule": "constant", "ema_decay": 0.99},
        "scale 0.8 to 1.25": {"augment": {"scale": [0.8, 1.25]}},
        "depth by L1": {"task_options": {}},
        "depth weighs 5": {"loss_weights": {"depth": 5.0}},
    }
    for name, changes in variants.items():
        yield Job(name, "streets:choice", {**JARED, **changes})
    imagenet = {**NYUV2, "init": "imagenet", "steps": 1000}
    for rate, share in ((1e-2, 1.0), (1e-2, 0.3), (2e-2, 0.3), (5e-3, 1.0), (1e-2, 0.1)):
        changes = {**imagenet, "learning_rate": rate, "encoder_rate": share}
        yield Job(
            f"from ImageNet at {rate:g}, the encoder at {share:g} of it", "nyuv2:choice", changes, tasks=NYUV2_TASKS
        )
    finetune = {**imagenet, **FINETUNE}
    yield Job("finetune, 1,000 steps", "nyuv2:choice", finetune, tasks=NYUV2_TASKS)
    heavier = {**finetune, "loss_weights": {**NYUV2["loss_weights"], "segmentation": 2.0}}
    yield Job("finetune, segmentation weighs 2", "nyuv2:choice", heavier, tasks=NYUV2_TASKS)
    losses: dict[str, dict[str, Any]] = {
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "classes weighed by frequency": {"class_weights": "frequency"},
    }
    for name, options in losses.items():
        changes = {**finetune, "task_options": {**JARED["task_options"], "segmentation": options}}
        yield Job(f"finetune, {name}", "nyuv2:choice", changes, tasks=NYUV2_TASKS)
    longer = {**finetune, "steps": 3000}
    colours = {**FINETUNE["augment"], "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 10.0}
    for data in ("nyuv2:choice", "nyuv2:rooms"):
        yield Job("finetune, 3,000 steps", data, longer, tasks=NYUV2_TASKS)
        yield Job("finetune, 3,000 steps, colours", data, {**longer, "augment": colours}, tasks=NYUV2_TASKS)
    weighed = {**longer, "augment": colours, "loss_weights": {**NYUV2["loss_weights"], "segmentation": 2.0}}
    yield Job("finetune, 3,000 steps, colours, segmentation weighs 2", "nyuv2:rooms", weighed, tasks=NYUV2_TASKS)
    rare = {"task_options": {**JARED["task_options"], "segmentation": {"class_weights": "sqrt_frequency"}}}
    changes = {**longer, **rare, "augment": colours}
    yield Job("finetune, 3,000 steps, colours, sqrt_frequency", "nyuv2:rooms", changes, tasks=NYUV2_TASKS)


def networks() -> Iterator[Job]:
    """The base with other necks and heads, and networks of the space: a recipe should not favour one of them."""
    base = load_architecture("base")
    variants: dict[str, dict[str, Any]] = {
        "base": {},
        "no lateral": {"head_lateral": 0},
        "BiFPN of 2 layers": {"bifpn_depth": 2},
        "BiFPN of 3 layers": {"bifpn_depth": 3},
        "BiFPN of 48 channels": {"bifpn_width": 48},
        "BiFPN of 96 channels": {"bifpn_width": 96},
        "2 layers of 96": {"bifpn_depth": 2, "bifpn_width": 96},
    }
    for name, changes in variants.items():
        yield Job(name, "streets:choice", JARED, replace(base, **changes).to_text())
    for number, architecture in enumerate([base.to_text(), "ednas_cityscapes_published", *random_networks(10)]):
        name = ("base", "Table 6 as counted")[number] if number < 2 else f"random {number - 1}"
        for rate in RATES:
            changes = {**JARED, "learning_rate": rate, "steps": CANDIDATE_STEPS}
            yield Job(f"{name}, {CANDIDATE_STEPS} steps at {rate:g}", "streets:choice", changes, architecture)


def random_networks(number: int) -> Iterator[str]:
    """Networks of the space, each decision by chance, as text."""
    space, chance = SearchSpace(load_architecture("base")), random.Random(0)
    for _ in range(number):
        genes = [chance.randrange(len(decision.candidates)) for decision in space.decisions]
        yield space.decode(genes).to_text()


def results() -> Iterator[Job]:
    """What the recipes reach."""
    for seed in SEEDS:
        yield Job("base", "streets", JARED, seed=seed)
        for task in STREETS_TASKS:
            yield Job(f"base, {task} alone", "streets", JARED, tasks=(task,), seed=seed)
        yield Job("Table 6 as counted", "streets", JARED, "ednas_cityscapes_published", seed=seed)
    for seed in SEEDS:
        yield Job("from scratch, 1,000 steps", "nyuv2", {**NYUV2, "steps": 1000}, tasks=NYUV2_TASKS, seed=seed)
        for name, changes in (("from scratch, 3,000 steps", {}), ("from ImageNet, 3,000 steps", FINETUNE)):
            yield Job(name, "nyuv2", {**NYUV2, "steps": 3000, **changes}, tasks=NYUV2_TASKS, seed=seed)


@cache
def open_splits(data: str, nyuv2: str, scenes: Path = SCENES) -> tuple[CachedSplit, CachedSplit]:
    """Return what to train on and what to measure on."""
    name, _, choice = data.partition(":")
    if name == "streets":
        folder = make_streets(scenes / f"seed_{int(bool(choice))}", seed=int(bool(choice)))
        train, val = (open_cache(open_dataset(str(folder), split), (64, 128)) for split in ("train", "val"))
        return train, val
    train, val = (open_cache(open_dataset(nyuv2, split), (96, 128)) for split in ("train", "val"))
    if not choice:
        return train, val
    rows = np.arange(len(train))
    held = rows % 10 == 3 if choice == "choice" else rows // 10 % 10 == 3
    return train.select(~held, "train"), train.select(held, "a tenth of train")


def run(job: Job, nyuv2: str, scenes: Path = SCENES) -> dict[str, Any]:
    """Train and measure once."""
    train, val = open_splits(job.data, nyuv2, scenes)
    chosen = recipe("mini", input_size=None, **job.changes)
    weights = None if chosen.init is None else load_weights(chosen.init, load_architecture(job.architecture))
    options = chosen.options_of(job.tasks)
    for own in options.values():
        if (rule := own.get("class_weights")) in COUNTED_WEIGHTS:
            own["class_weights"] = count_weights(train, "segmentation", rule)
    model = build_model(
        load_architecture(job.architecture),
        job.tasks,
        train.info.targets,
        input_size=train.size,
        seed=derive_seed(job.seed, "weights"),
        task_options=options,
        normalisation=None if weights is None else weights.normalisation,
    )
    if weights is not None:
        initialise(model, weights)
    return train_and_measure(job, model.network, model.tasks, (train, val), model.normalisation)


def train_and_measure(
    job: Job,
    network: nn.Module,
    tasks: Mapping[str, Task],
    splits: tuple[CachedSplit, CachedSplit],
    normalisation: Normalisation,
) -> dict[str, Any]:
    """Train a network, whatever it is, as a job says; return its row."""
    train, val = splits
    chosen = recipe("mini", input_size=None, **job.changes)
    batches = derive_seed(job.seed, "batches")
    loader = BatchLoader(train, chosen.batch_size, batches, chosen.augment, sorted({t.target for t in tasks.values()}))
    curve: list[list[float]] = []
    began = time.process_time()
    fit(
        network,
        tasks,
        loader,
        chosen.model_copy(update={"log_every": max(1, chosen.steps // 8)}),
        normalisation=normalisation,
        device="cpu",
        callbacks=[lambda report: curve.append([report.step, *report.losses.values()])],
    )
    seconds = time.process_time() - began
    network.eval()
    metrics = measure(tasks, lambda image: network(normalise(image, normalisation)), val, batch_size=32)
    return {**asdict(job), "key": job.key, "seconds": seconds, "curve": curve, "metrics": metrics["tasks"]}


def load(results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return the trainings that were done, by key."""
    lines = results.read_text().splitlines() if results.exists() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def tabulate(title: str, jobs: list[Job], done: Mapping[str, dict[str, Any]]) -> Table:
    """Return a line for each name: means over the seeds, standard deviations, and the losses on the way."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("seeds", justify="right")
    tasks = max((job.tasks for job in jobs), key=len)
    shown = [name for name in SHOWN if name != "mean_angle" or "normals" in tasks]
    for metric in shown:
        table.add_column(metric_heading(metric), justify="right")
    table.add_column("seconds", justify="right")
    for target in TARGETS:
        table.add_column(f"{target} ms", justify="right")
    table.add_column("sum of losses after 1/8 ... 8/8 of the steps")
    for name in dict.fromkeys(job.name for job in jobs):
        rows = [done[job.key] for job in jobs if job.name == name and job.key in done]
        if not rows:
            table.add_row(name, "0")  # not trained
            continue
        values = [{metric: value for task in row["metrics"].values() for metric, value in task.items()} for row in rows]
        cells = [_mean(metric, [found[metric] for found in values if metric in found]) for metric in shown]
        losses = np.mean([[sum(point[1:]) for point in row["curve"]] for row in rows], axis=0)
        seconds = statistics.mean(row["seconds"] for row in rows)
        latencies = [f"{latency_ms(rows[0], target):.2f}" for target in TARGETS]
        curve = " ".join(f"{loss:.2f}" for loss in losses)
        table.add_row(name, str(len(rows)), *cells, f"{seconds:.0f}", *latencies, curve)
    return table


def latency_ms(row: Mapping[str, Any], target: str) -> float:
    """Return the estimated latency of a row's network with its heads at 256x512."""
    heads = {task: HEADS[task] for task in row["tasks"]}
    return estimate(load_architecture(row["architecture"]), heads, (256, 512), load_target(target)).latency_ms


def _mean(metric: str, values: list[float]) -> str:
    if not values:
        return ""
    return show_metric(metric, statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None)


SUITES = {"choice": choices, "network": networks, "result": results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--train", action="store_true", help="train what is not there yet")
    parser.add_argument("--only", default="", help="only data whose name begins so: streets, nyuv2")
    parser.add_argument("--name", default="", help="only trainings whose name holds this")
    parser.add_argument("--nyuv2", default="examples/nyuv2.yaml", help="the dataset.yaml of NYUv2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    every = list(SUITES[options.suite]())
    jobs = [job for job in every if job.data.startswith(options.only) and options.name in job.name]
    done = load()
    for job in jobs if options.train else ():
        if job.key not in done:
            done[job.key] = row = run(job, options.nyuv2)
            RESULTS.parent.mkdir(exist_ok=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{job.data} {job.name} seed {job.seed}: {row['seconds']:.0f} s", flush=True)
    for data in dict.fromkeys(job.data for job in jobs):
        Console(width=190).print(tabulate(data, [job for job in jobs if job.data == data], done))


if __name__ == "__main__":
    main()
