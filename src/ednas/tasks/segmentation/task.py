"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.data.colors import color_target, sky_pixels
from ednas.data.legend import Legend, target_legend
from ednas.data.sample import VOID, TargetInfo
from ednas.exceptions import ConfigError, hint
from ednas.tasks.base import EvaluationProtocol, Task, check_kind, register_task
from ednas.tasks.losses import full_precision, make_loss
from ednas.tasks.segmentation.losses import COUNTED_WEIGHTS, SEGMENTATION_LOSSES
from ednas.tasks.segmentation.metrics import SegmentationMetrics


class SegmentationTask(Task):
    """Semantic segmentation, by cross-entropy or another loss of :mod:`ednas.tasks.segmentation.losses`.

    Args:
        target_info: A target of kind ``labels``.
        loss: ``cross_entropy``, ``focal``, ``ohem``, ``dice``, ``lovasz`` or a registered one; or weights by name, for
            a weighted sum of several: ``{"cross_entropy": 1, "dice": 0.5}``.
        class_weights: One weight per class, or weights by class name (1 for a class that is not named); equal by
            default. Not for ``dice`` and ``lovasz``, as the next.
        label_smoothing: Share of the label that all classes get alike, in [0, 1); 0 by default.
        gamma: How much less a pixel counts that is right already; 2 by default. ``focal`` only.
        threshold: Probability of the true class from which on a pixel is easy; 0.7 by default. ``ohem`` only.
        min_kept: Least share of the pixels to keep; 1/16 by default. ``ohem`` only.
        void_counts: Under the ``adashare`` protocol, count pixels without a label as wrong in the pixel accuracy, as
            AdaShare does on CityScapes.
        loss_options: Options of registered losses (:func:`ednas.tasks.register_loss`).

    Raises:
        ConfigError: The target is of another kind, its number of classes is out of range, or an option is wrong.
    """

    name = "segmentation"
    decoding = "argmax"

    def __init__(
        self,
        target_info: TargetInfo,
        *,
        loss: str | Mapping[str, float] = "cross_entropy",
        class_weights: Sequence[float] | Mapping[str, float] | None = None,
        label_smoothing: float | None = None,
        gamma: float | None = None,
        threshold: float | None = None,
        min_kept: float | None = None,
        void_counts: bool = False,
        loss_options: Mapping[str, Any] | None = None,
    ) -> None:
        check_kind(self.name, target_info, "labels")
        if not 1 <= target_info.num_classes <= VOID:
            raise ConfigError(
                f"task 'segmentation' needs 1 to {VOID} classes, but the dataset says {target_info.num_classes}"
            )
        self._info = target_info
        self.channels = target_info.num_classes
        self.class_names = target_info.class_names
        self._void_counts = void_counts
        options = {
            "class_weights": _weight_list(class_weights, target_info),
            "label_smoothing": label_smoothing,
            "gamma": gamma,
            "threshold": threshold,
            "min_kept": min_kept,
            **(loss_options or {}),
        }
        self._loss = make_loss(self.name, SEGMENTATION_LOSSES, loss, options)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss over labelled pixels of logits ``(N, C, h, w)`` and class ids ``(N, H, W)``."""
        loss: Tensor = self._loss(prediction, target)
        return loss

    def imitation(self, prediction: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
        """Mean divergence KL(teacher, student) of logits ``(N, C, h, w)`` over a temperature T, times T² (Hinton 2015).

        The factor keeps the gradient's size, which softening divides by about T².
        """
        student, softened = ((full_precision(x) / temperature).log_softmax(1) for x in (prediction, teacher))
        each = F.kl_div(student, softened, reduction="none", log_target=True)
        return each.sum(1).mean() * temperature**2

    def metrics(self, protocol: EvaluationProtocol = "standard") -> SegmentationMetrics:
        """Return fresh ``miou``, ``pixel_acc`` and ``mean_acc``, in percent."""
        return SegmentationMetrics(self.channels, protocol, class_names=self.class_names, void_counts=self._void_counts)

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
        return color_target(decoded, self._info)

    def legend(self, decoded: npt.NDArray[np.generic]) -> Legend:  # noqa: ARG002
        """Return the colours of the classes."""
        return target_legend(self._info)

    def sky(self, decoded: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_] | np.bool_:
        """Return where the class is ``sky``, ``(H, W)``; nowhere where there is none of that name."""
        return sky_pixels({self.name: decoded}, {self.name: self._info})


def _weight_list(weights: Any, info: TargetInfo) -> list[float] | None:
    """Return one weight per class, its value still unchecked.

    Raises:
        ConfigError: There are too few or too many, a class is unknown, or it is no list and no mapping.
    """
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in info.class_names:
                raise ConfigError(f"class_weights: unknown class '{name}'; {hint(str(name), info.class_names)}")
        weights = [weights.get(name, 1.0) for name in info.class_names]
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        raise ConfigError(
            f"class_weights = {weights!r}: give a number per class, or a mapping from class names to numbers; "
            f"{' and '.join(map(repr, COUNTED_WEIGHTS))} are for the configuration of a training, which counts classes"
        )
    if len(weights) != info.num_classes:
        raise ConfigError(f"class_weights: {len(weights)} weights for {info.num_classes} classes")
    return list(weights)


register_task(SegmentationTask.name, SegmentationTask)
