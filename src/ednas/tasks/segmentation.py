"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ednas.data.sample import VOID, TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks.base import EvaluationProtocol, Task, check_kind, register_task
from ednas.tasks.losses import MaskedCrossEntropy, resize_target
from ednas.tasks.metrics import SegmentationMetrics
from ednas.tasks.pictures import paint_classes


class SegmentationTask(Task):
    """Semantic segmentation by cross-entropy.

    Args:
        target_info: A target of kind ``labels``.
        void_counts: Under the ``adashare`` protocol, count pixels without a label as wrong in the pixel accuracy, as
            AdaShare does on CityScapes.

    Raises:
        ConfigError: The target is of another kind, or its number of classes is out of range.
    """

    name = "segmentation"

    def __init__(self, target_info: TargetInfo, *, void_counts: bool = False) -> None:
        check_kind(self.name, target_info, "labels")
        if not 1 <= target_info.num_classes <= VOID:
            raise ConfigError(
                f"task 'segmentation' needs 1 to {VOID} classes, but the dataset says {target_info.num_classes}"
            )
        self.channels = target_info.num_classes
        self.class_names = target_info.class_names
        self._void_counts = void_counts
        self._loss = MaskedCrossEntropy()

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy over labelled pixels of logits ``(N, C, h, w)`` and class ids ``(N, H, W)``."""
        loss: Tensor = self._loss(prediction, resize_target(target, (prediction.shape[-2], prediction.shape[-1])))
        return loss

    def metrics(self, protocol: EvaluationProtocol = "standard") -> SegmentationMetrics:
        """Return fresh ``miou`` and ``pixel_acc``, in percent."""
        return SegmentationMetrics(self.channels, protocol, void_counts=self._void_counts)

    def decode(self, prediction: Tensor) -> Tensor:
        """Return class ids, int64 ``(N, H, W)``."""
        return prediction.argmax(1)

    def trivial(self, targets: Iterable[Tensor]) -> Tensor | None:
        """Return the logarithms of how often each pixel has each class, counted from 1.

        Their argmax is the most frequent class; of all pixels where one has no label. None if none has.
        """
        counts = torch.zeros((), dtype=torch.int32)
        for labels in targets:
            ids = labels.clamp(max=self.channels)  # what is no class goes into one channel more
            added = torch.zeros(self.channels + 1, *ids.shape[1:], dtype=torch.int32)
            counts = counts + added.scatter_add_(0, ids, torch.ones_like(ids, dtype=torch.int32))[: self.channels]
        if not counts.any():
            return None
        return torch.where(counts.sum(0) > 0, counts, counts.sum((1, 2), keepdim=True)).log1p()[None]

    def picture(self, decoded: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Paint class ids ``(H, W)``: the Cityscapes palette for 19 classes; void is black."""
        return paint_classes(decoded, self.channels)


register_task(SegmentationTask.name, SegmentationTask)
