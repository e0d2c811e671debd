"""Measuring a model on a split: the content of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from ednas.data.cache import CachedSplit
from ednas.data.loader import eval_batches
from ednas.data.matching import match_labels
from ednas.tasks import EvaluationProtocol, Task
from ednas.training.device import resolve_device
from ednas.training.model import Model
from ednas.training.tiles import Forward, Tiling, forward_tiles


def evaluate(
    model: Model,
    cached: CachedSplit,
    protocol: EvaluationProtocol = "standard",
    *,
    tiling: Tiling | None = None,
    batch_size: int = 16,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure every task of a model on all samples of a split.

    The network is left as it was (training or evaluation mode), so that a run can be measured in the middle.

    Args:
        model: What to measure.
        cached: The split, at the size to measure at; its labels are matched to what the model predicts
            (:func:`ednas.data.matching.match_labels`).
        protocol: ``standard`` or ``adashare``.
        tiling: Predict in overlapping windows instead of whole images.
        batch_size: Samples, or windows of one sample, at a time; the result does not depend on it.
        device: Where the network is moved to before; None = where it is.
        progress: Called with (samples done, samples in all).

    Returns:
        What :func:`measure` returns, and the model's ``params``, ``steps`` and ``seed``.

    Raises:
        TrainingError: A prediction is not finite.
        DataError: The split lacks a target, has another one than the model predicts, or has no valid label for a task.
        ConfigError: Unknown protocol or device.
    """
    if device is not None:
        model.to(resolve_device(device))
    was_training = model.network.training
    model.network.eval()
    try:
        result = measure(
            model.tasks,
            model.forward,
            match_labels(cached, model.targets),
            protocol,
            tiling=tiling,
            batch_size=batch_size,
            device=model.device,
            progress=progress,
        )
    finally:
        model.network.train(was_training)
    return {**result, "params": model.params, "steps": model.steps, "seed": model.seed}


def measure(
    tasks: Mapping[str, Task],
    forward: Forward,
    cached: CachedSplit,
    protocol: EvaluationProtocol = "standard",
    *,
    tiling: Tiling | None = None,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure whatever predicts every task on all samples of a split; all metrics of all models come from here.

    Args:
        tasks: What is predicted, by name.
        forward: Maps images ``(N, 3, H, W)`` in [0, 1] to the raw output of every task, ``(N, C, H, W)``.
        cached: The split, at the size to measure at.
        protocol: ``standard`` or ``adashare``.
        tiling: Predict in overlapping windows instead of whole images.
        batch_size: Samples, or windows of one sample, at a time; the result does not depend on it.
        device: Where the images and the labels are put.
        progress: Called with (samples done, samples in all).

    Returns:
        ``protocol``, ``tasks`` (values by task and metric), ``higher_is_better`` by metric, ``units`` by task and
        metric, ``remarks`` (lines on what the metrics do not tell), ``input_size``, ``dataset``, ``split``,
        ``samples``, ``digest`` (of the split's content at this size), and of tasks with classes ``classes`` (values by
        task, class and metric) and ``confusion`` (a matrix by task; rows are labels); with ``tiling`` its ``tile`` and
        ``overlap`` too.

    Raises:
        TrainingError: A prediction is not finite.
        DataError: The split lacks a target, or has no valid label for a task.
        ConfigError: Unknown protocol.
    """
    metrics = {name: task.metrics(protocol) for name, task in tasks.items()}
    if tiling is not None:
        forward, batch_size = partial(forward_tiles, forward, tiling=tiling, batch_size=batch_size), 1
    done = 0
    with torch.inference_mode():
        for batch in eval_batches(cached, batch_size, {task.target for task in tasks.values()}, device):
            outputs = forward(batch["image"])
            for name, task in tasks.items():
                metrics[name].update(outputs[name], batch[task.target])
            done += len(batch["image"])
            if progress is not None:
                progress(done, len(cached))
    return {
        "protocol": protocol,
        "tasks": {name: metric.compute() for name, metric in metrics.items()},
        "higher_is_better": {key: up for metric in metrics.values() for key, up in metric.higher_is_better.items()},
        "units": {name: dict(metric.units) for name, metric in metrics.items() if metric.units},
        "remarks": [f"{name}: {remark}" for name, metric in metrics.items() if (remark := metric.remark())],
        "input_size": list(cached.size),
        "dataset": cached.info.name,
        "split": cached.split,
        "samples": len(cached),
        "digest": cached.digest,
        "classes": {name: classes for name, metric in metrics.items() if (classes := metric.classes())},
        "confusion": {name: matrix for name, metric in metrics.items() if (matrix := metric.confusion())},
        **({} if tiling is None else {"tile": list(tiling.size), "overlap": tiling.overlap}),
    }
