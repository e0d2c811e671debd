"""Streaming metrics of segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ednas.data.sample import VOID
from ednas.exceptions import DataError
from ednas.tasks.base import EvaluationProtocol
from ednas.tasks.metrics import SumMetrics

COLLAPSED_SHARE = 0.995
"""A network that predicts one class for this share of the pixels tells no classes apart."""


class SegmentationMetrics(SumMetrics):
    """mIoU, pixel accuracy and mean class accuracy, in percent; also by class.

    Args:
        num_classes: Number of classes.
        protocol: ``standard`` or ``adashare``.
        class_names: Their names; the ids where these are missing or not distinct.
        void_counts: Under ``adashare``, count pixels without a label as wrong in the pixel accuracy. AdaShare does so
            on CityScapes (which is why it reports 74.7 where the paper has 88.7) and not on NYUv2. ``standard`` never
            does.
    """

    def __init__(
        self,
        num_classes: int,
        protocol: EvaluationProtocol = "standard",
        *,
        class_names: Sequence[str] = (),
        void_counts: bool = False,
    ) -> None:
        super().__init__("segmentation", num_classes, ("miou", "pixel_acc", "mean_acc"), protocol)
        is_named = len(set(class_names)) == len(class_names) == num_classes
        self.class_names = tuple(class_names if is_named else map(str, range(num_classes)))
        self.void_counts = void_counts

    @torch.no_grad()
    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in logits ``(N, C, h, w)`` and class ids ``(N, H, W)``, 255 = void.

        Raises:
            TrainingError: The prediction has the wrong shape or is not finite.
            DataError: The target has the wrong shape or a label that is neither a class nor void.
        """
        if target.dim() != 3:
            raise DataError(f"segmentation: labels of shape {tuple(target.shape)}, expected (N, H, W)")
        predicted = self._prepare(prediction, target).argmax(1)
        labels = target.long()
        valid = labels != VOID
        known = labels[valid]
        if known.numel() and (int(known.min()) < 0 or int(known.max()) >= self._channels):
            wrong = known[(known < 0) | (known >= self._channels)][0]
            raise DataError(
                f"segmentation: label {int(wrong)} is neither one of the {self._channels} classes nor void ({VOID})"
            )
        pairs = known * self._channels + predicted[valid]
        self._add(
            confusion=torch.bincount(pairs, minlength=self._channels**2).reshape(self._channels, self._channels),
            pixels=valid.sum(),
        )
        if self.protocol == "adashare":
            counted = torch.ones_like(valid) if self.void_counts else valid
            per_image = counted.flatten(1).sum(1)
            right = ((predicted == labels) & valid).flatten(1).sum(1)
            self._add(
                accuracy=(right.double() / per_image.clamp(min=1)).sum(),
                images=valid.flatten(1).any(1).sum(),
            )

    def compute(self) -> dict[str, float]:
        """Return ``miou``, ``pixel_acc`` and ``mean_acc`` in percent.

        Raises:
            DataError: No pixel with a label was taken in.
        """
        confusion, pixels = self._get("confusion", "pixels")
        hits = confusion.diagonal()
        union = confusion.sum(0) + confusion.sum(1) - hits
        counted = hits > 0 if self.protocol == "adashare" else union > 0
        ious = hits[counted].double() / union[counted]
        # Under adashare every class may be dropped; a network without one true positive scores 0, not NaN.
        miou = ious.mean().item() if len(ious) else 0.0
        accuracy = self._mean("accuracy", "images") if self.protocol == "adashare" else hits.sum().item() / pixels
        labelled = confusion.sum(1)
        recalls = (hits.double() / labelled)[labelled > 0]
        return {"miou": 100 * miou, "pixel_acc": 100 * accuracy, "mean_acc": 100 * recalls.mean().item()}

    def classes(self) -> dict[str, dict[str, float | None]]:
        """Return ``iou`` and ``acc`` in percent by class name, as under ``standard``.

        A class has no ``acc`` (None) where it is not in the labels, and no ``iou`` where it is not predicted either.
        """
        confusion, _ = self._get("confusion", "pixels")
        hits, labelled = confusion.diagonal(), confusion.sum(1)
        union = confusion.sum(0) + labelled - hits
        counts = zip(self.class_names, hits.tolist(), union.tolist(), labelled.tolist(), strict=True)
        return {name: {"iou": _percent(hit, all_), "acc": _percent(hit, own)} for name, hit, all_, own in counts}

    def confusion(self) -> list[list[int]]:
        """Return how many labelled pixels of each class (row) were predicted as each (column)."""
        confusion, _ = self._get("confusion", "pixels")
        counts: list[list[int]] = confusion.tolist()
        return counts

    def remark(self) -> str:
        """Say so if one class is predicted for all pixels, or nearly, though the labels hold several."""
        confusion, pixels = self._get("confusion", "pixels")
        count, predicted = confusion.sum(0).max(0)
        if count < COLLAPSED_SHARE * pixels or (confusion.sum(1) > 0).sum() < 2:
            return ""
        return f"class {int(predicted)} is predicted for {100 * int(count) / pixels:.1f} % of the labelled pixels"


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
