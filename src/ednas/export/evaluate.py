"""Measuring an exported model on a split, by the code that measures PyTorch models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ednas.data.cache import CachedSplit
from ednas.data.matching import match_labels
from ednas.export.predictor import ExportedModel
from ednas.export.runtime import Runner
from ednas.tasks import EvaluationProtocol
from ednas.training.evaluate import measure
from ednas.training.tiles import Tiling


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
