"""What came of a table: the finished trainings of its rows, measured under both protocols, and the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from ednas.exceptions import CheckpointError
from ednas.export.evaluate import evaluate_on
from ednas.export.predictor import open_predictor
from ednas.files import read_json, write_json
from ednas.hw.sources import load_source
from ednas.metrics import MEASURED_ON, ModelMetrics, TaskValues, load_metrics, scored_metrics, unlike
from ednas.report.comparison import ModelCost, TrainedCosts
from ednas.reproduce.claims import Claim, Measured
from ednas.reproduce.finished import Finished
from ednas.reproduce.result import ClaimResult, RowResult, TableResult
from ednas.reproduce.scales import COST_SIZE, TARGET, Scale
from ednas.reproduce.table import NetworkRow, Row, SearchRow, Table
from ednas.runs import RunFolder
from ednas.tasks import EvaluationProtocol
from ednas.training import TrainConfig, load_config

STANDARD, ADASHARE = PROTOCOLS = get_args(EvaluationProtocol)


def measure_missing(
    table: Table, finished: Finished, device: str = "auto", announce: Callable[[str], None] | None = None
) -> None:
    """Measure finished trainings under AdaShare's protocol that were measured under the other one alone.

    Args:
        table: The table.
        finished: Finds the trainings.
        device: Where to measure.
        announce: Called with a line now and then.
    """
    rows = [row for row in table.rows if isinstance(row, Row)]
    runs = [run for row in rows for config in row.trainings for run in finished.trainings(row, config).values()]
    missing = [run for run in {run.path: run for run in runs}.values() if not _is_measured(run)]
    for number, run in enumerate(missing):
        if announce is not None and number % 5 == 0:
            announce(f"{table.name}: measuring under AdaShare's protocol, {number} of {len(missing)} done")
        model = open_predictor(run.checkpoint.path, device)
        write_json(run.adashare, evaluate_on(model, load_config(run.config).data, protocol=ADASHARE))


def _is_measured(run: RunFolder) -> bool:
    """Whether a training was measured under AdaShare's protocol, on the data that it was measured on before."""
    if not run.adashare.is_file():
        return False
    return _read_metrics(run.adashare).get("digest") == _read_metrics(run.checkpoint.metrics).get("digest")


def collect(table: Table, scale: Scale, finished: Finished) -> TableResult:
    """Put together and judge what was measured.

    Args:
        table: The table.
        scale: How large it is.
        finished: Finds what is there.

    Raises:
        CheckpointError: A training is damaged, or some were measured on other data than others.
    """
    costs = TrainedCosts(load_source(TARGET), COST_SIZE)
    measured_on: dict[str, Any] = {}
    devices: set[str] = set()
    rows = tuple(
        _trained(row, finished, costs, measured_on, devices) if isinstance(row, Row) else _untrained(row, finished)
        for row in table.rows
    )
    notes = [*table.notes]
    if scale.note and any(isinstance(row, Row) for row in table.rows):
        notes.append(scale.note)
    if len(devices) > 1:
        notes.append(f"Trained on different devices: {', '.join(sorted(devices))}.")
    return TableResult(
        table=table.name,
        title=table.title,
        scale=scale.name,
        command=f"ednas reproduce {table.name} --scale {scale.name} {scale.options}".rstrip(),
        wanted=table.runs,
        measured_on=measured_on,
        rows=rows,
        claims=tuple(_judge(claim, rows, table.runs) for claim in table.claims),
        notes=tuple(notes),
        versions={name: version(name) for name in ("ednas", "torch")},
    )


def _trained(
    row: Row, finished: Finished, costs: TrainedCosts, measured_on: dict[str, Any], devices: set[str]
) -> RowResult:
    parts = [finished.trainings(row, config) for config in row.trainings]
    seeds = sorted(set.intersection(*(set(part) for part in parts)))
    measured: dict[EvaluationProtocol, dict[int, TaskValues]] = {protocol: {} for protocol in PROTOCOLS}
    for protocol, seed in ((protocol, seed) for protocol in PROTOCOLS for seed in seeds):
        files = [part[seed].checkpoint.metrics if protocol == STANDARD else part[seed].adashare for part in parts]
        if not all(file.is_file() for file in files):
            continue
        found = [_read_metrics(file) for file in files]
        for part, metrics in zip(parts, found, strict=True):
            _check_data(metrics, measured_on, part[seed])
            devices.update([metrics["device"]] if protocol == STANDARD and "device" in metrics else [])
        measured[protocol][seed] = {
            task: {metric: values[metric] for metric in scored_metrics(values)}
            for metrics in found
            for task, values in metrics["tasks"].items()
        }
    cost = _cost([[part[seed] for seed in seeds] for part in parts], costs) if seeds else None
    return _result(row, row.trainings, measured, cost)


def _untrained(row: SearchRow | NetworkRow, finished: Finished) -> RowResult:
    measured = finished.searched(row) if isinstance(row, SearchRow) else finished.timed(row)
    return _result(row, [search.training for search in row.searches], {STANDARD: measured})


def _result(
    row: Row | SearchRow | NetworkRow,
    trainings: Iterable[TrainConfig],
    measured: dict[EvaluationProtocol, dict[int, TaskValues]],
    cost: ModelCost | None = None,
) -> RowResult:
    return RowResult(
        key=row.key,
        title=row.title,
        over=row.over,
        reading=row.reading,
        printed=row.printed,
        trainings=tuple(_settings(config) for config in trainings),
        measured=measured,
        cost=cost,
    )


def _read_metrics(file: Path) -> dict[str, Any]:
    load_metrics(file)  # which says what is wrong with it
    metrics: dict[str, Any] = read_json(file, CheckpointError)
    return metrics


def _check_data(metrics: Mapping[str, Any], known: dict[str, Any], run: RunFolder) -> None:
    """Note what was measured on, and refuse what was measured on something else than the others."""
    own = {key: metrics[key] for key in MEASURED_ON if metrics.get(key) is not None}
    for key, value in own.items():
        known.setdefault(key, value)
    table = ModelMetrics("the table", "", {}, measured_on=known)
    if difference := unlike(table, ModelMetrics(str(run.path), "", {}, measured_on=own)):
        raise CheckpointError(f"{difference}; choose another folder, or train it again")


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return what was trained, without where the data are."""
    return config.model_dump(mode="json", exclude_defaults=True, exclude={"data", "data_options", "seed"})


def _cost(parts: Sequence[Sequence[RunFolder]], costs: TrainedCosts) -> ModelCost:
    first, *others = [costs.mean(part) for part in parts]
    return sum(others, first)


def _judge(claim: Claim, rows: Sequence[RowResult], wanted: int) -> ClaimResult:
    verdicts = {}
    for protocol in PROTOCOLS:
        metrics = {row.key: row.metrics(protocol) for row in rows}
        measured = {}
        for row in rows:
            own, baseline = metrics[row.key], metrics[row.over or row.key]
            if own is not None and baseline is not None:
                measured[row.key] = Measured(own, baseline)
        if {claim.row, claim.than} <= measured.keys():
            verdicts[protocol] = claim.judge(measured, wanted)
    return ClaimResult(
        text=claim.text, printed=claim.printed, reading=claim.reading, effect=claim.effect, verdicts=verdicts
    )
