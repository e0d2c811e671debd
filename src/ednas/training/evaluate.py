"""Measuring a model on a split: the content of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ednas.data.cache import CachedSplit
from ednas.data.loader import eval_batches
from ednas.tasks import EvaluationProtocol
from ednas.training.device import resolve_device
from ednas.training.model import Model


def evaluate(
    model: Model,
    cached: CachedSplit,
    protocol: EvaluationProtocol = "standard",
    *,
    batch_size: int = 16,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure every task of a model on all samples of a split.

    The network is left as it was (training or evaluation mode), so that a run can be measured in the middle.

    Args:
        model: What to measure.
        cached: The split, at the size to measure at.
        protocol: ``standard`` or ``adashare``.
        batch_size: Samples at a time; the result does not depend on it.
        device: Where the network is moved to before; None = where it is.
        progress: Called with (samples done, samples in all).

    Returns:
        ``protocol``, ``tasks`` (values by task and metric), ``higher_is_better`` by metric, ``params``, ``steps``,
        ``seed``, ``input_size``, ``dataset``, ``split`` and ``samples``.

    Raises:
        TrainingError: A prediction is not finite.
        DataError: The split lacks a target, or has no valid label for a task.
        ConfigError: Unknown protocol or device.
    """
    if device is not None:
        model.to(resolve_device(device))
    metrics = {name: task.metrics(protocol) for name, task in model.tasks.items()}
    was_training = model.network.training
    model.network.eval()
    try:
        with torch.inference_mode():
            done = 0
            for batch in eval_batches(cached, batch_size, {task.target for task in model.tasks.values()}, model.device):
                outputs = model.forward(batch["image"])
                for name, task in model.tasks.items():
                    metrics[name].update(outputs[name], batch[task.target])
                done += len(batch["image"])
                if progress is not None:
                    progress(done, len(cached))
    finally:
        model.network.train(was_training)
    return {
        "protocol": protocol,
        "tasks": {name: metric.compute() for name, metric in metrics.items()},
        "higher_is_better": {key: up for metric in metrics.values() for key, up in metric.higher_is_better.items()},
        "params": model.params,
        "steps": model.steps,
        "seed": model.seed,
        "input_size": list(cached.size),
        "dataset": cached.info.name,
        "split": cached.split,
        "samples": len(cached),
    }
