"""What ways to search find with the same compute, beside the networks that one has without.

    python benchmarks/search_methods.py
    python benchmarks/search_methods.py --run predictor --seed 1
    python benchmarks/search_methods.py --run predictor --seed 1 --trainings 0 1 2
    python benchmarks/search_methods.py --run predictor --trainings 0 --steps 3200

Every search has a budget of about 44 trainings of 200 steps of 8 street scenes (64x128), looks for a network that is no
slower than the base on a Coral at 256x512, and sees the training split alone. It may vary the blocks as the paper does,
and the width and depth of the BiFPN. The network it chooses is then trained on the whole training split by the recipe
``mini`` (800 steps), as the base and Table 6's networks are, and measured on ``val`` once, from one seed or from
several; a row is a mean over all trainings of its searches. ``seconds`` are those of the one processor that a search
computes on.

Searches are kept in ``runs/search_methods`` and can be ended and gone on with; what came of them is in
``results/search_methods.jsonl``, final trainings in ``results/search_methods_final.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from judgements import HEADS, LOSSES_EVERY, PROXY_STEPS, SPACE
from recipes import JARED, SCENES, Job, load, run
from rich.console import Console
from rich.table import Table

from ednas.arch import load_architecture
from ednas.demo import DEPLOYED_SIZE, SIZE, make_streets
from ednas.hw import estimate, load_target
from ednas.report.labels import metric_heading, show_metric
from ednas.scoring import accuracy
from ednas.search import SearchConfig, SearchProgress, run_search
from ednas.training import TrainConfig, recipe

SEARCHES = Path(__file__).parent / "results" / "search_methods.jsonl"
FINALS = SEARCHES.with_name("search_methods_final.jsonl")
RUNS = Path("runs/search_methods")
SEEDS = (0, 1, 2)
LONG = 3200
"""Steps of longer final trainings, which ask whether what is better after 800 steps stays so."""

SHOWN = {"segmentation": ("miou", "pixel_acc"), "depth": ("abs_err", "rel_err")}
NEAR = {"population_size": 10, "tournament_size": 4, "mutations": 3, "initial_mutations": 8}
"""Evolution among the base network's variants, as the demo has it."""

LONGER = {"finalists": 4, "finalists_longer": 4.0}
"""The best four, and the base network where it is one of the candidates, are trained for 800 steps."""


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        title: For the table.
        changes: What of a search's configuration it changes.
        tasks: What candidates learn.
        size: ``(height, width)`` of the images that they learn from.
    """

    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = tuple(HEADS)
    size: tuple[int, int] = SIZE


def _evolution(**options: Any) -> dict[str, Any]:
    return {"controller": {"name": "evolution", "options": options}}


def _judged(evaluator: str, trials: int, **options: Any) -> dict[str, Any]:
    return {
        **_evolution(population_size=50, tournament_size=10),
        "initial": ["baseline"],
        "evaluator": {"name": evaluator, "options": options},
        "trials": trials,
        **LONGER,
    }


METHODS = {
    "random": Method("random search", {"controller": {"name": "random"}, "trials": 24, **LONGER}),
    "paper": Method("the paper's way: evolution", {**_evolution(population_size=12, tournament_size=4), "trials": 44}),
    "paper_longer": Method(
        "the paper's way, twice as long", {**_evolution(population_size=12, tournament_size=4), "trials": 88}
    ),
    "near": Method(
        "evolution near the base",
        {**_evolution(**NEAR), "initial": ["baseline"], "trials": 24, **LONGER},
    ),
    "varied": Method(
        "evolution from networks that differ as wholes",
        {
            **_evolution(population_size=16, tournament_size=6, mutations=3),
            "initial": ["baseline"],
            "varied": 15,
            "trials": 24,
            **LONGER,
        },
    ),
    "predictor_small": Method(
        "predictor, 8 anchors, no finalists",
        {**_judged("predictor", 200, anchors=8, pool=200, zero_cost=False), "finalists": 0, "finalists_longer": 1.0},
    ),
    "predictor": Method("predictor", _judged("predictor", 2000, anchors=24, pool=500, zero_cost=False)),
    "predictor_half": Method(
        "predictor, candidates at 32x64",
        {
            **_judged("predictor", 2000, anchors=40, pool=500, zero_cost=False),
            "finalists_input_size": SIZE,
        },
        size=(SIZE[0] // 2, SIZE[1] // 2),
    ),
    "supernet": Method("supernet", _judged("supernet", 200, steps=1500)),
    "stack": Method("stack", _judged("stack", 100, supernet={"steps": 500}, anchors=12, pool=100, zero_cost=False)),
    "transfer": Method(
        "evolution near the base, segmentation alone",
        {**_evolution(**NEAR), "initial": ["baseline"], "trials": 24, "final_tasks": tuple(HEADS), **LONGER},
        ("segmentation",),
    ),
}
FIXED = {
    "base": "base network",
    "ednas_cityscapes": "Table 6 as printed",
    "ednas_cityscapes_published": "Table 6 as counted",
}


def configure(method: Method, seed: int) -> SearchConfig:
    """Return a search."""
    options = {task: own for task, own in JARED["task_options"].items() if task in method.tasks}
    own = recipe("mini", steps=PROXY_STEPS, input_size=method.size, task_options=options, log_every=LOSSES_EVERY // 2)
    return SearchConfig(
        training=TrainConfig(
            data=str(make_streets(SCENES / "seed_0").resolve()), tasks=method.tasks, recipe=own, seed=seed
        ),
        space=SPACE,
        latency_input_size=DEPLOYED_SIZE,
        prune_factor=1.0,
        executor="inline",
        device="cpu",
        **method.changes,
    )


def search(name: str, seed: int) -> dict[str, Any]:
    """Search, or go on with a search; return its row."""
    folder = RUNS / f"{name}_{seed}"
    with _timed(folder) as times, SearchProgress() as progress:
        result = run_search(configure(METHODS[name], seed), folder, resume=True, callbacks=[progress])
    return {
        "method": name,
        "seed": seed,
        "seconds": sum(json.loads(times.read_text())),
        "architecture": result.architecture.to_text(),
        "is_base": result.architecture.fingerprint() == load_architecture("base").fingerprint(),
    }


@contextmanager
def _timed(folder: Path) -> Iterator[Path]:
    """Add the processor seconds of this process to ``seconds.json`` in a folder; yield that file."""
    folder.mkdir(parents=True, exist_ok=True)
    path, before = folder / "seconds.json", time.process_time()
    try:
        yield path
    finally:
        known = json.loads(path.read_text()) if path.is_file() else []
        path.write_text(json.dumps([*known, time.process_time() - before]))


def final(name: str, architecture: str, seed: int, steps: int | None = None) -> Job:
    """Return the training by which a network is compared; with steps, one of another length."""
    changes = JARED if steps is None else {**JARED, "steps": steps}
    return Job(name, "streets", changes, architecture, seed=seed)


def train(job: Job) -> None:
    """Train a network in full, unless that was done."""
    if job.key not in _finals():
        _add(FINALS, run(job, nyuv2=""))


def _finals() -> dict[str, dict[str, Any]]:
    return {**load(), **load(FINALS)}  # the recipes' benchmark has trained the base, too


def _add(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def searches(name: str) -> list[dict[str, Any]]:
    """Return the rows of a method's searches."""
    rows = [json.loads(line) for line in SEARCHES.read_text().splitlines()] if SEARCHES.exists() else []
    return [row for row in rows if row["method"] == name]


def trainings(name: str, steps: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of the final trainings of what a method found, or of a network that one has without searching."""
    if name in METHODS:
        texts = [row["architecture"] for row in searches(name)]
    else:  # the recipes' benchmark names networks
        texts = [name, load_architecture(name).to_text()]
    finals = _finals()
    keys = dict.fromkeys(final(name, text, seed, steps).key for text in texts for seed in SEEDS)
    return [finals[key] for key in keys if key in finals]


def show(steps: int | None = None) -> Table:
    """Return the table of what is known so far, of final trainings of some length."""
    table = Table(title=f"networks, trained for {steps or 800:,} steps and measured on val", title_justify="left")
    table.add_column("")
    headings = [metric_heading(metric) for metrics in SHOWN.values() for metric in metrics]
    for heading in ("searches", "processor seconds", "trainings", "ms on a Coral", "accuracy (Eq. 6)", *headings):
        table.add_column(heading, justify="right")
    for name, title in FIXED.items():
        table.add_row(title, "", "", *_cells(trainings(name, steps)))
    for name, method in METHODS.items():
        rows = searches(name)
        seconds = f"{statistics.mean(row['seconds'] for row in rows):.0f}" if rows else ""
        table.add_row(method.title, str(len(rows)), seconds, *_cells(trainings(name, steps)))
    return table


def _cells(rows: list[dict[str, Any]]) -> list[str]:
    """Return a line's figures, from trainings."""
    if not rows:
        return ["0"]
    found = [row["metrics"] for row in rows]
    latencies = [
        estimate(load_architecture(row["architecture"]), HEADS, DEPLOYED_SIZE, load_target("coral_usb")).latency_ms
        for row in rows
    ]
    accuracies = [accuracy(metrics) for metrics in found]
    cells = [str(len(rows)), f"{statistics.mean(latencies):.2f}"]
    spread = "" if len(accuracies) == 1 else f" ± {statistics.stdev(accuracies):.3f}"
    cells.append(f"{statistics.mean(accuracies):.3f}{spread}")
    for task, metrics in SHOWN.items():
        for metric in metrics:
            values = [own[task][metric] for own in found]
            cells.append(show_metric(metric, statistics.mean(values), _spread(values)))
    return cells


def _spread(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", choices=[*METHODS, *FIXED], help="what to search by or to train")
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--steps", type=int, help="of the final trainings; default: 800")
    parser.add_argument("--trainings", type=int, nargs="*", help="seeds of the final trainings; default: the search's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = options.trainings or [options.seed]
    if options.run in METHODS:
        known = next((row for row in searches(options.run) if row["seed"] == options.seed), None)
        row = known or search(options.run, options.seed)
        if known is None:
            _add(SEARCHES, row)
        print(f"chosen: {row['architecture']}", file=sys.stderr)
        for seed in seeds:
            train(final(options.run, row["architecture"], seed, options.steps))
    elif options.run:
        for seed in seeds:
            train(final(options.run, options.run, seed, options.steps))
    for table in (show(), show(LONG)):
        Console(width=180).print(table)


if __name__ == "__main__":
    main()
