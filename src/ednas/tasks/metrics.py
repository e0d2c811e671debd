"""Streaming metrics of the built-in tasks under two protocols.

Published numbers depend on how they are measured, so every result names its protocol:

=====================  ====================================  =========================================================
                       ``standard``                          ``adashare``
=====================  ====================================  =========================================================
prediction is resized  bilinearly                            by nearest neighbour
mIoU                   over classes present in the labels    over classes with a true positive at all: a class that is
                       or the predictions (as torchmetrics)  never hit is dropped instead of counting 0
pixel accuracy         over all labelled pixels              per image with a label, then the mean; with
                                                             ``void_counts`` a pixel without one counts as wrong
depth, invalid labels  at or below ``min_valid``             at or below 3e-5
depth errors           over all valid pixels, of the         per image, then the mean, of the raw output
                       decoded depth (at least 0)
normals                angles between unit vectors; below    angles between vectors in the positive octant; at or
                       a threshold                           below a threshold
other metrics          as defined below, over all valid      the same; the median angle too is then a true one, about
                       pixels                                twice as large as the mean beside it
=====================  ====================================  =========================================================

The paper has mIoU, pixel accuracy, absolute and relative error, mean angle and shares within angles. The others are
what the field reports beside them:

- ``mean_acc``: mean over the classes in the labels of the share of their pixels that is right (FCN's "mean accuracy").
- ``rmse``, ``log_rmse`` (natural logarithm), ``delta_1`` to ``delta_3`` (percent of pixels with
  max(p / y, y / p) < 1.25, 1.25^2, 1.25^3), of the decoded depth (Eigen et al., 2014). A prediction of 0 or less is a
  miss; in the logarithm, a prediction counts as :data:`SMALLEST_RATIO` of its label at least, whatever the unit.
- ``median_angle``: from a histogram of :data:`ANGLE_BIN` degrees, and no further than that from the exact median.

``adashare`` follows the public evaluation code of AdaShare, which the paper's numbers are compared with.

**Normals under** ``adashare``. There, normals stay as they are stored: colours (n + 1) / 2, all in the positive octant,
are L2-normalised and compared as if they were directions. Angles shrink to about half, and they depend on the axes:
x right, y into the scene, z up, which is our (x, z, -y). Networks here predict decoded normals, so the prediction is
normalised, brought to those axes, and encoded and normalised as the label is; both sides then go through the same map,
and a right prediction scores 0. The result is on AdaShare's scale but not its training objective: a network of
AdaShare's learns in the encoded space, and may put its output outside of what any true normal encodes to. AdaShare also
counts pixels whose stored vector is zero, (127, 127, 127), which are invalid here.

State is a number of float64 and int64 sums on the device of the predictions (:attr:`SumMetrics.sums`): batches of any
size give the same result, and summing the states of several processes gives the result of all.

**A prediction that is not finite is an error** (:class:`~ednas.exceptions.TrainingError`): an argmax or a clamp would
turn NaN into an ordinary-looking score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.data.sample import VOID
from ednas.exceptions import DataError, TrainingError
from ednas.metrics import METRICS
from ednas.tasks.base import EvaluationProtocol, TaskMetrics, check_protocol
from ednas.tasks.normals_losses import valid_normals

ADASHARE_MIN_DEPTH = 3e-5
"""Depth labels at or below this are invalid under AdaShare's protocol, whatever their unit."""

ANGLE_THRESHOLDS: Mapping[str, float] = {"within_11": 11.25, "within_22": 22.5, "within_30": 30.0}
"""Angle in degrees that a normal must be within, by metric."""

ANGLE_BIN = 0.01
"""Width in degrees of the bins that the median angle is taken from."""

DELTA_THRESHOLDS: Mapping[str, float] = {"delta_1": 1.25, "delta_2": 1.25**2, "delta_3": 1.25**3}
"""Factor that a depth must be within, by metric."""

SMALLEST_RATIO = 1e-3
"""Smallest prediction / label in the logarithmic error: the floor that keeps it finite for predictions of 0."""

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
        self.higher_is_better = {name: METRICS[name].higher_is_better for name in names}
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


class DepthMetrics(SumMetrics):
    """Absolute, relative, squared and logarithmic errors, and shares of pixels within a factor.

    Args:
        protocol: ``standard`` or ``adashare``.
        min_valid: Under ``standard``, labels at or below this are invalid.
        unit: The label's; empty where it has none.
    """

    def __init__(self, protocol: EvaluationProtocol = "standard", *, min_valid: float = 0.0, unit: str = "") -> None:
        super().__init__("depth", 1, ("abs_err", "rel_err", "rmse", "log_rmse", *DELTA_THRESHOLDS), protocol)
        self.units = {"abs_err": unit, "rmse": unit} if unit else {}
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
        self._add_field_metrics(predicted[valid].double().clamp(min=0), target[valid].double())

    def _add_field_metrics(self, depth: Tensor, label: Tensor) -> None:
        ratio = depth / label
        factor = torch.maximum(ratio, 1 / ratio)  # of a depth of 0 it is infinite
        self._add(
            squared=(depth - label).square().sum(),
            squared_log=ratio.clamp(min=SMALLEST_RATIO).log().square().sum(),
            pixels=torch.tensor(len(label), device=label.device),
            **{name: (factor < limit).sum() for name, limit in DELTA_THRESHOLDS.items()},
        )

    def compute(self) -> dict[str, float]:
        """Return ``abs_err`` and ``rmse`` in the label's unit, ``rel_err``, ``log_rmse``, and the rest in percent.

        Raises:
            DataError: No valid label was taken in.
        """
        return {
            "abs_err": self._mean("abs_err", "count"),
            "rel_err": self._mean("rel_err", "count"),
            "rmse": math.sqrt(self._mean("squared", "pixels")),
            "log_rmse": math.sqrt(self._mean("squared_log", "pixels")),
            **{name: 100 * self._mean(name, "pixels") for name in DELTA_THRESHOLDS},
        }


class NormalMetrics(SumMetrics):
    """Mean and median angle in degrees, and the percentage of pixels within 11.25, 22.5 and 30 degrees.

    Args:
        protocol: ``standard`` or ``adashare``; see the module's text on what the latter measures.
    """

    def __init__(self, protocol: EvaluationProtocol = "standard") -> None:
        super().__init__("normals", 3, ("mean_angle", *ANGLE_THRESHOLDS, "median_angle"), protocol)

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
        angles = angles_between(first, second)
        self._add(histogram=angle_histogram(angles))
        if self.protocol == "adashare":
            angles = angles_between(octant_vectors(first), octant_vectors(second))
        within = {
            name: (angles <= limit if self.protocol == "adashare" else angles < limit).sum()
            for name, limit in ANGLE_THRESHOLDS.items()
        }
        self._add(mean_angle=angles.sum(), count=valid.sum(), **within)

    def compute(self) -> dict[str, float]:
        """Return ``mean_angle`` and ``median_angle`` in degrees and the rest in percent.

        Raises:
            DataError: No valid label was taken in.
        """
        histogram, _ = self._get("histogram", "count")
        return {
            "mean_angle": self._mean("mean_angle", "count"),
            **{name: 100 * self._mean(name, "count") for name in ANGLE_THRESHOLDS},
            "median_angle": ANGLE_BIN * histogram_median(histogram),
        }


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


def angle_histogram(angles: Tensor) -> Tensor:
    """Count angles in degrees, 0 to 180, in bins of :data:`ANGLE_BIN`; int64."""
    bins = round(180 / ANGLE_BIN)
    return torch.bincount((angles / ANGLE_BIN).long().clamp(max=bins - 1), minlength=bins)


def histogram_median(counts: Tensor) -> float:
    """Median of values in bins 0, 1, ... of width 1, as if they lay evenly in their bins; less than a bin off.

    Args:
        counts: Values in each bin, int64 ``(bins,)``; one value at least. The mean of the two middle ones is the median
            of an even number.
    """
    upto = counts.cumsum(0)
    total = int(upto[-1])
    ranks = torch.tensor([(total - 1) // 2, total // 2])
    bins = torch.searchsorted(upto, ranks, right=True)
    before = upto[bins] - counts[bins]
    return (bins + (ranks - before + 0.5) / counts[bins].double()).mean().item()


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
