"""How much networks of segmentation_models_pytorch learn under the loader, losses and steps that ours learns by.

``choice`` looks for each peer's learning rate, then for its batch size at the best one, on street scenes of another
seed; the best is what gains most over all tasks (Eq. 9 to 12). ``result`` trains each by its own best, and the base
architecture by ``mini``, three seeds each, and measures on the validation split. ::

    python -m benchmarks.peers.train choice
    python -m benchmarks.peers.train result --train

Each training is one line in ``results/peers.jsonl``; what is not there is only trained with ``--train``. Times are
processor seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.peers.networks import PEERS, build_peer
from benchmarks.recipes import JARED, RESULTS, SCENES, SEEDS, Job, load, open_splits, run, train_and_measure
from ednas.metrics import ModelMetrics
from ednas.report.labels import metric_heading, show_metric
from ednas.scoring import compare
from ednas.seeding import derive_seed
from ednas.tasks import make_tasks
from ednas.training import recipe
from ednas.training.config import Normalisation

PEER_RESULTS = RESULTS.with_name("peers.jsonl")
RATES = (5e-3, 1e-2, 2e-2, 4e-2)
LARGE_BATCHES: dict[str, Any] = {"batch_size": 16, "steps": 400}
SHOWN = ("miou", "rel_err", "abs_err")

Rows = Mapping[str, dict[str, Any]]


def choices(done: Rows) -> Iterator[Job]:
    """The rates, and large batches once the best of them is known; a peer's name stands for its architecture."""
    for peer in PEERS:
        rates = [Job(f"{peer}: {rate:g}", "streets:choice", {**JARED, "learning_rate": rate}, peer) for rate in RATES]
        yield from rates
        if best := best_of(rates, done):
            rate = best.changes["learning_rate"]
            yield Job(f"{peer}: {rate:g}, 16 x 400", "streets:choice", {**best.changes, **LARGE_BATCHES}, peer)


def results(done: Rows) -> Iterator[Job]:
    """Ours, and the peers of which the best setting is known."""
    candidates = list(choices(done))
    chosen = {peer: best_of([job for job in candidates if job.architecture == peer], done) for peer in PEERS}
    for seed in SEEDS:
        yield Job("ednas, base", "streets", JARED, seed=seed)
        for peer, best in chosen.items():
            if best:
                yield Job(best.name, "streets", best.changes, peer, seed=seed)


def best_of(jobs: list[Job], done: Rows) -> Job | None:
    """Return the job that gains most over the first; None unless all are done."""
    if any(job.key not in done for job in jobs):
        return None
    first, *others = [ModelMetrics(str(i), "standard", done[job.key]["metrics"]) for i, job in enumerate(jobs)]
    gains = {int(gain.name): gain.delta for gain in compare(first, others).models}
    return jobs[max({0: 0.0, **gains}.items(), key=lambda item: item[1])[0]]


def train(job: Job, scenes: Path) -> dict[str, Any]:
    """Train and measure once."""
    splits = open_splits(job.data, "", scenes)
    if job.architecture not in PEERS:
        return run(job, "", scenes)
    tasks = make_tasks(job.tasks, splits[0].info.targets, recipe("mini", **job.changes).options_of(job.tasks))
    heads = {name: task.channels for name, task in tasks.items()}
    network = build_peer(job.architecture, heads, derive_seed(job.seed, "weights"))
    return train_and_measure(job, network, tasks, splits, Normalisation())


def show(jobs: Iterable[Job], done: Rows) -> None:
    """Print a line for each name: means over the seeds, and standard deviations."""
    table = Table("", "seeds", *map(metric_heading, SHOWN), "seconds")
    named: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        if job.key in done:
            named.setdefault(job.name, []).append(done[job.key])
    for name, rows in named.items():
        cells = []
        for metric in SHOWN:
            values = [task[metric] for row in rows for task in row["metrics"].values() if metric in task]
            spread = statistics.stdev(values) if len(values) > 1 else None
            cells.append(show_metric(metric, statistics.mean(values), spread))
        seconds = statistics.mean(row["seconds"] for row in rows)
        table.add_row(name, str(len(rows)), *cells, f"{seconds:.0f}")
    Console(width=140).print(table)


SUITES = {"choice": choices, "result": results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--train", action="store_true", help="train what is not there yet")
    parser.add_argument("--name", default="", help="only trainings whose name holds this")
    parser.add_argument("--streets", type=Path, default=SCENES, help="where the scenes are, or are written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = load(PEER_RESULTS)

    def jobs() -> list[Job]:
        return [job for job in SUITES[options.suite](done) if options.name in job.name]

    # One at a time: what comes next may depend on what was found.
    while options.train and (job := next((job for job in jobs() if job.key not in done), None)):
        done[job.key] = row = train(job, options.streets)
        with PEER_RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{job.data} {job.name} seed {job.seed}: {row['seconds']:.0f} s", flush=True)
    show(jobs(), done)


if __name__ == "__main__":
    main()
