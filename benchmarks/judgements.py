"""What tells networks apart early: trainings of networks that cost the same, looked at on the way and at the end.

Each network is trained on the street scenes as a search trains a candidate, by the recipe ``mini`` with JAReD, 800
steps of 8 samples, from seed 1 and some from seed 2, and is measured on the held-out part of the training split every
100 steps. The networks are the base, and in turns one that costs within 10 % of it on a Coral at 256x512 and one that
costs at most as much. ::

    python benchmarks/judgements.py
    python benchmarks/judgements.py --train --seed 1 --networks 24
    python benchmarks/judgements.py --train --seed 2 --networks 8
    python benchmarks/judgements.py --train --seed 0 --steps 200 --size 32 64 --networks 31
    python benchmarks/judgements.py --train --seed 0 --steps 50 --networks 31
    python benchmarks/judgements.py --check runs/streets_check --networks 32
    python benchmarks/judgements.py --calibration runs/streets_check/evaluator/supernet --networks 32
    python benchmarks/judgements.py --check runs/streets_check_half --networks 31 --size 32 64 --supernet 0

``--check`` compares the evaluators on these networks as ``ednas search --check-proxy`` does on networks of its own: a
candidate's training has 200 steps at ``--size``, and the 800 at 64x128 are the reference. Trainings of another machine
count, too: there processors round differently, and a thousandth of the scenes' pixels differ.

Trainings are kept in a bank, ``results/streets_bank.jsonl``; what is there is not trained again, and what is not there
is only trained with ``--train`` and ``--check``. What is said of 19 networks is unsure: an interval of tau is 0.3 wide
on either side.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from recipes import SCENES
from rich.console import Console
from rich.table import Table
from search_controllers import BANK_SPACE

from ednas.arch import Architecture, SearchSpace, SpaceConfig, load_architecture
from ednas.demo import DEPLOYED_SIZE, JARED, SIZE, make_streets
from ednas.hw.sources import load_source
from ednas.report.tables.check import check_tables
from ednas.scoring import accuracy
from ednas.search import Bank, DeviceCost, SearchConfig
from ednas.search.agreement import bootstrap, ceiling, kendall
from ednas.search.bank import Anchor, training_context
from ednas.search.check import Check, CheckOptions, check_evaluators
from ednas.search.evaluators import Evaluation
from ednas.search.evaluators.proxy import ProxyEvaluator
from ednas.search.evaluators.supernet import SupernetEvaluator, SupernetOptions
from ednas.search.executors import InlineExecutor, Job
from ednas.search.features import describe
from ednas.search.objective import RememberedCost
from ednas.search.progress import SearchProgress
from ednas.search.sampling import Candidate, draw
from ednas.search.verdict import measure_reference
from ednas.training import TrainConfig, prepare_judgement, recipe

RESULTS = Path(__file__).parent / "results" / "streets_bank.jsonl"
STEPS, EVERY, LOSSES_EVERY = 800, 100, 50
PROXY_STEPS = 200
HEADS = {"segmentation": 19, "depth": 1}
SPACE = SpaceConfig(bifpn_widths=(64, 96, 128), bifpn_depths=(1, 2, 4))
"""What searches choose from (benchmarks/search_methods.py); the networks are drawn from a part of it."""

CALIBRATIONS = (16, 64, 256, 768)
"""Training images by which a supernet's batch statistics are measured."""

DRAWN = 16
"""Networks of each half."""

Vector = npt.NDArray[np.float64]


def networks() -> list[Candidate]:
    """Return the networks, the base first, then one of the band and one within the limit in turns."""
    base = load_architecture("base")
    space = SearchSpace(base, BANK_SPACE)
    cost = RememberedCost(DeviceCost(load_source("coral_usb"), HEADS, DEPLOYED_SIZE), 100_000)
    limit, start = cost(base)["latency_ms"], space.encode(base)
    within = draw(space, cost, lambda own: own["latency_ms"] <= limit, DRAWN, start, seed=1)
    band = draw(space, cost, lambda own: 0.9 * limit <= own["latency_ms"] <= 1.1 * limit, DRAWN, start, seed=2)
    return [Candidate(start, base, cost(base)), *(own for pair in zip(band, within, strict=True) for own in pair)]


def train(chosen: Sequence[Candidate], seed: int, steps: int, size: tuple[int, int]) -> None:
    """Train networks that the bank does not know."""
    data = make_streets(SCENES / "seed_0")
    for candidate in chosen:
        watched = {"log_every": LOSSES_EVERY, "evaluate_every": EVERY} if steps == STEPS else {"log_every": steps // 8}
        own = recipe("mini", steps=steps, input_size=size, task_options=JARED, **watched)
        config = TrainConfig(data=str(data), tasks=tuple(HEADS), recipe=own)
        model, split, _ = prepare_judgement(config)
        context, text = training_context(config, split.digest, model.input_size), candidate.architecture.to_text()
        if (text, seed, steps, size) in map(_name, Bank(RESULTS).anchors()):
            continue
        with InlineExecutor(ProxyEvaluator(config, "cpu")) as executor:
            executor.submit(Job(0, text, seed))
            outcome = executor.wait()
        if outcome.evaluation is None:
            print(f"{text}: {outcome.error}")
            continue
        Bank(RESULTS).add([Anchor(context, text, seed, outcome.evaluation)])
        print(f"seed {seed}: {outcome.evaluation.cpu_seconds:.0f} s {outcome.evaluation.tasks}", flush=True)


def check(chosen: Sequence[Candidate], out: Path, workers: int, size: tuple[int, int], supernet: int) -> Check:
    """Compare what a search could judge these networks by; a supernet, too, if it has steps."""
    out.parent.mkdir(parents=True, exist_ok=True)
    bank = Bank(out.with_name(f"{out.name}_bank.jsonl"))
    own = recipe("mini", steps=PROXY_STEPS, input_size=size, task_options=JARED, log_every=LOSSES_EVERY // 2)
    config = SearchConfig(
        training=TrainConfig(data=str(make_streets(SCENES / "seed_0")), tasks=tuple(HEADS), recipe=own),
        space=SPACE,
        latency_input_size=DEPLOYED_SIZE,
        prune_factor=1.0,
        finalists_input_size=None if size == SIZE else SIZE,
        bank=str(bank.path.resolve()),
        workers=workers,
        device="cpu",
    )
    digests = {size: prepare_judgement(config.with_recipe(input_size=size).training)[1].digest for size in (size, SIZE)}
    anchors = [own for own in Bank(RESULTS).anchors() if _name(own)[3] in digests]
    bank.add([replace(own, context={**own.context, "data": digests[_name(own)[3]]}) for own in anchors])
    options = CheckOptions(supernet=SupernetOptions(steps=supernet) if supernet else None)
    texts = [one.architecture for one in chosen]
    try:
        with SearchProgress() as progress:
            return check_evaluators(config, out, options, networks=texts, callbacks=[progress])
    finally:
        known = {_name(anchor) for anchor in Bank(RESULTS).anchors()}
        Bank(RESULTS).add([own for own in bank.anchors() if _name(own) not in known])


def _name(anchor: Anchor) -> tuple[str, int, int, tuple[int, int]]:
    """Say which training it is, whichever machine drew the scenes."""
    own = anchor.context["recipe"]
    return anchor.architecture, anchor.seed, own["steps"], tuple(own["input_size"])


def show_calibration(chosen: Sequence[Candidate], supernet: Path) -> Table:
    """How many images a supernet's batch statistics need, to rank networks as their own trainings do."""
    texts = [one.architecture.to_text() for one in chosen]
    truth = long_trainings(Bank(RESULTS).anchors())
    known = [text for text in texts if text in truth]
    end = np.array([np.mean([log_accuracy(own) for own in truth[text]]) for text in known])
    own = recipe("mini", input_size=SIZE, task_options=JARED)
    training = TrainConfig(data=str(make_streets(SCENES / "seed_0")), tasks=tuple(HEADS), recipe=own)
    table = Table(title=f"{len(known)} networks cut out of {supernet}", title_justify="left")
    for heading in ("images", "processor s", "mIoU %", "relative error", "tau", "95 %"):
        table.add_column(heading, justify="right")
    for images in CALIBRATIONS:
        evaluator, before = SupernetEvaluator(training, supernet, images, "cpu"), time.process_time()
        found = [evaluator.evaluate(Architecture.from_text(text), 0) for text in known]
        seconds = (time.process_time() - before) / len(known)
        values = np.array([log_accuracy(one) for one in found])
        tau = bootstrap(len(known), lambda rows: kendall(values[rows], end[rows]))  # noqa: B023
        ranges = [
            f"{min(own):.{digits}f} to {max(own):.{digits}f}"
            for own, digits in (
                ([one.tasks["segmentation"]["miou"] for one in found], 1),
                ([one.tasks["depth"]["rel_err"] for one in found], 3),
            )
        ]
        table.add_row(str(images), f"{seconds:.1f}", *ranges, f"{tau.value:.2f}", f"{tau.low:.2f} to {tau.high:.2f}")
    return table


def log_accuracy(evaluation: Evaluation, task: str | None = None) -> float:
    """Return the logarithm of the accuracy (Eq. 6), of all tasks or of one."""
    return math.log(accuracy(evaluation.tasks if task is None else {task: evaluation.tasks[task]}))


def late_loss(evaluation: Evaluation, task: str, step: int) -> float:
    """Return minus the mean logarithm of a task's training loss over the last half of the steps up to ``step``."""
    points = [p.losses[task] for p in evaluation.curve if p.losses and step / 2 < p.step <= step]
    return -float(np.mean(np.log(points)))


def on_the_way(evaluation: Evaluation, task: str, step: int) -> float:
    """Return the logarithm of a task's accuracy on what is held out, as it was at a step."""
    if step == STEPS:
        return log_accuracy(evaluation, task)
    metrics = next(point.metrics for point in evaluation.curve if point.step == step and point.metrics)
    return math.log(accuracy({task: metrics[task]}))


def show_spread(first: Sequence[Anchor], second: dict[str, Anchor]) -> Table:
    """How far networks differ, and how far seeds do."""
    table = Table(title=f"{len(first)} networks, {len(second)} from two seeds", title_justify="left")
    for heading in ("", "std of networks", "std of seeds", "share of the networks' own", "ceiling of tau"):
        table.add_column(heading, justify="right")
    for task in (None, *HEADS):
        values = [
            [log_accuracy(run.evaluation, task) for run in (one, second.get(one.architecture)) if run is not None]
            for one in first
        ]
        found = measure_reference(values, {}, [True] * len(values))
        cells = (found.accuracy.std(ddof=1), found.noise, found.reliability, ceiling(found.reliability))
        table.add_row(task or "accuracy", *(f"{cell:.3f}" for cell in cells))
    return table


def show_early(first: Sequence[Anchor]) -> Table:
    """How well what is seen early ranks networks as they are in the end, of the same training."""
    title = f"tau with the end, {len(first)} networks: held-out metrics at a step, training loss of the half before it"
    table = Table(title=title, title_justify="left")
    table.add_column("step", justify="right")
    for task in ("both", *HEADS):
        table.add_column(f"{task}: metrics", justify="right")
        table.add_column(f"{task}: losses", justify="right")
    for step in range(EVERY, STEPS + 1, EVERY):
        cells = []
        for tasks in (tuple(HEADS), *((task,) for task in HEADS)):
            end = _sum(first, tasks, log_accuracy)
            cells.append(kendall(_sum(first, tasks, lambda own, task: on_the_way(own, task, step)), end))  # noqa: B023
            cells.append(kendall(_sum(first, tasks, lambda own, task: late_loss(own, task, step)), end))  # noqa: B023
        table.add_row(str(step), *(f"{cell:.2f}" for cell in cells))
    return table


def show_short(anchors: Sequence[Anchor]) -> Table:
    """How well short trainings, to their end, rank networks as long ones of other seeds do."""
    long = long_trainings(anchors)
    short: dict[tuple[int, tuple[int, int]], dict[str, Evaluation]] = {}
    for anchor in anchors:
        _, _, steps, size = _name(anchor)
        if (steps, size) != (STEPS, SIZE):
            short.setdefault((steps, size), {})[anchor.architecture] = anchor.evaluation
    table = Table(title=f"tau of short trainings to their end with {STEPS} steps of other seeds", title_justify="left")
    for heading in ("steps", "size", "processor s", "judged by", "both", "95 %", *HEADS):
        table.add_column(heading, justify="right")
    for (steps, size), evaluations in sorted(short.items()):
        known = [text for text in evaluations if text in long]
        found = [evaluations[text] for text in known]
        late = [own.late_losses() for own in found]
        truth = {
            task: np.array([np.mean([log_accuracy(own, task) for own in long[text]]) for text in known])
            for task in HEADS
        }
        seconds = f"{np.median([own.cpu_seconds for own in found]):.0f}"
        for name, values in (
            ("metrics", {task: np.array([log_accuracy(own, task) for own in found]) for task in HEADS}),
            ("training losses", {task: -np.array([losses[task] for losses in late]) for task in HEADS}),
        ):
            total, end = sum(values.values()), sum(truth.values())
            tau = bootstrap(len(known), lambda rows: kendall(total[rows], end[rows]))  # noqa: B023
            own_tau = [f"{kendall(values[task], truth[task]):.2f}" for task in HEADS]
            cells = (f"{tau.value:.2f}", f"{tau.low:.2f} to {tau.high:.2f}", *own_tau)
            table.add_row(str(steps), f"{size[0]}x{size[1]}", seconds, name, *cells)
    return table


def long_trainings(anchors: Sequence[Anchor]) -> dict[str, list[Evaluation]]:
    """Return the trainings that all others are compared with, by architecture."""
    found: dict[str, list[Evaluation]] = {}
    for anchor in anchors:
        if _name(anchor)[2:] == (STEPS, SIZE):
            found.setdefault(anchor.architecture, []).append(anchor.evaluation)
    return found


def show_features(first: Sequence[Anchor]) -> Table:
    """How well what is known of an untrained network ranks it."""
    cost = DeviceCost(load_source("coral_usb"), HEADS, DEPLOYED_SIZE)
    rows = [describe(own, cost(own)) for own in (Architecture.from_text(one.architecture) for one in first)]
    end = np.array([log_accuracy(one.evaluation) for one in first])
    table = Table(title="tau of single features with the accuracy in the end", title_justify="left")
    for heading in ("feature", "tau", "95 %"):
        table.add_column(heading, justify="right")
    found = []
    for name in sorted({name for row in rows for name in row}):
        values = np.array([row.get(name, 0.0) for row in rows])
        if values.std() > 1e-6:
            tau = bootstrap(len(rows), lambda chosen: kendall(values[chosen], end[chosen]))  # noqa: B023
            found.append((name, tau))
    for name, tau in sorted(found, key=lambda pair: -abs(pair[1].value))[:8]:
        table.add_row(name, f"{tau.value:+.2f}", f"{tau.low:+.2f} to {tau.high:+.2f}")
    return table


def _sum(first: Sequence[Anchor], tasks: Sequence[str], value: Callable[[Evaluation, str], float]) -> Vector:
    return np.array([sum(value(one.evaluation, task) for task in tasks) for one in first])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train what is not there yet")
    parser.add_argument("--seed", type=int, default=1, help="of the trainings")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the trainings")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("H", "W"), help="of their images")
    parser.add_argument("--networks", type=int, default=24, help="how many of the networks to train or to judge")
    parser.add_argument("--check", type=Path, metavar="DIR", help="compare evaluators, and keep what they need there")
    parser.add_argument("--workers", type=int, default=1, help="of a check")
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="a supernet, to judge them by it")
    parser.add_argument("--supernet", type=int, default=1500, help="steps of a check's supernet; 0 = none")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.train:
        train(networks()[: options.networks], options.seed, options.steps, tuple(options.size))
    if options.check:
        chosen, size = networks()[: options.networks], tuple(options.size)
        for table in check_tables(check(chosen, options.check, options.workers, size, options.supernet)):
            Console(width=160).print(table)
        return
    if options.calibration:
        Console(width=160).print(show_calibration(networks()[: options.networks], options.calibration))
        return
    anchors = Bank(RESULTS).anchors()
    long = [anchor for anchor in anchors if _name(anchor)[2:] == (STEPS, SIZE)]
    first = [anchor for anchor in long if anchor.seed == 1]
    second = {anchor.architecture: anchor for anchor in long if anchor.seed == 2}
    watched = [anchor for anchor in first if any(point.metrics for point in anchor.evaluation.curve)]
    for table in (show_spread(first, second), show_early(watched), show_short(anchors), show_features(first)):
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
