"""What is cut out of a supernet was trained together with all others: its batch statistics are measured anew."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ednas.data import CachedSplit
from ednas.data.loader import eval_batches, load_samples, spread_rows
from ednas.training.model import Model


def calibrate(model: Model, split: CachedSplit, samples: int, batch_size: int) -> None:
    """Measure the statistics of a model's batch normalisation anew, in place: their mean over batches as they are.

    Args:
        model: Left in evaluation mode.
        split: What to measure on, without augmentation: samples spread evenly over it.
        samples: How many.
        batch_size: Samples at a time, at least 2.
    """
    norms = [module for module in model.network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    model.network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean
        norm.train()
    rows = spread_rows(split, samples)
    with torch.inference_mode():
        for part in np.array_split(rows, max(1, len(rows) // batch_size)):
            model.forward(load_samples(split, part.tolist(), (), model.device)["image"])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.network.eval()


def mean_losses(model: Model, split: CachedSplit, batch_size: int) -> dict[str, float]:
    """Return the mean loss of each task over a split's batches."""
    sums = dict.fromkeys(model.tasks, 0.0)
    with torch.inference_mode():
        for batch in eval_batches(split, batch_size, {task.target for task in model.tasks.values()}, model.device):
            outputs = model.forward(batch["image"])
            for name, task in model.tasks.items():
                sums[name] += task.loss(outputs[name], batch[task.target]).item() * len(batch["image"])
    return {name: total / len(split) for name, total in sums.items()}
