"""The proof that an exported model is the model that was trained: the content of ``check.json``.

Three questions, each with a number for an answer: is the converted float model the network (parity), how much noise do
8 bits add to every output (signal-to-noise ratio), and what is left of the task metrics on validation data. Only the
last one says whether the model is good; where it is not, the layers' signal-to-noise ratios say where that begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from ednas.config import StrictModel
from ednas.data.cache import CachedSplit
from ednas.exceptions import ConfigError, ExportError
from ednas.export.calibration import spread_images
from ednas.export.converter import Floats
from ednas.export.evaluate import evaluate_exported
from ednas.export.layers import LayerSNR, entry_layer, per_layer_snr, snr_db
from ednas.export.manifest import Manifest, Precision
from ednas.export.runtime import Runner, open_model
from ednas.metrics import scored_metrics
from ednas.scoring import metric_gain
from ednas.tasks import EvaluationProtocol
from ednas.training.evaluate import evaluate
from ednas.training.model import Model

Progress = Callable[[str, int, int], None]

PARITY_LIMIT = 1e-3
"""Largest relative error of a float output."""

DROP_LIMIT = 1.0
"""Largest relative loss of a metric, percent."""

_LONGEST_NAME = 120
"""Characters of a layer's name, from its end, in a message."""

_CLEAR_DROP_DB = 6.0
"""A layer that loses so much doubles the amplitude of the noise: it stands out from layers that each add a little."""

_LAYER_IMAGES = 4
"""Images that layers are compared on: every tensor of both models is computed and kept for each."""


class MetricDrop(StrictModel):
    """A metric before and after the export.

    Attributes:
        task: The task.
        metric: The metric.
        before: Its value in PyTorch.
        after: Its value in the exported model.
        drop_percent: The relative change; positive is worse, whether more or less of the metric is better.
        unit: The metric's unit where that is the label's.
    """

    task: str
    metric: str
    before: float
    after: float
    drop_percent: float
    unit: str = ""


class MetricsCheck(StrictModel):
    """The task metrics before and after the export.

    Attributes:
        protocol: How they were measured.
        dataset: On which dataset,
        split: on which split of it,
        samples: and on how many samples.
        drops: Every metric of the paper's or the user's own (:func:`ednas.metrics.scored_metrics`).
    """

    protocol: str
    dataset: str
    split: str
    samples: int
    drops: tuple[MetricDrop, ...]


class CheckReport(StrictModel):
    """Content of ``check.json``.

    Attributes:
        format: Version of the report.
        model: Name of the model.
        runtime: Its format.
        precision: ``float32`` or ``int8``.
        images: Images that parity and noise were measured on.
        real_images: Whether they are from data; else they are noise.
        parity: By task, the largest error of the float model against PyTorch, relative to the largest value (class ids:
            the share of pixels that differ).
        parity_limit: What it may be.
        snr_db: By task, signal-to-noise ratio of the int8 model's output against the float model's, dB; empty for a
            float model, and without outputs that are class ids.
        layers: Layers of the int8 model in the order of the graph; empty for a float model.
        metrics: None if there was no data.
        record: The metrics of the checkpoint's own record (its ``metrics.json``, at the size that it was trained at)
            before, and those of the exported model after; None where they are not of the same data.
        not_compared: Why there is no comparison with the record; empty if there is one, or no data.
        worst: The metric that loses most.
        drop_limit_percent: What a metric may lose.
        passed: Whether the model is good.
        failures: What is not good, one line each.
    """

    format: Literal[1] = 1
    model: str
    runtime: str
    precision: Precision
    images: int
    real_images: bool
    parity: dict[str, float]
    parity_limit: float
    snr_db: dict[str, float]
    layers: tuple[LayerSNR, ...]
    metrics: MetricsCheck | None
    record: MetricsCheck | None = None
    not_compared: str = ""
    worst: MetricDrop | None
    drop_limit_percent: float
    passed: bool
    failures: tuple[str, ...]

    @property
    def loses_too_much(self) -> bool:
        """Whether a metric loses more than it may."""
        return self.worst is not None and self.worst.drop_percent > self.drop_limit_percent


def check(
    model: Model,
    deployed: nn.Module,
    path: Path | str,
    *,
    float_path: Path | str | None = None,
    cached: CachedSplit | None = None,
    protocol: EvaluationProtocol = "standard",
    record: Mapping[str, Any] | None = None,
    not_compared: str = "",
    images: int = 16,
    parity_limit: float = PARITY_LIMIT,
    drop_limit_percent: float = DROP_LIMIT,
    progress: Progress | None = None,
) -> CheckReport:
    """Check an exported model against the network that it comes from.

    Args:
        model: Whose metrics are those before the export: the trained model, also where ``deployed`` is a fine-tuned
            copy of it.
        deployed: What was converted; maps a normalised image ``(N, 3, H, W)`` to the tuple of outputs, in the order of
            the manifest's tasks.
        path: The exported model.
        float_path: The float model that it was quantised from; None if it is one.
        cached: Validation data at the model's input size. Without it the check cannot pass.
        protocol: Of the metrics.
        record: The checkpoint's ``metrics.json``, where it is of these data; a model that was exported at another size
            than it was trained at may compute what PyTorch does there, and be useless.
        not_compared: Why there is no such record.
        images: How many images to measure parity and noise on, from the data, or else of noise.
        parity_limit: Largest relative error of a float output.
        drop_limit_percent: Largest relative loss of a metric.
        progress: Called with (what is measured, samples done, samples in all).

    Raises:
        ConfigError: A limit or the number of images is out of range, or the protocol is unknown.
        ExportError: A model cannot be opened or run, an int8 model comes without its float model, or the data have
            another size.
        DataError: The data lack a target.
        TrainingError: A prediction is not finite.
    """
    if images < 1 or not parity_limit > 0 or not drop_limit_percent >= 0:
        raise ConfigError("the check needs at least 1 image, a parity limit above 0 and a drop limit of at least 0 %")
    runner = open_model(path)
    manifest = runner.manifest
    if manifest.precision == "int8" and float_path is None:
        raise ExportError(f"{path}: is quantised; the check needs the float model that it was made from too")
    pictures = _pictures(manifest, cached, images)
    exact = runner if float_path is None else open_model(float_path)
    expected = exact.run(pictures)
    errors = parity(_predict(deployed, manifest, pictures), expected, manifest)
    noise: dict[str, float] = {}
    layers: tuple[LayerSNR, ...] = ()
    if float_path is not None:
        found = runner.run(pictures)
        noise = {task: snr_db(expected[task], found[task]) for task in found if not _is_ids(manifest, task)}
        layers = per_layer_snr(Path(float_path), Path(path), pictures[:_LAYER_IMAGES])
    metrics = None if cached is None else compare_metrics(model, runner, cached, protocol, progress=progress)
    lost = [drop for drop in metrics.drops if drop.drop_percent > drop_limit_percent] if metrics else []
    in_float: tuple[MetricDrop, ...] = ()
    if lost and cached is not None and float_path is not None:
        in_float = compare_metrics(model, exact, cached, protocol, progress=progress).drops
    recorded = None if metrics is None or record is None else _compare_record(record, metrics)
    already = {(drop.task, drop.metric) for drop in lost}
    failures = (
        *_parity_failures(errors, parity_limit),
        *([] if metrics else ["no validation data: the task metrics were not measured; give the data with --data"]),
        *[_metric_failure(drop, drop_limit_percent, layers, in_float) for drop in lost],
        *[
            _record_failure(drop, drop_limit_percent, record or {}, manifest)
            for drop in (recorded.drops if recorded else ())
            if drop.drop_percent > drop_limit_percent and (drop.task, drop.metric) not in already
        ],
    )
    return CheckReport(
        model=manifest.name,
        runtime=manifest.runtime,
        precision=manifest.precision,
        images=len(pictures),
        real_images=cached is not None,
        parity=errors,
        parity_limit=parity_limit,
        snr_db=noise,
        layers=layers,
        metrics=metrics,
        record=recorded,
        not_compared="" if metrics is None or recorded else not_compared or "the checkpoint holds no metrics",
        worst=None if metrics is None else max(metrics.drops, key=lambda drop: drop.drop_percent),
        drop_limit_percent=drop_limit_percent,
        passed=not failures,
        failures=failures,
    )


def parity(expected: Mapping[str, Floats], found: Mapping[str, Floats], manifest: Manifest) -> dict[str, float]:
    """Compare outputs with the right ones.

    Args:
        expected: By task, ``(N, C, h, w)``.
        found: The same of the model to check.
        manifest: What the outputs are.

    Returns:
        By task, the largest error relative to the largest value; infinite where a value is not finite. Of class ids,
        the share of pixels that differ.
    """
    return {
        task: _share(expected[task], found[task]) if _is_ids(manifest, task) else _error(expected[task], found[task])
        for task in found
    }


def compare_metrics(
    model: Model,
    runner: Runner,
    cached: CachedSplit,
    protocol: EvaluationProtocol = "standard",
    *,
    progress: Progress | None = None,
) -> MetricsCheck:
    """Measure a model in PyTorch and exported on the same data; arguments and errors as in :func:`check`."""

    def of(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    after = evaluate_exported(runner, cached, protocol, progress=of(runner.manifest.precision))
    before = evaluate(model, cached, protocol, progress=of("PyTorch"))
    return MetricsCheck(
        protocol=protocol,
        dataset=after["dataset"],
        split=after["split"],
        samples=after["samples"],
        drops=metric_drops(before, after),
    )


def _compare_record(record: Mapping[str, Any], metrics: MetricsCheck) -> MetricsCheck:
    """Put the values of a checkpoint's record before those of the exported model."""
    drops = []
    for drop in metrics.drops:
        value = record["tasks"].get(drop.task, {}).get(drop.metric)
        if value is not None:
            worse = _drop(value, drop.after, record["higher_is_better"][drop.metric])
            drops.append(drop.model_copy(update={"before": value, "drop_percent": worse}))
    return metrics.model_copy(update={"drops": tuple(drops)})


def metric_drops(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[MetricDrop, ...]:
    """Compare two results of an evaluation, metric by metric, as far as they are scored.

    Args:
        before: From :func:`ednas.training.evaluate`.
        after: The same, of the exported model; has the same tasks and metrics.
    """
    return tuple(
        MetricDrop(
            task=task,
            metric=metric,
            before=values[metric],
            after=after["tasks"][task][metric],
            drop_percent=_drop(values[metric], after["tasks"][task][metric], before["higher_is_better"][metric]),
            unit=before["units"].get(task, {}).get(metric, ""),
        )
        for task, values in before["tasks"].items()
        for metric in scored_metrics(values)
    )


def _drop(before: float, after: float, higher_is_better: bool) -> float:
    if before <= 0:  # nothing is relative to 0: either nothing is lost, or all
        return 100.0 if not higher_is_better and after > before else 0.0
    return -metric_gain(after, before, higher_is_better=higher_is_better)


def _pictures(manifest: Manifest, cached: CachedSplit | None, count: int) -> Floats:
    """Return normalised images ``(N, H, W, 3)``: samples spread over a split, or else noise."""
    if cached is None:
        return np.random.default_rng(0).standard_normal((count, *manifest.input_size, 3), np.float32)
    return spread_images(cached, count, manifest.normalisation)


def _predict(deployed: nn.Module, manifest: Manifest, pictures: Floats) -> dict[str, Floats]:
    device = next(deployed.parameters()).device
    with torch.inference_mode():
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device)
        outputs = [deployed(image[None]) for image in images]
    stacked = [torch.cat(parts).float().cpu().numpy() for parts in zip(*outputs, strict=True)]
    planes = [values[:, None] if values.ndim == 3 else values for values in stacked]
    return dict(zip(manifest.tasks, planes, strict=True))


def _is_ids(manifest: Manifest, task: str) -> bool:
    return manifest.outputs[task].decoding.kind == "class_ids"


def _share(expected: Floats, found: Floats) -> float:
    return float((expected != found).mean())


def _error(expected: Floats, found: Floats) -> float:
    largest, error = float(np.abs(expected).max()), float(np.abs(found - expected).max())
    if not np.isfinite(error):
        return float("inf")
    return error / largest if largest > 0 else error


def _parity_failures(errors: Mapping[str, float], limit: float) -> list[str]:
    return [
        f"{task}: the float model differs from PyTorch by {error:.2g} of the largest value, at most {limit:g} is right"
        for task, error in errors.items()
        if not error <= limit
    ]


def _record_failure(drop: MetricDrop, limit: float, record: Mapping[str, Any], manifest: Manifest) -> str:
    trained, exported = (f"{height}x{width}" for height, width in (record["input_size"], manifest.input_size))
    worse = f"{drop.drop_percent:.2f} % worse, at most {limit:g} % is allowed"
    return (
        f"{drop.task}: {drop.metric} is {drop.before:.4g} in the checkpoint's own record, at {trained}, and "
        f"{drop.after:.4g} here, at {exported}: {worse}; export at {trained}, or train at {exported}"
    )


def _metric_failure(
    drop: MetricDrop, limit: float, layers: tuple[LayerSNR, ...], in_float: tuple[MetricDrop, ...]
) -> str:
    """Say what is lost and where: ``in_float`` are the metrics of the float model."""
    lost = f"{drop.task}: {drop.metric} {drop.before:.4g} becomes {drop.after:.4g}, {drop.drop_percent:.2f} % worse"
    lost += f", at most {limit:g} % is allowed"
    layer = entry_layer(layers, drop.task)
    before = [same.drop_percent for same in in_float if (same.task, same.metric) == (drop.task, drop.metric)]
    if layer is None or max(before, default=0.0) > drop.drop_percent / 2:
        share = f"{before[0]:.2f} % of it" if before else "all of it"
        return f"{lost}; the float model loses {share}: by its output's size, or an argmax before it is enlarged"
    where = f"{layer.op} {layer.name[-_LONGEST_NAME:]} ({layer.snr_db:.1f} dB, {layer.drop_db:.1f} dB below its input)"
    if layer.drop_db < _CLEAR_DROP_DB:
        return f"{lost}; the noise adds up over the layers, most at {where}"
    return f"{lost}; the error enters at {where}"
