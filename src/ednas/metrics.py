"""What metrics are called and how they improve, and the ``metrics.json`` that holds what was measured of a model.

:data:`METRICS` is the one place that says what a built-in metric is called, what it is measured in, in which direction
it improves, and whether it is one of the paper's; tasks, scores, tables and reports read it. A metric of the user's own
brings its direction along: in code as an argument, in a ``metrics.json`` under
``"higher_is_better": {"my_metric": true}``.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ednas.exceptions import CheckpointError
from ednas.files import read_json
from ednas.runs import RunFolder

TaskValues = Mapping[str, Mapping[str, float]]
"""Metric values by task and metric: ``{"depth": {"abs_err": 0.0143, "rel_err": 0.281}}``."""

TaskUnits = Mapping[str, Mapping[str, str]]
"""Units by task and metric, of the metrics whose unit is the label's: ``{"depth": {"abs_err": "m", "rmse": "m"}}``."""


@dataclass(frozen=True)
class MetricLabel:
    """How a metric is written.

    Attributes:
        title: Short name for people.
        unit: Unit; empty where there is none or it is the label's (:data:`TaskUnits`).
        digits: Digits after the decimal point.
    """

    title: str
    unit: str
    digits: int


@dataclass(frozen=True)
class Metric(MetricLabel):
    """A built-in metric. In percent, it enters :func:`ednas.scoring.accuracy` as a fraction of 1.

    Attributes:
        higher_is_better: Its direction.
        in_paper: Whether it is one of the paper's.
    """

    higher_is_better: bool
    in_paper: bool


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "miou": Metric("mIoU", "%", 2, higher_is_better=True, in_paper=True),
        "pixel_acc": Metric("Pixel acc.", "%", 2, higher_is_better=True, in_paper=True),
        "mean_acc": Metric("Mean class acc.", "%", 2, higher_is_better=True, in_paper=False),
        "abs_err": Metric("Abs. error", "", 4, higher_is_better=False, in_paper=True),
        "rel_err": Metric("Rel. error", "", 4, higher_is_better=False, in_paper=True),
        "rmse": Metric("RMSE", "", 4, higher_is_better=False, in_paper=False),
        "log_rmse": Metric("log RMSE", "", 4, higher_is_better=False, in_paper=False),
        "delta_1": Metric("δ1", "%", 2, higher_is_better=True, in_paper=False),
        "delta_2": Metric("δ2", "%", 2, higher_is_better=True, in_paper=False),
        "delta_3": Metric("δ3", "%", 2, higher_is_better=True, in_paper=False),
        "mean_angle": Metric("Mean angle", "°", 2, higher_is_better=False, in_paper=True),
        "within_11": Metric("< 11.25°", "%", 2, higher_is_better=True, in_paper=True),
        "within_22": Metric("< 22.5°", "%", 2, higher_is_better=True, in_paper=True),
        "within_30": Metric("< 30°", "%", 2, higher_is_better=True, in_paper=True),
        "median_angle": Metric("Median angle", "°", 2, higher_is_better=False, in_paper=False),
    }
)
"""Every built-in metric; ``ednas.tasks.metrics`` defines them."""

NO_NETWORK = "no network (mean label)"
"""What tables call the mean training label of each pixel, which any network must beat."""

MEASURED_ON: Mapping[str, str] = {
    "dataset": "dataset",
    "split": "split",
    "input_size": "input size",
    "tile": "tiles of",
    "overlap": "tiles with an overlap of",
    "samples": "a number of samples of",
    "digest": "images and labels with the digest",
}
"""Keys of a ``metrics.json`` that say what was measured, for people; results that differ in one cannot be compared."""

_OFTEN_ABSENT = ("tile", "overlap")
"""Keys whose absence says something: whole images; that of others, that an earlier version wrote the file."""


def scored_metrics(metrics: Iterable[str]) -> list[str]:
    """Return which metrics of a task make its score: the paper's and those that are not built in.

    Of a task that has none of these, for example one of the user's own with an ``rmse`` alone, all do.

    Example:
        >>> scored_metrics(["abs_err", "rel_err", "rmse", "my_metric"])
        ['abs_err', 'rel_err', 'my_metric']
    """
    names = list(dict.fromkeys(metrics))
    return [name for name in names if name not in METRICS or METRICS[name].in_paper] or names


def direction(metric: str, own: Mapping[str, bool]) -> bool | None:
    """Return whether higher is better; ``own`` are directions of metrics that are not built in, None = not known."""
    return METRICS[metric].higher_is_better if metric in METRICS else own.get(metric)


@dataclass(frozen=True)
class ModelMetrics:
    """Metrics of one model, as a ``metrics.json`` holds them.

    Attributes:
        name: For people.
        protocol: Under which protocol the metrics were measured (``standard`` or ``adashare``).
        tasks: Values by task and metric; percentages in percent, angles in degrees.
        higher_is_better: Directions of the metrics that are not built in; may name built-in ones too.
        units: Units of the metrics whose unit is the label's; may be empty.
        measured_on: On what they were measured, as far as it is known: :data:`MEASURED_ON`.
        by_seed: Where ``tasks`` are means over several trainings, the values of each, by its seed.
    """

    name: str
    protocol: str
    tasks: TaskValues
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    units: TaskUnits = field(default_factory=dict)
    measured_on: Mapping[str, Any] = field(default_factory=dict)
    by_seed: Mapping[int, TaskValues] = field(default_factory=dict)

    @property
    def spread(self) -> TaskValues:
        """Standard deviation of each metric over the seeds that have it (that of a sample); empty for one training."""
        if len(self.by_seed) < 2:
            return {}
        values = {
            task: {
                name: [run[task][name] for run in self.by_seed.values() if name in run.get(task, {})] for name in own
            }
            for task, own in self.tasks.items()
        }
        return {
            task: {name: statistics.stdev(found) for name, found in own.items() if len(found) > 1}
            for task, own in values.items()
        }


def unlike(first: ModelMetrics, second: ModelMetrics) -> str:
    """Say in what two results were not measured alike, data or sizes; empty where they were.

    What is unknown is not compared.
    """
    for key, what in MEASURED_ON.items():
        ours, theirs = first.measured_on.get(key), second.measured_on.get(key)
        if ours != theirs and (key in _OFTEN_ABSENT or None not in (ours, theirs)):
            a, b = ("whole images" if value is None else f"{what} {value!r:.60}" for value in (ours, theirs))
            return f"'{first.name}' was measured on {a}, '{second.name}' on {b}"
    return ""


def load_metrics(path: Path | str, name: str | None = None) -> ModelMetrics:
    """Read a ``metrics.json``.

    Args:
        path: The file, or a folder that holds ``metrics.json``: a checkpoint, a run with one, or the runs of several
            seeds, whose ``summary.json`` beside it has the values of each.
        name: Name of the model; by default the run's folder for a ``metrics.json``, else the file's stem.

    Raises:
        CheckpointError: The file is missing, damaged, or not of the form that ``ednas evaluate`` writes.
    """
    file = Path(path)
    if file.is_dir():
        run = RunFolder(file)
        inner = run.checkpoint.metrics
        file = inner if inner.is_file() and not run.metrics.is_file() else run.metrics
    if RunFolder(file.parent).is_search and not file.exists():
        raise CheckpointError(f"{file.parent}: is a search, whose candidates are in its report; compare trainings")
    value = read_json(file, CheckpointError)
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: holds {type(value).__name__}, expected an object with 'protocol' and 'tasks'")
    protocol = value.get("protocol")
    if not isinstance(protocol, str) or not protocol:
        raise CheckpointError(f'{file}: \'protocol\' is missing; write "standard" or "adashare"')
    directions = value.get("higher_is_better", {})
    if not isinstance(directions, dict) or not all(isinstance(v, bool) for v in directions.values()):
        raise CheckpointError(f"{file}: 'higher_is_better' must map metric names to true or false")
    tasks, units = _tasks_from_json(value.get("tasks"), file), read_units(value.get("units", {}), file)
    measured_on = {key: value[key] for key in MEASURED_ON if value.get(key) is not None}
    return ModelMetrics(
        name or _default_name(file), protocol, tasks, directions, units, measured_on, _read_seeds(file, tasks)
    )


def read_units(value: Any, file: Path | str) -> TaskUnits:
    """Check the ``units`` of a JSON file, and return them.

    Raises:
        CheckpointError: They do not map tasks to metrics to texts; the message names the file.
    """
    tasks = value.values() if isinstance(value, dict) else [None]
    if not all(isinstance(named, dict) and all(isinstance(unit, str) for unit in named.values()) for named in tasks):
        raise CheckpointError(f"{file}: 'units' must map each task to its metrics' units")
    units: TaskUnits = value
    return units


def merge_metrics(parts: Sequence[ModelMetrics], name: str | None = None) -> ModelMetrics:
    """Put single-task results together into one multi-task baseline.

    Args:
        parts: Results of different tasks under one protocol.
        name: Name of the whole; by default the parts' names joined by ``+``.

    Raises:
        CheckpointError: No parts, protocols differ, two parts hold the same task, or they contradict each other about
            the direction of a metric.
    """
    if not parts:
        raise CheckpointError("no metrics to merge; give one file at least")
    tasks: dict[str, Mapping[str, float]] = {}
    owner: dict[str, str] = {}
    directions: dict[str, bool] = {}
    units: dict[str, Mapping[str, str]] = {}
    seeds = set.intersection(*(set(part.by_seed) for part in parts))
    for part in parts:
        check_same_protocol(parts[0], part)
        for task, metrics in part.tasks.items():
            if task in tasks:
                raise CheckpointError(
                    f"task '{task}' is in '{owner[task]}' and in '{part.name}'; give each task of the baseline once"
                )
            tasks[task], owner[task] = metrics, part.name
        directions = merge_directions(directions, part.higher_is_better, part.name)
        units |= part.units
    return ModelMetrics(
        name or "+".join(part.name for part in parts),
        parts[0].protocol,
        tasks,
        directions,
        units,
        parts[0].measured_on,
        {seed: {task: run for part in parts for task, run in part.by_seed[seed].items()} for seed in sorted(seeds)},
    )


def _default_name(file: Path) -> str:
    """Return the name of the run: most folders of metrics are called ``checkpoint``."""
    if file != RunFolder(file.parent).metrics:
        return file.stem
    folder = file.resolve().parent
    return folder.parent.name if folder.name in ("checkpoint", "best") else folder.name


def _read_seeds(file: Path, tasks: TaskValues) -> dict[int, TaskValues]:
    """Read the values of each seed from the ``summary.json`` beside a file, if there is one."""
    run = RunFolder(file.parent)
    if file != run.metrics or not run.summary.is_file():
        return {}
    value = read_json(run.summary, CheckpointError)
    try:
        return {
            int(seed): {
                task: {name: float(value["tasks"][task][name]["values"][place]) for name in metrics}
                for task, metrics in tasks.items()
            }
            for place, seed in enumerate(value["seeds"])
        }
    except (KeyError, IndexError, TypeError, ValueError) as cause:
        raise CheckpointError(f"{run.summary}: damaged ({cause!r:.60}); train or evaluate the runs again") from None


def merge_directions(known: Mapping[str, bool], more: Mapping[str, bool], name: str) -> dict[str, bool]:
    """Put the directions that another model's metrics have to those that are known.

    Raises:
        CheckpointError: They contradict each other; ``name`` says whose ``more`` are.
    """
    for metric, higher in more.items():
        if direction(metric, {metric: higher, **known}) != higher:
            better = "higher" if higher else "lower"
            raise CheckpointError(f"'{name}' says that {better} is better for '{metric}', which is the other way round")
    return {**known, **more}


def check_same_protocol(first: ModelMetrics, second: ModelMetrics) -> None:
    """Refuse results of two protocols, with a :class:`~ednas.exceptions.CheckpointError`."""
    if first.protocol != second.protocol:
        raise CheckpointError(
            f"'{first.name}' was measured under protocol '{first.protocol}' and '{second.name}' under "
            f"'{second.protocol}'; evaluate both under one"
        )


def _tasks_from_json(value: Any, file: Path) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict) or not value:
        raise CheckpointError(f"{file}: 'tasks' must map one task at least to its metrics")
    tasks: dict[str, dict[str, float]] = {}
    for task, metrics in value.items():
        if not isinstance(metrics, dict) or not metrics:
            raise CheckpointError(f"{file}: task '{task}' must map one metric at least to its value")
        for metric, number in metrics.items():
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise CheckpointError(f"{file}: '{task}.{metric}' is {number!r:.40}, expected a number")
        try:
            tasks[task] = {metric: float(number) for metric, number in metrics.items()}
        except OverflowError:
            raise CheckpointError(f"{file}: a value of task '{task}' is too large for a number") from None
    return tasks
