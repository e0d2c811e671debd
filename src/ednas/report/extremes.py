"""The images that a network gets best and worst, each task by its own measure, with their pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch

from ednas.data import CachedSplit
from ednas.data.loader import eval_batches, load_samples
from ednas.data.matching import match_labels
from ednas.exceptions import DataError
from ednas.metrics import scored_metrics
from ednas.nn.heads import resize_bilinear
from ednas.report.content import Picture
from ednas.report.pictures import label_sky, paint_picture
from ednas.training.model import Model

COUNT = 3
"""Images of each kind."""


@dataclass(frozen=True)
class Example:
    """One image with the metric that it was chosen by.

    Attributes:
        value: The metric of this image alone.
        picture: The image, its label, and what the network predicts.
    """

    value: float
    picture: Picture


@dataclass(frozen=True)
class Extremes:
    """The best and the worst images of a task.

    Attributes:
        task: The task.
        metric: What orders the images: the first of the task's scored metrics, under the protocol ``standard``.
        best: The best first.
        worst: The worst first.
        images: How many images have a label, and so were looked at.
    """

    task: str
    metric: str
    best: tuple[Example, ...]
    worst: tuple[Example, ...]
    images: int


@torch.inference_mode()
def find_extremes(
    model: Model,
    split: CachedSplit,
    *,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> list[Extremes]:
    """Measure every image of a split alone, and paint the best and the worst of each task.

    Args:
        model: The network; left in evaluation mode.
        split: The split, at the model's input size.
        batch_size: Images at a time; the result does not depend on it.
        progress: Called with (images done, images in all).

    Returns:
        For each task :data:`COUNT` images of each kind, or fewer where there are not so many; no image is both.

    Raises:
        DataError: The split lacks a target, or has another one than the model predicts.
        TrainingError: A prediction is not finite.
    """
    model.network.eval()
    split = match_labels(split, model.targets)
    scores = _measure(model, split, batch_size, progress)
    found = []
    for task, made in model.tasks.items():
        metrics = made.metrics()
        metric = scored_metrics(metrics.higher_is_better)[0]
        sign = -1 if metrics.higher_is_better[metric] else 1
        ordered = sorted(scores[task].items(), key=lambda item: (sign * item[1], item[0]))
        count = min(COUNT, (len(ordered) + 1) // 2)
        best, worst = ordered[: min(COUNT, len(ordered) - count)], ordered[: -count - 1 : -1]
        first, last = (
            tuple(Example(value, _paint(model, split, task, index)) for index, value in part) for part in (best, worst)
        )
        found.append(Extremes(task, metric, first, last, images=len(ordered)))
    return found


def _measure(
    model: Model, split: CachedSplit, batch_size: int, progress: Callable[[int, int], None] | None
) -> dict[str, dict[int, float]]:
    """Return by task the metric of every image, by the image's place in the split; of those that have a label."""
    scores: dict[str, dict[int, float]] = {task: {} for task in model.tasks}
    done = 0
    for batch in eval_batches(split, batch_size, {task.target for task in model.tasks.values()}, model.device):
        outputs = model.forward(batch["image"])
        for offset in range(len(batch["image"])):
            for name, task in model.tasks.items():
                metrics = task.metrics()
                metrics.update(outputs[name][offset : offset + 1], batch[task.target][offset : offset + 1])
                with suppress(DataError):  # without a label there is nothing to measure
                    value = metrics.compute()[scored_metrics(metrics.higher_is_better)[0]]
                    if math.isfinite(value):
                        scores[name][done + offset] = value
        done += len(batch["image"])
        if progress is not None:
            progress(done, len(split))
    return scores


def _paint(model: Model, split: CachedSplit, name: str, index: int) -> Picture:
    task = model.tasks[name]
    batch = load_samples(split, [index], device=model.device)
    label = task.decode_target(batch[task.target])[0]
    raw = model.forward(batch["image"])[name].float()
    # Raw outputs are resized, not what is decoded from them: between two classes there is no third one.
    decoded = task.decode(resize_bilinear(raw, label.shape[-2:]))[0]
    row = split.rows[index]
    return paint_picture(
        split.sources[row],
        name,
        task,
        image=split.image[row],
        label=label,
        predictions={"prediction": decoded},
        sky=label_sky(batch, split.info.targets),
    )
