"""Gathering a report's content from the folder of a training, of one seed or of several, also of one that goes on.

What is read of a run, all of it optional but one:

- ``checkpoint/metrics.json``: what was measured; missing while the training goes on;
- ``config.yaml``: what was trained; without it the pictures are missing too, since it names the data;
- ``logs/steps.csv`` and ``logs/validation.csv``: the curves;
- ``best/metrics.json``: which step was best on the part of the training split that was held out;
- ``checkpoint/`` and the data that it was measured on: pictures of the best and the worst images.

The folder of several seeds holds such a folder ``seed_<n>`` for each; its mean and spread are computed from those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from ednas.config import parse
from ednas.data import open_cache, open_dataset
from ednas.exceptions import CheckpointError, EdnasError
from ednas.files import read_json
from ednas.metrics import TaskValues
from ednas.report.extremes import Extremes, find_extremes
from ednas.runs import RunFolder
from ednas.training import TrainConfig, load_checkpoint, load_config
from ednas.training.device import resolve_device
from ednas.training.logs import read_log
from ednas.training.summary import mean_metrics, summarise

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True)
class SeedRun:
    """The training of one seed.

    Attributes:
        name: The seed, as ``seed 3``.
        folder: Its folder.
        config: What was trained; None where that is not written down.
        metrics: Checked content of ``metrics.json``; None while the training goes on.
        steps: Losses and learning rate, rows by column.
        validation: What was measured on the part that was held out, rows by column.
        best_step: The step that was best there.
    """

    name: str
    folder: RunFolder
    config: TrainConfig | None
    metrics: dict[str, Any] | None
    steps: list[dict[str, float]]
    validation: list[dict[str, float]]
    best_step: int | None

    @property
    def step(self) -> int:
        """How many steps are done, as far as that is written down."""
        logged = int(self.steps[-1]["step"]) if self.steps else 0
        measured = 0 if self.metrics is None else self.metrics["steps"] or self.planned or 0
        return max(logged, measured)

    @property
    def planned(self) -> int | None:
        """How many steps there will be; None where that is not written down."""
        return None if self.config is None else self.config.recipe.steps

    @property
    def is_finished(self) -> bool:
        """Whether it was measured after its last step; not yet, where it is being lengthened."""
        if self.metrics is None:
            return False
        return self.metrics["steps"] is None or self.metrics["steps"] >= (self.planned or 0)


@dataclass(frozen=True)
class TrainingReport:
    """What the report of a training says.

    Attributes:
        title: Heading of the page.
        created: When the report was made.
        runs: The training of each seed; one at least.
        metrics: What was measured, the means over the seeds that are finished; None before the first one is.
        spread: Standard deviations over the seeds; None for one.
        extremes: The best and the worst images of each task, of the first seed.
        no_extremes: Why there are none; empty if there are.
    """

    title: str
    created: datetime
    runs: tuple[SeedRun, ...]
    metrics: dict[str, Any] | None = None
    spread: TaskValues | None = None
    extremes: tuple[Extremes, ...] = field(default_factory=tuple)
    no_extremes: str = ""

    @property
    def finished(self) -> list[dict[str, Any]]:
        """What was measured of each seed that is finished."""
        return [run.metrics for run in self.runs if run.metrics is not None]


class _Trivial(BaseModel):
    tasks: dict[str, dict[str, float]] = Field(default_factory=dict)


class _Metrics(BaseModel):
    """The keys of a ``metrics.json`` that are shown; others are left out."""

    protocol: str
    tasks: dict[str, dict[str, float]]
    higher_is_better: dict[str, bool] = Field(default_factory=dict)
    units: dict[str, dict[str, str]] = Field(default_factory=dict)
    remarks: list[str] = Field(default_factory=list)
    trivial: _Trivial = _Trivial()
    classes: dict[str, dict[str, dict[str, float | None]]] = Field(default_factory=dict)
    confusion: dict[str, list[list[int]]] = Field(default_factory=dict)
    dataset: str = ""
    split: str = ""
    samples: int | None = None
    input_size: tuple[int, int] | None = None
    params: int | None = None
    steps: int | None = None
    seed: int | None = None
    device: str = ""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for task, values in self.trivial.tasks.items():
            if not values.keys() <= self.tasks.get(task, {}).keys():
                raise ValueError(f"trivial: '{task}' has metrics that were not measured of the network")
        for task, classes in self.classes.items():
            if any(not {"iou", "acc"} <= values.keys() for values in classes.values()):
                raise ValueError(f"classes: a class of '{task}' lacks 'iou' or 'acc'")
            rows = self.confusion.get(task, [])
            if rows and {len(rows), *map(len, rows)} != {len(classes)}:
                raise ValueError(f"confusion: '{task}' has {len(classes)} classes, and a matrix of another size")
        return self


def is_training(folder: Path | str) -> bool:
    """Whether a folder is that of a training, of one seed or of several, perhaps before its first step."""
    run = RunFolder(folder)
    return run.is_training or run.logs.exists() or bool(run.seeds())


def collect_training(
    folder: Path | str,
    decode_progress: Progress | None = None,
    progress: Progress | None = None,
    *,
    pictures: bool = True,
) -> TrainingReport:
    """Return what the folder of a training has to tell; see the module's description for the files.

    Args:
        folder: A folder of which :func:`is_training` is true.
        decode_progress: Called for every validation image that is decoded, where they are not decoded yet.
        progress: Called for every image that is looked at.
        pictures: Whether to look at images at all, which takes the time of an evaluation.

    Raises:
        EdnasError: One of the files is damaged; the message names it. The seeds do not belong together.
    """
    run = RunFolder(folder)
    runs = read_seeds(run)
    finished = [run.metrics for run in runs if run.metrics is not None]
    report = TrainingReport(f"Training in {run.path.resolve().name}", datetime.now().astimezone(), runs)
    if not finished:
        return report
    _check_alike(finished)
    summary = summarise(finished)
    spread = {task: {name: value["std"] for name, value in row.items()} for task, row in summary["tasks"].items()}
    missing = (), "the run goes on; they come with its last page"
    extremes, reason = _find_extremes(runs[0], decode_progress, progress) if pictures else missing
    return TrainingReport(
        title=report.title,
        created=report.created,
        runs=runs,
        metrics=finished[0] if len(finished) == 1 else mean_metrics(finished, summary),
        spread=spread if len(finished) > 1 else None,
        extremes=extremes,
        no_extremes=reason,
    )


def read_checked_metrics(file: Path) -> dict[str, Any]:
    """Read a ``metrics.json`` with all that a report shows of it.

    Raises:
        CheckpointError: The file is missing or damaged, or holds something else; the message names the key.
    """
    content = read_json(file, CheckpointError)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file}: holds {type(content).__name__}, expected an object with 'protocol' and 'tasks'")
    metrics: dict[str, Any] = parse(_Metrics, content, str(file), CheckpointError).model_dump()
    return metrics


def read_seeds(run: RunFolder) -> tuple[SeedRun, ...]:
    """Return the trainings in a folder, one or several, as far as they are.

    Raises:
        EdnasError: One of the files is damaged; the message names it.
    """
    return tuple(map(_read_run, run.seeds() or [run]))


def _read_run(folder: RunFolder) -> SeedRun:
    config = load_config(folder.config) if folder.config.is_file() else None
    best = folder.best_checkpoint.metrics
    metrics = read_checked_metrics(folder.checkpoint.metrics) if folder.checkpoint.path.is_dir() else None
    seed = config.seed if config is not None else (metrics or {}).get("seed")
    return SeedRun(
        name="seed unknown" if seed is None else f"seed {seed}",
        folder=folder,
        config=config,
        metrics=metrics,
        steps=read_log(folder.steps),
        validation=read_log(folder.validation),
        best_step=read_checked_metrics(best)["steps"] if best.is_file() else None,
    )


def _check_alike(runs: list[dict[str, Any]]) -> None:
    """Check that several runs have the same classes; tasks and metrics are :func:`summarise`'s to check."""
    names = [{task: list(classes) for task, classes in run["classes"].items()} for run in runs]
    if any(other != names[0] for other in names):
        raise CheckpointError("the seeds were measured on different classes; train them on the same data")


def _find_extremes(
    run: SeedRun, decode_progress: Progress | None, progress: Progress | None
) -> tuple[tuple[Extremes, ...], str]:
    """Return the best and the worst images, or none of them and the reason."""
    if run.metrics is None or run.config is None:
        lacking = run.folder.checkpoint.path if run.metrics is None else run.folder.config
        return (), f"{run.folder.path} holds no {lacking.name}"
    try:
        dataset = open_dataset(run.config.data, run.metrics["split"] or "val", **run.config.data_options)
        model = load_checkpoint(run.folder.checkpoint.path).to(resolve_device())
        split = open_cache(dataset, model.input_size, progress=decode_progress)
        batch_size = run.config.recipe.eval_batch_size
        return tuple(find_extremes(model, split, batch_size=batch_size, progress=progress)), ""
    except EdnasError as error:
        return (), str(error)
