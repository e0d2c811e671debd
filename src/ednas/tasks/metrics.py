"""Streaming metrics of the built-in tasks under two protocols.

Published numbers depend on how they are measured, so every result names its protocol:

=====================  ====================================  =========================================================
                       ``standard``                          ``adashare``
=====================  ====================================  =========================================================
prediction is resized  bilinearly                            by nearest neighbour
mIoU                   over classes present in the labels    over classes with a true positive at all: a class that is
                       or the predictions (as torchmetrics)  never hit is dropped instead of counting 0
pixel accuracy         over all labelled pixels              per image, then the mean; with ``void_counts`` a pixel
                                                             without a label counts as wrong
depth, invalid labels  at or below ``min_valid``             at or below 3e-5
depth errors           over all valid pixels, of the         per image, then the mean, of the raw output
                       decoded depth (at least 0)
normals                angles between unit vectors; below    angles between vectors in the positive octant; at or
                       a threshold                           below a threshold
=====================  ====================================  =========================================================

``adashare`` follows the public evaluation code of AdaShare, which the paper's numbers are compared with.

**Normals under** ``adashare``. There, normals stay as they are stored: colours (n + 1) / 2, all in the positive octant,
are L2-normalised and compared as if they were directions. Angles shrink to about half, and they depend on the axes:
x right, y into the scene, z up, which is our (x, z, -y). Networks here predict decoded normals, so the prediction is
normalised, brought to those axes, and encoded and normalised as the label is; both sides then go through the same map,
and a right prediction scores 0. The result is on AdaShare's scale but not its training objective: a network of
AdaShare's learns in the encoded space, and may put its output outside of what any true normal encodes to. AdaShare also
counts pixels whose stored vector is zero, (127, 127, 127), which are invalid here.

State is a handful of float64 and int64 sums on the device of the predictions (:attr:`SumMetrics.sums`): batches of any
size give the same result, and summing the states of several processes gives the result of all.

**A prediction that is not finite is an error** (:class:`~ednas.exceptions.TrainingError`): an argmax or a clamp would
turn NaN into an ordinary-looking score.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.data.sample import VOID
from ednas.exceptions import DataError, TrainingError
from ednas.scoring import HIGHER_IS_BETTER
from ednas.tasks.base import EvaluationProtocol, TaskMetrics, check_protocol
from ednas.tasks.losses import valid_normals

ADASHARE_MIN_DEPTH = 3e-5
"""Depth labels at or below this are invalid under AdaShare's protocol, whatever their unit."""

ANGLE_THRESHOLDS: Mapping[str, float] = {"within_11": 11.25, "within_22": 22.5, "within_30": 30.0}
"""Angle in degrees that a normal must be within, by metric."""

COLLAPSED_SHARE = 0.995
"""A network that predicts one class for this share of the pixels tells no classes apart."""


class SumMetrics(TaskMetrics):
    """Metrics that follow from sums over pixels or images.

    Attributes:
        higher_is_better: Every metric's name and direction.
        sums: The state: named float64 or int64 tensors. Adding those of two instances gives the state of both.
    """

    def __init__(self, task: str, channels: int, names: tuple[str, ...], protocol: EvaluationProtocol) -> None:
        check_protocol(protocol)
        self.higher_is_better = {name: HIGHER_IS_BETTER[name] for name in names}
        self.protocol = protocol
        self.sums: dict[str, Tensor] = {}
        self._task = task
        self._channels = channels

    def reset(self) -> None:
        """Forget everything taken in."""
        self.sums = {}

    def _add(self, **values: Tensor) -> None:
        for name, value in values.items():
            have = self.sums.get(name)
            self.sums[name] = value if have is None else have.to(value.device) + value

    def _get(self, name: str, count: str) -> tuple[Tensor, int]:
        """The sum ``name`` on the CPU and the ``count`` to divide by, which must not be 0."""
        total = int(self.sums[count].item()) if count in self.sums else 0
        if total == 0:
            raise DataError(f"{self._task}: no valid label in all that was evaluated; check the dataset's labels")
        return self.sums[name].cpu(), total

    def _mean(self, name: str, count: str) -> float:
        value, total = self._get(name, count)
        return value.item() / total

    def _prepare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Check shapes and finiteness; return the prediction in float32 or more at the target's size."""
        if prediction.dim() != 4 or prediction.shape[1] != self._channels:
            raise TrainingError(
                f"{self._task}: prediction of shape {tuple(prediction.shape)}, expected (N, {self._channels}, H, W)"
            )
        if target.shape[0] != prediction.shape[0]:
            raise DataError(
                f"{self._task}: {target.shape[0]} labels for {prediction.shape[0]} predictions; both need one per image"
            )
        if prediction.dtype != torch.float64:
            prediction = prediction.float()
        # The sum is not finite if any value is not; it is 20 times as quick as looking at each, but may overflow.
        if not bool(torch.isfinite(prediction.sum())) and not bool(torch.isfinite(prediction).all()):
            bad = int((~torch.isfinite(prediction)).sum())
            raise TrainingError(
                f"{self._task}: {bad} of {prediction.numel()} predicted values are NaN or infinite; training has "
                "diverged: lower the learning rate, clip gradients, or use float32"
            )
        size = tuple(target.shape[-2:])
        if tuple(prediction.shape[-2:]) == size:
            return prediction
        if self.protocol == "adashare":
            return F.interpolate(prediction, size=size, mode="nearest")
        return F.interpolate(prediction, size=size, mode="bilinear", align_corners=False)


class SegmentationMetrics(SumMetrics):
    """mIoU and pixel accuracy, in percent.

    Args:
        num_classes: Number of classes.
        protocol: ``standard`` or ``adashare``.
        void_counts: Under ``adashare``, count pixels without a label as wrong in the pixel accuracy. AdaShare does so
            on CityScapes (which is why it reports 74.7 where the paper has 88.7) and not on NYUv2. ``standard`` never
            does.
    """

    def __init__(
        self, num_classes: int, protocol: EvaluationProtocol = "standard", *, void_counts: bool = False
    ) -> None:
        super().__init__("segmentation", num_classes, ("miou", "pixel_acc"), protocol)
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
                images=(per_image > 0).sum(),
            )

    def compute(self) -> dict[str, float]:
        """Return ``miou`` and ``pixel_acc`` in percent.

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
        return {"miou": 100 * miou, "pixel_acc": 100 * accuracy}

    def remark(self) -> str:
        """Say so if one class is predicted for all pixels, or nearly, though the labels hold several."""
        confusion, pixels = self._get("confusion", "pixels")
        count, predicted = confusion.sum(0).max(0)
        if count < COLLAPSED_SHARE * pixels or (confusion.sum(1) > 0).sum() < 2:
            return ""
        return f"class {int(predicted)} is predicted for {100 * int(count) / pixels:.1f} % of the labelled pixels"


class DepthMetrics(SumMetrics):
    """Mean absolute error in the label's unit, and mean relative error.

    Args:
        protocol: ``standard`` or ``adashare``.
        min_valid: Under ``standard``, labels at or below this are invalid.
    """

    def __init__(self, protocol: EvaluationProtocol = "standard", *, min_valid: float = 0.0) -> None:
        super().__init__("depth", 1, ("abs_err", "rel_err"), protocol)
        self.min_valid = ADASHARE_MIN_DEPTH if protocol == "adashare" else min_valid

    @torch.no_grad()
    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in raw depth ``(N, 1, h, w)`` and labels ``(N, 1, H, W)``.

        Raises:
            TrainingError: The prediction has the wrong shape or is not finite.
            DataError: The target has the wrong shape.
        """
        if target.dim() != 4 or target.shape[1] != 1:
            raise DataError(f"depth: labels of shape {tuple(target.shape)}, expected (N, 1, H, W)")
        predicted = self._prepare(prediction, target)
        if self.protocol == "standard":
            predicted = predicted.clamp(min=0)
        valid = torch.isfinite(target) & (target > self.min_valid)
        label = torch.where(valid, target, 1.0)
        error = torch.where(valid, predicted - label, 0.0).abs()
        sums = [value.flatten(1).sum(1, dtype=torch.float64) for value in (error, error / label)]
        pixels = valid.flatten(1).sum(1)
        if self.protocol == "adashare":
            sums = [value / pixels.clamp(min=1) for value in sums]
            pixels = pixels > 0
        self._add(abs_err=sums[0].sum(), rel_err=sums[1].sum(), count=pixels.sum())

    def compute(self) -> dict[str, float]:
        """Return ``abs_err`` and ``rel_err``.

        Raises:
            DataError: No valid label was taken in.
        """
        return {name: self._mean(name, "count") for name in self.higher_is_better}


class NormalMetrics(SumMetrics):
    """Mean angle in degrees, and the percentage of pixels within 11.25, 22.5 and 30 degrees.

    Args:
        protocol: ``standard`` or ``adashare``; see the module's text on what the latter measures.
    """

    def __init__(self, protocol: EvaluationProtocol = "standard") -> None:
        super().__init__("normals", 3, ("mean_angle", *ANGLE_THRESHOLDS), protocol)

    @torch.no_grad()
    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in raw vectors ``(N, 3, h, w)`` and unit normals ``(N, 3, H, W)``, zero = invalid.

        Raises:
            TrainingError: The prediction has the wrong shape or is not finite.
            DataError: The target has the wrong shape.
        """
        if target.dim() != 4 or target.shape[1] != 3:
            raise DataError(f"normals: labels of shape {tuple(target.shape)}, expected (N, 3, H, W)")
        predicted = self._prepare(prediction, target)
        valid = valid_normals(target)[:, 0]
        # In float64, else the last bit of an angle depends on where its pixel lies in the batch.
        first, second = (unit_normals(field.movedim(1, -1)[valid].double()) for field in (predicted, target))
        if self.protocol == "adashare":
            first, second = octant_vectors(first), octant_vectors(second)
        angles = angles_between(first, second)
        within = {
            name: (angles <= limit if self.protocol == "adashare" else angles < limit).sum()
            for name, limit in ANGLE_THRESHOLDS.items()
        }
        self._add(mean_angle=angles.sum(), count=valid.sum(), **within)

    def compute(self) -> dict[str, float]:
        """Return ``mean_angle`` in degrees and the rest in percent.

        Raises:
            DataError: No valid label was taken in.
        """
        shares = {name: 100 * self._mean(name, "count") for name in ANGLE_THRESHOLDS}
        return {"mean_angle": self._mean("mean_angle", "count"), **shares}


def unit_normals(vectors: Tensor, dim: int = -1) -> Tensor:
    """Scale vectors to length 1; a vector of length 0 becomes (0, 0, -1), a surface that faces the camera.

    Args:
        vectors: Any shape with 3 entries along ``dim``.
        dim: The axis of the vectors.
    """
    # Dividing by the largest entry first keeps squares of very long and very short vectors within range.
    scale = vectors.abs().amax(dim, keepdim=True)
    scaled = vectors / torch.where(scale > 0, scale, 1.0)
    facing = torch.zeros_like(vectors)
    facing.select(dim, 2).fill_(-1.0)
    return torch.where(scale > 0, F.normalize(scaled, dim=dim), facing)


def octant_vectors(normals: Tensor) -> Tensor:
    """Encode unit normals ``(..., 3)`` as AdaShare compares them: (n + 1) / 2 in its axes, L2-normalised."""
    x, y, z = normals.unbind(-1)
    return F.normalize(torch.stack([(1 + x) / 2, (1 + z) / 2, (1 - y) / 2], dim=-1), dim=-1)


def angles_between(first: Tensor, second: Tensor) -> Tensor:
    """Angles in degrees, 0 to 180, between vectors ``(..., 3)``; exact for small ones, where acos is not."""
    cross = torch.linalg.vector_norm(torch.linalg.cross(first, second), dim=-1)
    return torch.rad2deg(torch.atan2(cross, (first * second).sum(-1)))
