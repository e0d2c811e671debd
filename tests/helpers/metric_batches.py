"""Batches for the tests of metrics."""

from __future__ import annotations

import torch

from ednas.tasks.normals import unit_normals


def measure(metrics, *batches):
    for prediction, target in batches:
        metrics.update(prediction, target)
    return metrics.compute()


def random_batch(name, images, size=(4, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 1, *size)
    if name == "segmentation":
        labels = torch.randint(0, 5, (images, *size), generator=generator)
        labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
        labels[0, 0, 0] = 1
        return torch.randn(images, 5, *size, generator=generator), labels
    valid = torch.rand(shape, generator=generator) < 0.7
    valid[0, 0, 0, 0] = True
    if name == "depth":
        label = torch.rand(shape, generator=generator) * 5 + 0.1
        return torch.randn(shape, generator=generator) + 2, label * valid
    label = unit_normals(torch.randn(images, 3, *size, generator=generator), dim=1)
    return torch.randn(images, 3, *size, generator=generator), label * valid
