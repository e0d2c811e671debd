"""Models against a baseline as one table: put together from metrics, written to and read from ``comparison.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ednas import scoring
from ednas.exceptions import CheckpointError
from ednas.files import read_json, write_json
from ednas.metrics import ModelMetrics, TaskValues, read_units
from ednas.report.content import ComparisonTable, ModelRow
from ednas.runs import RunFolder
from ednas.scoring import Comparison

if TYPE_CHECKING:
    from ednas.hw.sources import Source
    from ednas.training import Model

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class ModelCost:
    """What a model costs; None where it was not measured.

    Attributes:
        latency_ms: Latency on the target device, milliseconds.
        params: Parameters, in all.
        params_shared: Those that more than one task's predictions depend on.
        macs: Multiply-accumulates of one image, all tasks together; a multiply-accumulate is two operations.
        runs: Networks that run for that, one after the other.
        training_seconds: Processor seconds of a training.
    """

    latency_ms: float | None = None
    params: int | None = None
    params_shared: int | None = None
    macs: int | None = None
    runs: int | None = None
    training_seconds: float | None = None

    def __add__(self, other: ModelCost) -> ModelCost:
        """Return the cost of two models that run one after the other; None where one of them is not known."""
        return ModelCost(*map(_sum, astuple(self), astuple(other)))


def cost_of(model: Model, source: Source, input_size: tuple[int, int]) -> ModelCost:
    """Return what a model costs on a device, at a size ``(H, W)``.

    Raises:
        EdnasError: It cannot be run there.
    """
    from ednas.hw import count_shared, summarise

    heads = {task: made.channels for task, made in model.tasks.items()}
    counts = summarise(model.architecture, heads, input_size)
    latency = source.network_cost(model.architecture, heads, input_size).latency_ms
    shared = count_shared(model.architecture, heads)
    return ModelCost(latency, counts.params, shared, counts.macs, runs=1)


class TrainedCosts:
    """What networks cost that were trained, as a mean over their seeds; equal networks are estimated once.

    Args:
        source: The device.
        input_size: ``(H, W)`` on it; None = that of the training.
    """

    def __init__(self, source: Source, input_size: tuple[int, int] | None) -> None:
        self._source = source
        self._size = input_size
        self._known: dict[str, ModelCost] = {}

    def mean(self, runs: Sequence[RunFolder]) -> ModelCost:
        """Return the mean cost of finished trainings: what tasks share may be learned, and be another in each.

        Raises:
            EdnasError: A checkpoint is damaged, or its network cannot be run on the device.
        """
        return mean_cost([self._cost(run) for run in runs])

    def _cost(self, run: RunFolder) -> ModelCost:
        from ednas.training import load_checkpoint
        from ednas.training.jobs import training_seconds

        model = load_checkpoint(run.checkpoint.path)
        key = f"{model.architecture.fingerprint()} {','.join(model.tasks)}"
        if key not in self._known:
            self._known[key] = cost_of(model, self._source, self._size or model.input_size)
        return replace(self._known[key], training_seconds=training_seconds(run))


def mean_cost(costs: Sequence[ModelCost]) -> ModelCost:
    """Return the mean of what models cost; None where it is not known of all."""
    first, *others = costs
    total = asdict(sum(others, first))
    means = {name: None if value is None else value / len(costs) for name, value in total.items()}
    return ModelCost(**_counted(means))


def _counted(values: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the fields of a cost, of which some are whole numbers."""
    whole = {"params", "params_shared", "macs", "runs"}
    return {name: round(value) if name in whole and value is not None else value for name, value in values.items()}


def _sum(first: Number | None, second: Number | None) -> Number | None:
    return None if first is None or second is None else first + second


def tabulate(
    baseline: ModelMetrics,
    models: Sequence[ModelMetrics],
    comparison: Comparison | None = None,
    *,
    costs: Mapping[str, ModelCost] | None = None,
    spread: Mapping[str, TaskValues] | None = None,
) -> ComparisonTable:
    """Put metrics and relative gains side by side.

    Args:
        baseline: The baseline; it makes the first row.
        models: The models.
        comparison: Their gains in the same order, from :func:`ednas.scoring.compare`; computed where it is missing.
        costs: Costs by model name.
        spread: Standard deviations over seeds, by model name; None = those that the metrics bring along.

    Raises:
        CheckpointError: The models cannot be compared with the baseline.
    """
    comparison = comparison or scoring.compare(baseline, models)
    everyone = (baseline, *models)
    spread = spread or {model.name: model.spread for model in everyone}
    compared = list(comparison.models[0].tasks) if comparison.models else list(baseline.tasks)

    def row(model: ModelMetrics) -> ModelRow:
        cost = (costs or {}).get(model.name, ModelCost())
        return ModelRow(model.name, model.tasks, spread.get(model.name, {}), **asdict(cost))

    rows = [row(baseline)]
    for model, gain in zip(models, comparison.models, strict=True):
        deltas = {task: task_gain.delta for task, task_gain in gain.tasks.items()}
        metrics = {task: dict(task_gain.metrics) for task, task_gain in gain.tasks.items()}
        rows.append(replace(row(model), delta=gain.delta, task_deltas=deltas, metric_deltas=metrics))
    directions = {name: up for model in everyone for name, up in model.higher_is_better.items()}
    return ComparisonTable(
        models=tuple(rows),
        metrics={task: tuple(dict.fromkeys(name for one in everyone for name in one.tasks[task])) for task in compared},
        higher_is_better=directions,
        units={task: units for model in everyone for task, units in model.units.items()},
        baseline=baseline.name,
        protocol=baseline.protocol,
    )


def save_comparison(table: ComparisonTable, path: Path | str) -> None:
    """Write ``comparison.json``: what ``ednas compare --format json`` prints, with values and costs beside the gains.

    Raises:
        EdnasError: The file cannot be written.
    """
    models = []
    for model in table.models:
        tasks = {
            task: {"delta": model.task_deltas.get(task), "metrics": dict(gains)}
            for task, gains in model.metric_deltas.items()
        }
        entry = {"name": model.name, "delta": model.delta, "tasks": tasks, "values": _plain(model.values)}
        if model.spread:
            entry["spread"] = _plain(model.spread)
        costs = {field.name: getattr(model, field.name) for field in fields(ModelCost)}
        models.append(entry | {key: value for key, value in costs.items() if value is not None})
    head = {
        "baseline": table.baseline,
        "protocol": table.protocol,
        "higher_is_better": dict(table.higher_is_better),
        "units": {task: dict(units) for task, units in table.units.items()},
    }
    write_json(path, {**head, "models": models})


def load_comparison(path: Path | str) -> ComparisonTable:
    """Read ``comparison.json``, also one that ``ednas compare --format json`` printed (gains alone).

    Raises:
        CheckpointError: The file is missing, damaged or of another form.
    """
    value = read_json(path, CheckpointError)
    models = value.get("models") if isinstance(value, dict) else None
    if not isinstance(models, list):
        raise CheckpointError(f"{path}: must hold a list 'models', as `ednas compare --format json` prints")
    rows = tuple(_read_row(model, f"{path}: model {number}") for number, model in enumerate(models, start=1))
    metrics: dict[str, dict[str, None]] = {}
    for row in rows:
        for values in (row.values, row.metric_deltas):
            for task, named in values.items():
                metrics.setdefault(task, {}).update(dict.fromkeys(named))
    directions = value.get("higher_is_better", {})
    if not isinstance(directions, dict) or not all(isinstance(up, bool) for up in directions.values()):
        raise CheckpointError(f"{path}: 'higher_is_better' must map metric names to true or false")
    return ComparisonTable(
        models=rows,
        metrics={task: tuple(names) for task, names in metrics.items()},
        higher_is_better=directions,
        units=read_units(value.get("units", {}), path),
        baseline=_text(value.get("baseline", ""), f"{path}: 'baseline'"),
        protocol=_text(value.get("protocol", ""), f"{path}: 'protocol'"),
    )


def _read_row(value: Any, where: str) -> ModelRow:
    if not isinstance(value, dict):
        raise CheckpointError(f"{where}: must be an object")
    tasks = value.get("tasks", {})
    if not isinstance(tasks, dict) or not all(isinstance(gain, dict) for gain in tasks.values()):
        raise CheckpointError(f"{where}: 'tasks' must map each task to its gains")
    gains = {task: gain.get("metrics", {}) for task, gain in tasks.items()}
    deltas = {task: _number(gain.get("delta"), f"{where}: delta of '{task}'") for task, gain in tasks.items()}
    costs = {field.name: _number(value.get(field.name), f"{where}: '{field.name}'") for field in fields(ModelCost)}
    return ModelRow(
        name=_text(value.get("name"), f"{where}: 'name'"),
        values=_values(value.get("values", {}), f"{where}: 'values'"),
        spread=_values(value.get("spread", {}), f"{where}: 'spread'"),
        delta=_number(value.get("delta"), f"{where}: 'delta'"),
        task_deltas={task: delta for task, delta in deltas.items() if delta is not None},
        metric_deltas=_values(gains, f"{where}: 'tasks'"),
        **_counted(costs),
    )


def _values(value: Any, where: str) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict) or not all(isinstance(metrics, dict) for metrics in value.values()):
        raise CheckpointError(f"{where} must map each task to its metrics")
    values: dict[str, dict[str, float]] = {}
    for task, metrics in value.items():
        numbers = {metric: _number(number, f"{where}: '{task}.{metric}'") for metric, number in metrics.items()}
        values[task] = {metric: number for metric, number in numbers.items() if number is not None}
    return values


def _number(value: Any, where: str) -> float | None:
    """Return a finite number, or None for null and for what is not finite."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CheckpointError(f"{where} is {value!r:.40}, expected a number")
    return float(value) if math.isfinite(value) else None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise CheckpointError(f"{where} is {value!r:.40}, expected a text")
    return value


def _plain(values: TaskValues) -> dict[str, dict[str, float]]:
    return {task: dict(metrics) for task, metrics in values.items()}
