"""Measuring a checkpoint or an exported model on a split, both by the same code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ednas.data.cache import CachedSplit, find_cache, open_cache
from ednas.data.complaints import read_first
from ednas.data.formats import open_as_trained
from ednas.data.matching import check_meaning, match_labels
from ednas.data.reader import check_labels
from ednas.data.units import mean_depths, other_scales
from ednas.exceptions import EdnasError
from ednas.export.predictor import ExportedModel
from ednas.export.runtime import Runner
from ednas.tasks import EvaluationProtocol
from ednas.training.checkpoint import trained_depths
from ednas.training.evaluate import evaluate, measure
from ednas.training.model import Model
from ednas.training.tiles import Tiling
from ednas.training.trivial import measure_trivial


def evaluate_on(
    model: Model | ExportedModel,
    data: str,
    *,
    split: str = "val",
    protocol: EvaluationProtocol = "standard",
    data_options: Mapping[str, Any] | None = None,
    input_size: tuple[int, int] | None = None,
    tiling: Tiling | None = None,
    recorded: Path | None = None,
    decode_progress: Callable[[int, int], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure a network or an exported model on a dataset, which it need not have been trained on.

    Where the training split is at hand, decoded before, its mean label of each pixel is measured too (``trivial``).

    Args:
        model: What to measure.
        data: The dataset.
        split: Its split.
        protocol: ``standard`` or ``adashare``.
        data_options: Options of its format, besides those of the training.
        input_size: ``(H, W)``; by default the model's, with ``tiling`` that of the first image.
        tiling: Predict in overlapping windows.
        recorded: The network's checkpoint: depths at another scale than it was trained on are announced.
        decode_progress: Called with samples done and in all while the dataset is decoded.
        progress: Called with (samples done, samples in all).
        announce: Called with a line about each oddity.

    Raises:
        DataError: The dataset is missing or damaged, or its targets mean something else than the model predicts.
        EdnasError: As :func:`evaluate_exported` and :func:`ednas.training.evaluate`.
    """
    about = model.runner.manifest if isinstance(model, ExportedModel) else model
    own = data_options or {}
    open_split = partial(open_as_trained, data, trained_on=about.dataset, trained_with=about.data_options, options=own)
    dataset = open_split(split=split)
    check_meaning(dataset.info, about.targets)
    check_labels(dataset, about.targets)
    if input_size is None:
        input_size = about.input_size if tiling is None else read_first(dataset).image.shape[:2]
    cached = match_labels(open_cache(dataset, input_size, progress=decode_progress), about.targets)
    if isinstance(model, ExportedModel):
        metrics = evaluate_exported(model.runner, cached, protocol, tiling=tiling, progress=progress)
    else:
        if recorded is not None and announce is not None:
            for remark in other_scales(trained_depths(recorded), mean_depths(cached)):
                announce(f"warning: {remark}")
        metrics = evaluate(model, cached, protocol, tiling=tiling, progress=progress)
    with suppress(EdnasError):  # there need not be one
        if train_split := find_cache(open_split(split="train"), cached.size):
            metrics["trivial"] = measure_trivial(
                model.tasks, match_labels(train_split, about.targets), cached, protocol
            )
    return metrics


def evaluate_exported(
    runner: Runner,
    cached: CachedSplit,
    protocol: EvaluationProtocol = "standard",
    *,
    tiling: Tiling | None = None,
    batch_size: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure every task of an exported model on all samples of a split.

    Outputs are brought to the input's size as the network's own (:class:`~ednas.export.predictor.ExportedModel`), so
    that the numbers are comparable with the checkpoint's under both protocols.

    Args:
        runner: What to measure.
        cached: The split, at the model's input size; with ``tiling`` at least as large.
        protocol: ``standard`` or ``adashare``.
        tiling: Predict in overlapping windows, which have the model's input size.
        batch_size: Samples, or windows of one sample, at a time; the result does not depend on it.
        progress: Called with (samples done, samples in all).

    Returns:
        What :func:`ednas.training.evaluate.measure` returns, and the model's name (``model``), ``runtime``,
        ``precision`` and ``output_stride``.

    Raises:
        ExportError: The split or its windows have another size than the model's input, or the model cannot be run.
        TrainingError: A prediction is not finite.
        DataError: The split lacks a target, has another one than the model predicts, or has no valid label for a task.
        ConfigError: Unknown protocol or task.
    """
    model, manifest = ExportedModel(runner), runner.manifest
    matched = match_labels(cached, manifest.targets)
    result = measure(
        model.tasks, model.forward, matched, protocol, tiling=tiling, batch_size=batch_size, progress=progress
    )
    return {
        **result,
        "model": manifest.name,
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "output_stride": manifest.output_stride,
    }
