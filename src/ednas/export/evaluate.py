"""Measuring an exported model on a split, by the code that measures PyTorch models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.data.cache import CachedSplit
from ednas.data.matching import match_labels
from ednas.exceptions import ExportError
from ednas.export.manifest import Manifest, OutputSpec
from ednas.export.runtime import Runner
from ednas.nn.heads import resize_bilinear
from ednas.tasks import EvaluationProtocol, make_tasks
from ednas.training.evaluate import measure
from ednas.training.model import normalise
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

    Outputs are brought to the input's size as :class:`~ednas.nn.MultiTaskNetwork` brings its own, bilinearly, so that
    the numbers are comparable with the checkpoint's under both protocols. Class ids, which an argmax in the model
    leaves, take the value of the nearest pixel.

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
    manifest = runner.manifest
    size = cached.size if tiling is None else tiling.window(cached.size)
    if size != manifest.input_size:
        found, expected = (f"{height}x{width}" for height, width in (size, manifest.input_size))
        raise ExportError(
            f"{manifest.name}: takes images of {expected} alone, not {found}; open the data at {expected}, "
            f"or larger in tiles of {expected}"
        )

    def forward(image: Tensor) -> dict[str, Tensor]:
        outputs = runner.run(normalised(image, manifest))
        return {
            task: _network_output(torch.from_numpy(np.ascontiguousarray(outputs[task])), spec, manifest.input_size)
            for task, spec in manifest.outputs.items()
        }

    tasks = make_tasks(manifest.tasks, manifest.targets, manifest.task_options)
    matched = match_labels(cached, manifest.targets)
    result = measure(tasks, forward, matched, protocol, tiling=tiling, batch_size=batch_size, progress=progress)
    return {
        **result,
        "model": manifest.name,
        "runtime": manifest.runtime,
        "precision": manifest.precision,
        "output_stride": manifest.output_stride,
    }


def normalised(image: Tensor, manifest: Manifest) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Turn images ``(N, 3, H, W)`` in [0, 1] into those that :meth:`Runner.run` takes, ``(N, H, W, 3)``."""
    return normalise(image, manifest.normalisation).permute(0, 2, 3, 1).numpy()


def _network_output(values: Tensor, spec: OutputSpec, size: tuple[int, int]) -> Tensor:
    """Return what the network in PyTorch would have put out, ``(N, C, *size)``; classes score 1 where they are."""
    if spec.decoding.kind != "class_ids":
        return resize_bilinear(values, size)
    ids = F.interpolate(values, size=list(size), mode="nearest")[:, 0].long()
    return F.one_hot(ids, spec.decoding.channels).movedim(-1, 1).float()
