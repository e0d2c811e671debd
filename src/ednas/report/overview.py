"""What runs there are in a folder and below, and how far each is."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.arch import SearchSpace
from ednas.config import parse
from ednas.exceptions import ConfigError, EdnasError, StudyError, hint
from ednas.files import csv_text, is_busy, is_folder, read_json
from ednas.hw.quantities import QUANTITIES
from ednas.metrics import METRICS
from ednas.report.collect import Resolved
from ednas.report.training import SeedRun, read_seeds
from ednas.runs import RunFolder
from ednas.search.again import finalists
from ednas.search.config import SearchConfig, config_of_run
from ednas.search.results import best
from ednas.search.study import StudyReader, is_written
from ednas.search.trial import Trial, TrialState
from ednas.training.summary import mean_metrics, summarise

if TYPE_CHECKING:
    from ednas.training import TrainConfig

PARTS = ("checkpoint", "best", "logs", "predictions")
"""Folders of a run, in which no other run is looked for; those of seeds are parts, too."""

LATEST_FIRST = "changed"
"""What the runs are sorted by that changed last."""


class Kind(StrEnum):
    """What a run is."""

    TRAINING = "training"
    SEARCH = "search"
    STUDY = "study"
    """A search with its final trainings and their comparison, as a demo."""


class State(StrEnum):
    """How far a run is.

    - ``running``: a process works in its folder.
    - ``finished``: there is nothing left to do.
    - ``broken off``: there is, and nobody does it; ``--resume`` goes on.
    - ``damaged``: its files cannot be read.
    """

    RUNNING = "running"
    FINISHED = "finished"
    BROKEN_OFF = "broken off"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class RunRow:
    """A run in one line.

    Attributes:
        path: Its folder.
        kind: What it is.
        state: How far it is.
        changed: When one of its files was last written.
        data: What it learns from.
        network: Name of the network, or of the base network of a search.
        space: How many networks a search may choose from; None where that is not known.
        target: The device of a search.
        unit: What ``done`` and ``planned`` count: ``steps`` or ``trials``.
        done: How many are done, the failed ones included.
        planned: How many there will be; None where that is not known.
        failed: Trials that failed.
        pruned: Trials that cost too much to be trained.
        seeds: Trainings that the steps are those of.
        figures: Of a training its metrics, as ``depth.rel_err``; of a search ``reward``, ``accuracy`` and costs of the
            best trial.
        problem: What is damaged.
    """

    path: Path
    kind: Kind
    state: State
    changed: datetime
    data: str = ""
    network: str = ""
    space: int | None = None
    target: str = ""
    unit: str = ""
    done: int | None = None
    planned: int | None = None
    failed: int = 0
    pruned: int = 0
    seeds: int = 1
    figures: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as ``ednas runs --format json`` prints them."""
        values = {name: getattr(self, name) for name in _COLUMNS}
        return {**values, "path": str(self.path), "changed": self.changed.isoformat(timespec="seconds")}


_COLUMNS = tuple(RunRow.__dataclass_fields__)


def overview(folder: Path | str) -> list[RunRow]:
    """Describe all runs in a folder and below, in the order of their paths; what is damaged says so in its row.

    Raises:
        ConfigError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    return [describe(run) for run in find_runs(folder)]


def find_runs(folder: Path) -> Iterator[RunFolder]:
    """Yield the runs in a folder and below, by their paths. Links are followed, but no folder is looked at twice."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        with suppress(OSError):  # it is gone, or nobody may look into it
            about = path.stat()
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            run = RunFolder(path)
            parts: set[str] = set()
            if is_run(run):
                yield run
                parts = {*PARTS, *(seed.path.name for seed in run.seeds())}
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".") and is_folder(entry.path)]
            waiting += [path / name for name in sorted(names, reverse=True) if name not in parts]


def is_run(run: RunFolder) -> bool:
    """Whether a folder holds a run, whatever its state."""
    return run.is_search or any(map(_is_training, (run, *run.seeds())))


def is_running(run: RunFolder) -> bool:
    """Whether a process works in a run's folder, or in one of its trainings."""
    trainings = [run, *run.seeds(), *(seed for final in run.finals() for seed in (final, *final.seeds()))]
    return is_written(run.study) or any(is_busy(training.path) for training in trainings)


def describe(run: RunFolder) -> RunRow:
    """Return a run in one line; where its files are damaged, the line says how."""
    kind = (Kind.STUDY if run.job.exists() else Kind.SEARCH) if run.is_search else Kind.TRAINING
    row = RunRow(run.path, kind, State.DAMAGED, _changed(run))
    try:
        return _describe_search(run, row) if run.is_search else _describe_training(run, row)
    except (EdnasError, OSError) as error:
        return replace(row, problem=str(error))


def sort_rows(rows: Sequence[RunRow], by: str) -> list[RunRow]:
    """Sort runs by a column, upwards (``changed``: the latest first), or by a figure, the best first.

    Args:
        rows: The runs.
        by: ``path``, ``kind``, ``state``, ``data``, ``network``, ``changed``; a figure as ``reward``,
            ``depth.rel_err``, or a metric of any task as ``miou``. Runs without it come last.

    Raises:
        ConfigError: No run has such a column or figure.
    """
    columns = ("path", "kind", "state", "data", "network", LATEST_FIRST)
    if by in columns:
        return sorted(rows, key=lambda row: getattr(row, by), reverse=by == LATEST_FIRST)
    found = [(row, _figure(row, by)) for row in rows]
    if all(value is None for _, value in found):
        known = {*columns, *(name for row in rows for name in row.figures)}
        raise ConfigError(f"--sort {by}: no run has it; {hint(by, known)}")
    sign = -1 if higher_is_better(by) else 1
    return [row for row, _ in sorted(found, key=lambda pair: math.inf if pair[1] is None else sign * pair[1])]


def runs_csv(rows: Sequence[RunRow]) -> str:
    """Return runs as CSV: a line for each, and a column for each figure that one of them has, numbers in full."""
    figures = dict.fromkeys(name for row in rows for name in row.figures)
    lines = [{**row.to_dict(), **row.figures} for row in rows]
    columns = [*(name for name in _COLUMNS if name != "figures"), *figures]
    return csv_text(columns, [{name: line.get(name) for name in columns} for line in lines]).rstrip("\n")


def higher_is_better(figure: str) -> bool:
    """Return the direction of a figure; of a metric of somebody's own, that higher is."""
    metric = METRICS.get(figure.rpartition(".")[2])
    return figure not in QUANTITIES and (metric is None or metric.higher_is_better)


def _figure(row: RunRow, name: str) -> float | None:
    values = (value for key, value in row.figures.items() if name in (key, key.rpartition(".")[2]))
    return next((value for value in values if math.isfinite(value)), None)


def _is_training(run: RunFolder) -> bool:
    has_begun = run.config.is_file() and (run.log.is_file() or run.logs.is_dir())
    return run.is_training or run.steps.is_file() or has_begun


def _changed(run: RunFolder) -> datetime:
    files = [file for part in (run, *run.seeds()) for file in part.changing]
    return datetime.fromtimestamp(max(map(_written_at, files)) or _written_at(run.path)).astimezone()


def _written_at(path: Path) -> float:
    """Return when a file was last written, in seconds since 1970; 0 where there is none."""
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _describe_training(run: RunFolder, row: RunRow) -> RunRow:
    seeds = read_seeds(run)
    config = next((seed.config for seed in seeds if seed.config is not None), None)
    planned = [seed.planned for seed in seeds]
    is_finished = all(seed.is_finished for seed in seeds) and (not run.seeds() or run.summary.is_file())
    return replace(
        row,
        state=_state(run, is_finished),
        data="" if config is None else config.data,
        network="" if config is None else _network(config),
        unit="steps",
        done=sum(seed.step for seed in seeds),
        planned=None if None in planned else sum(filter(None, planned)),
        seeds=len(seeds),
        figures=_metrics(seeds),
    )


def _network(config: TrainConfig) -> str:
    """Return a network's name; empty where it needs a plugin, whose code is not run."""
    with suppress(EdnasError):
        architecture = config.load_architecture()
        return architecture.name or architecture.fingerprint()
    return ""


def _metrics(seeds: Sequence[SeedRun]) -> dict[str, float]:
    """Return what was measured, the means over the seeds that are finished."""
    measured = [seed.metrics for seed in seeds if seed.metrics is not None]
    if not measured:
        return {}
    tasks = mean_metrics(measured, summarise(measured))["tasks"]
    return {f"{task}.{name}": value for task, values in tasks.items() for name, value in values.items()}


def _describe_search(run: RunFolder, row: RunRow) -> RunRow:
    with StudyReader(run.study) as study:
        identity, trials, judged = study.identity, study.trials(), len(study.judgements())
    config = config_of_run(run, identity)
    limits = parse(Resolved, identity, str(run.study), StudyError).all_limits
    limits = {name: limit for name, limit in limits.items() if all(name in t.cost for t in trials if t.scored)}
    space = None if config is None else _space(config)
    counts = {state: sum(trial.state is state for trial in trials) for state in TrialState}
    done = counts[TrialState.DONE] + counts[TrialState.FAILED]
    is_complete = not counts[TrialState.RUNNING] and (
        config is None or done >= config.trials or (space is not None and len(trials) >= _points(space))
    )
    is_judged = config is None or judged >= _to_judge_again(config, trials, limits)
    is_finished = is_complete and is_judged and (row.kind is not Kind.STUDY or run.comparison.is_file())
    state = _state(run, is_finished)
    return replace(
        row,
        state=state,
        data="" if config is None else config.training.data,
        network="" if config is None else _network(config.training),
        space=None if space is None else space.size,
        target="" if config is None else config.target,
        unit="trials",
        done=done,
        planned=None if config is None else config.trials,
        failed=counts[TrialState.FAILED],
        pruned=counts[TrialState.PRUNED],
        figures=_chosen(run) if state is State.FINISHED and run.best.is_file() else _leader(trials, limits),
    )


def _space(config: SearchConfig) -> SearchSpace | None:
    """Return a search's space; None where it needs a plugin, whose code is not run."""
    with suppress(EdnasError):
        return SearchSpace(config.training.load_architecture(), config.space)
    return None


def _points(space: SearchSpace) -> int:
    return math.prod(len(decision.candidates) for decision in space.decisions)


def _to_judge_again(config: SearchConfig, trials: Sequence[Trial], limits: Mapping[str, float]) -> int:
    """Return how many candidates are judged by a second seed in the end, at least."""
    scored = sum(trial.scored for trial in trials)
    return max(len(finalists(trials, limits, config.final_judgements)), min(config.repeats, scored))


def _chosen(run: RunFolder) -> dict[str, float]:
    """Return the figures of the network that a search chose; with finalists, means of two seeds."""
    found = read_json(run.best, StudyError)
    if not isinstance(found, Mapping) or not isinstance(found.get("cost"), Mapping):
        raise StudyError(f"{run.best}: holds no result of a search; let the search write it again")
    return _numbers({"reward": found.get("reward"), "accuracy": found.get("accuracy"), **found["cost"]})


def _leader(trials: Sequence[Trial], limits: Mapping[str, float]) -> dict[str, float]:
    """Return the figures of the best trial so far."""
    leader = best(trials, limits)
    if leader is None:
        return {}
    return _numbers({"reward": leader.reward, "accuracy": leader.accuracy, **leader.cost})


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def _state(run: RunFolder, is_finished: bool) -> State:
    if is_running(run):
        return State.RUNNING
    return State.FINISHED if is_finished else State.BROKEN_OFF
