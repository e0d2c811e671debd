"""Made-up reports, whose numbers are drawn at random or written down for the test, and what a reader sees of a page."""

from __future__ import annotations

import io
import random
import re
from dataclasses import replace
from datetime import datetime
from functools import cache
from html.parser import HTMLParser

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from ednas.arch import Architecture, SearchSpace, load_architecture
from ednas.report.content import (
    BestModel,
    BlockRow,
    ComparisonTable,
    ModelRow,
    Picture,
    ReportData,
    choice_shares,
    select_winners,
)
from ednas.search.controllers.base import Proposal
from ednas.search.results import pareto
from ednas.search.study import Study
from ednas.search.trial import Trial, TrialState

IDENTITY = {"heads": {"segmentation": 19, "depth": 1}, "input_size": [64, 128]}

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)> & \"'{{7*7}}"


def show(table: Table, width: int = 140) -> str:
    """A table as a terminal shows it."""
    text = io.StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


def rows(text: str) -> list[list[str]]:
    """The cells of a table that is shown, without its headings."""
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in text.splitlines() if "│" in line]


def png(colour: tuple[int, int, int], size: tuple[int, int] = (64, 128), bands: int = 0) -> bytes:
    """A picture with a gradient, or with bands of flat colours as a label has."""
    height, width = size
    ramp = np.linspace(0.25, 1, width)[None, :] * np.linspace(1, 0.6, height)[:, None]
    if bands:
        ramp = np.floor(ramp * bands) / bands
    buffer = io.BytesIO()
    Image.fromarray((ramp[..., None] * np.array(colour)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def fake_trials(count: int, seed: int = 1) -> tuple[Trial, ...]:
    space = SearchSpace(load_architecture("base"))
    rng = random.Random(seed)
    trials = []
    for number in range(count):
        genes = tuple(rng.randrange(len(decision.candidates)) for decision in space.decisions)
        architecture = space.decode(genes)
        fused = sum(block.kind == "fused" for block in architecture.blocks)
        latency = 3 + sum(block.filters * block.expand_ratio for block in architecture.blocks) / 2000 * rng.uniform(
            0.9, 1.1
        )
        accuracy = 0.25 + 0.012 * latency + 0.006 * fused + rng.gauss(0, 0.012) + 0.0003 * number
        trial = Trial(
            number=number,
            genes=genes,
            architecture=architecture.to_text(),
            fingerprint=architecture.fingerprint(),
            state=TrialState.DONE,
            asked_after=number,
            cost={"latency_ms": latency},
            metrics={
                "segmentation": {"miou": 90 * accuracy, "pixel_acc": 88.1},
                "depth": {"abs_err": 0.0143, "rel_err": 0.28},
            },
            accuracy=accuracy,
            reward=accuracy * min(1.0, (latency / 7) ** -0.07),
            done_order=number,
            seconds=41.5,
        )
        nothing = {"metrics": {}, "accuracy": None, "reward": None, "seconds": None}
        if number % 17 == 5:
            trial = replace(trial, state=TrialState.FAILED, error="loss is not finite at step 12", **nothing)
        elif number % 13 == 7:
            trial = replace(trial, state=TrialState.PRUNED, cost={"latency_ms": 1.6 * latency}, **nothing)
        trials.append(trial)
    return tuple(trials)


def write_study(folder, trials, identity=IDENTITY):
    """Store trials as a search on the base network's space would; those that are not finished run."""
    with Study(folder / "study.db", identity) as study:
        for trial in trials:
            store_trial(study, trial)


def store_trial(study, trial):
    space = SearchSpace(load_architecture("base"))
    state = TrialState.PRUNED if trial.state is TrialState.PRUNED else TrialState.RUNNING
    stored = study.add(
        Proposal(trial.genes), space.decode(trial.genes), trial.cost, asked_after=trial.asked_after, state=state
    )
    if trial.state in (TrialState.DONE, TrialState.FAILED):
        study.finish(
            stored, trial.state, metrics=trial.metrics, accuracy=trial.accuracy, reward=trial.reward,
            error=trial.error, seconds=trial.seconds,
        )  # fmt: skip


def fake_comparison() -> ComparisonTable:
    metrics = {"segmentation": ("miou", "pixel_acc"), "depth": ("abs_err", "rel_err")}
    return ComparisonTable(
        models=(
            ModelRow(
                "Single-task baseline (made up)",
                {"segmentation": {"miou": 40.04, "pixel_acc": 88.67}, "depth": {"abs_err": 0.0157, "rel_err": 0.303}},
                latency_ms=11.6, params=6_800_000, macs=5_300_000_000,
            ),
            ModelRow(
                "Found by the search (made up)",
                {"segmentation": {"miou": 46.52, "pixel_acc": 90.61}, "depth": {"abs_err": 0.0143, "rel_err": 0.31}},
                spread={
                    "segmentation": {"miou": 0.31, "pixel_acc": 0.1},
                    "depth": {"abs_err": 0.0001, "rel_err": 0.004},
                },
                delta=7.9,
                task_deltas={"segmentation": 9.2, "depth": 3.3},
                metric_deltas={
                    "segmentation": {"miou": 16.2, "pixel_acc": 2.2},
                    "depth": {"abs_err": 8.9, "rel_err": -2.3},
                },
                latency_ms=6.2, params=3_420_000, macs=2_100_000_000,
            ),
        ),
        metrics=metrics,
        baseline="Single-task baseline (made up)",
        protocol="standard",
    )  # fmt: skip


def fake_best(architecture: Architecture, number: int = 3) -> BestModel:
    rows = [BlockRow("0", "Conv2D", 2, 3, architecture.stem_filters, None, 928, 7_077_888, (64, 128, 32))]
    for index, block in enumerate(architecture.blocks, start=1):
        layer = {"ibn": "IBN", "fused": "FusedIBN"}[block.kind]
        params = block.filters * block.expand_ratio * block.kernel_size**2 * 30
        rows.append(
            BlockRow(
                str(index), layer, block.stride, block.kernel_size, block.filters, block.expand_ratio, params,
                params * 500, (32, 64, block.filters),
            )
        )  # fmt: skip
    rows.append(BlockRow("", "BiFPN ×4", filters=64, params=120_000, macs=90_000_000))
    return BestModel(
        architecture, tuple(rows), ("segmentation", "depth"), number, 3_420_000, 3_100_000, 2_100_000_000, (128, 256)
    )


@cache
def fake_report(count: int = 60) -> ReportData:
    trials = fake_trials(count)
    winners = select_winners(trials)
    pictures = tuple(
        Picture(
            f"scene {sample}", task, png((120, 160, 220), (128, 256)), png(colour, (128, 256), bands=6),
            (("Single-task", png(colour, (128, 256), bands=4)), ("Found", png(colour, (128, 256), bands=5))),
            png(colour, (20, 256)),
        )
        for sample in (1, 2)
        for task, colour in (("segmentation", (220, 60, 140)), ("depth", (250, 200, 60)))
    )  # fmt: skip
    return ReportData(
        title="Made-up search on synthetic streets",
        created=datetime(2024, 5, 17, 12, 30),
        config="data: synthetic\ntasks: [segmentation, depth]\nsearch:\n  trials: 80\n  controller: evolution\n",
        target="coral_usb",
        baseline_latency_ms=11.6,
        target_latency_ms=7.0,
        planned_trials=80,
        trials=trials,
        pareto=tuple(trial.number for trial in pareto(trials)),
        choices=choice_shares(winners, trials, load_architecture("base")),
        stage_depths=load_architecture("base").stage_depths,
        winners=len(winners),
        best=fake_best(
            Architecture.from_text(winners[0].architecture, name=f"trial {winners[0].number}"), winners[0].number
        ),
        comparison=fake_comparison(),
        pictures=pictures,
    )


class Page(HTMLParser):
    """Elements, texts and element ids of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._in_script = True
            self.scripts.append("")

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data

    @property
    def sections(self) -> list[str | None]:
        return [attrs.get("id") for tag, attrs in self.elements if tag == "section"]


def curves(text):
    """Horizontal places of the points of every curve on a page."""
    found = re.findall(r'<polyline points="([^"]+)"[^>]*stroke-width="1.4"', text)
    return [[float(pair.split(",")[0]) for pair in points.split()] for points in found]
