"""Is it better than nothing? The mean training label of each pixel, without a network, is what any network must beat.

For classes the mean is the most frequent class. What it is for a task the task says
(:meth:`ednas.tasks.Task.trivial`); a task that does not say is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ednas.data.cache import CachedSplit
from ednas.data.loader import load_samples
from ednas.exceptions import ConfigError
from ednas.metrics import scored_metrics
from ednas.tasks import EvaluationProtocol, Task
from ednas.training.evaluate import measure

MAX_SAMPLES = 1000
"""Training samples that the mean is taken over at most; more, evenly spaced, hardly change it."""

_BATCH = 16


def measure_trivial(
    tasks: Mapping[str, Task],
    train: CachedSplit,
    evaluated: CachedSplit,
    protocol: EvaluationProtocol = "standard",
    *,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Measure the mean training label of each pixel as :func:`ednas.training.evaluate.measure` measures a network.

    Args:
        tasks: The tasks by name.
        train: Where the labels are averaged, over :data:`MAX_SAMPLES` samples at most.
        evaluated: The split to measure on.
        protocol: ``standard`` or ``adashare``.
        device: Where the metrics are computed.

    Returns:
        ``tasks`` (values by task and metric) and ``samples``, how many were averaged. A task whose
        :meth:`~ednas.tasks.Task.trivial` gives None, as without a label in ``train``, is not among ``tasks``.

    Raises:
        ConfigError: A task of the user's own gives output of another shape, or unknown protocol.
        DataError: A split lacks a target, or ``evaluated`` has no valid label for a task.
    """
    indices = np.linspace(0, len(train) - 1, min(len(train), MAX_SAMPLES)).round().astype(int).tolist()
    outputs: dict[str, Tensor] = {}
    for name, task in tasks.items():
        output = task.trivial(_targets(train, indices, task.target))
        if output is None:
            continue
        if output.dim() != 4 or output.shape[:2] != (1, task.channels):
            raise ConfigError(
                f"task '{name}': trivial() gives shape {tuple(output.shape)}, expected (1, {task.channels}, H, W)"
            )
        outputs[name] = output.to(device)
    if not outputs:
        return {"tasks": {}, "samples": len(indices)}

    def predict(image: Tensor) -> dict[str, Tensor]:
        return {name: output.expand(len(image), -1, -1, -1) for name, output in outputs.items()}

    measured = measure({name: tasks[name] for name in outputs}, predict, evaluated, protocol, device=device)
    return {"tasks": measured["tasks"], "samples": len(indices)}


def shortcomings(metrics: Mapping[str, Any]) -> list[str]:
    """Return lines on where a network is no better than nothing, and what was remarked of it.

    Args:
        metrics: Content of a ``metrics.json``; what :func:`measure_trivial` returns may be there as ``trivial``.
    """
    lines = list(metrics.get("remarks", ()))
    for task, values in metrics.get("trivial", {}).get("tasks", {}).items():
        for metric in scored_metrics(values):
            trivial, network = values[metric], metrics["tasks"][task][metric]
            better = network > trivial if metrics["higher_is_better"].get(metric) else network < trivial
            if not better:
                lines.append(
                    f"{task} {metric}: the network ({network:.4g}) is no better than the mean training label of each "
                    f"pixel ({trivial:.4g}); train longer, or check the data"
                )
    return lines


def _targets(cached: CachedSplit, indices: Sequence[int], target: str) -> Iterator[Tensor]:
    for start in range(0, len(indices), _BATCH):
        yield load_samples(cached, indices[start : start + _BATCH], [target])[target]
