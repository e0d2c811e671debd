"""Surface normal estimation, a unit vector for every pixel: the task, its metrics and its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ednas.data.colors import color_target
from ednas.data.legend import Legend, target_legend
from ednas.data.sample import TargetInfo
from ednas.exceptions import DataError
from ednas.tasks.base import EvaluationProtocol, Task, check_kind, register_task
from ednas.tasks.losses import full_precision, make_loss, weighted_mean
from ednas.tasks.means import mean_label
from ednas.tasks.metrics import SumMetrics

ANGLE_THRESHOLDS: Mapping[str, float] = {"within_11": 11.25, "within_22": 22.5, "within_30": 30.0}
"""Angle in degrees that a normal must be within, by metric."""

ANGLE_BIN = 0.01
"""Width in degrees of the bins that the median angle is taken from."""

# Added to the squared length of a predicted normal. It bounds the gradient where the network outputs almost nothing,
# and moves the cosine of a vector of length 1 by 5e-9.
_LENGTH_EPSILON = 1e-8


class NormalsTask(Task):
    """Surface normals, by the inverse cosine loss or a registered one.

    Vectors are in the camera frame: x right, y down, z forward, so that a surface facing the camera has z < 0. The
    network's output may have any length; loss, metrics and :meth:`decode` look at its direction alone.

    Args:
        target_info: A target of kind ``normals``.
        loss: ``inverse_cosine`` or a registered one; or weights by name, for a weighted sum of several.
        loss_options: Options of registered losses (:func:`ednas.tasks.register_loss`).

    Raises:
        ConfigError: The target is of another kind, or an option is wrong.
    """

    name = "normals"
    channels = 3
    decoding = "normals"

    def __init__(
        self,
        target_info: TargetInfo,
        *,
        loss: str | Mapping[str, float] = "inverse_cosine",
        loss_options: Mapping[str, Any] | None = None,
    ) -> None:
        check_kind(self.name, target_info, "normals")
        self._info = target_info
        self._loss = make_loss(self.name, NORMALS_LOSSES, loss, loss_options or {})
        self._imitation = InverseCosineLoss()

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One minus the mean cosine over valid pixels of ``(N, 3, h, w)`` and ``(N, 3, H, W)``, zero = invalid."""
        loss: Tensor = self._loss(prediction, target)
        return loss

    def imitation(self, prediction: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: ARG002
        """One minus the mean cosine between the directions of two outputs ``(N, 3, h, w)``."""
        loss: Tensor = self._imitation(prediction, self.decode(teacher.float()))
        return loss

    def metrics(self, protocol: EvaluationProtocol = "standard") -> NormalMetrics:
        """Return fresh metrics: mean and median angle in degrees, shares within 11.25, 22.5 and 30 in percent."""
        return NormalMetrics(protocol)

    def decode(self, prediction: Tensor) -> Tensor:
        """Return unit vectors ``(N, 3, H, W)``; an output of exactly 0 counts as facing the camera."""
        return unit_normals(prediction, dim=1)

    def trivial(self, targets: Iterable[Tensor]) -> Tensor | None:
        """Return the mean of each pixel's valid vectors."""
        return mean_label((target, valid_normals(target)) for target in targets)

    def picture(self, decoded: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Paint normals ``(3, H, W)``, or ``(H, W, 3)`` as datasets store them: RGB = (n + 1) / 2, invalid black."""
        vectors = np.moveaxis(decoded, 0, -1) if decoded.shape[0] == 3 else decoded
        return color_target(vectors.astype(np.float64), self._info)

    def legend(self, decoded: npt.NDArray[np.generic]) -> Legend:  # noqa: ARG002
        """Return the colour of what has no normal."""
        return target_legend(self._info)


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


class InverseCosineLoss(nn.Module):
    """One minus the mean cosine between predicted and true normals, over the pixels with a valid label.

    Predictions of any length other than 0 count alike: they are L2-normalised. Labels of length 0 are invalid, as are
    labels that are not finite.
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar in [0, 2].

        Args:
            prediction: Vectors ``(N, 3, H, W)``.
            target: Unit vectors ``(N, 3, H, W)``; zero vectors are invalid.
        """
        prediction = full_precision(prediction)
        valid = valid_normals(target)
        label = F.normalize(torch.where(valid, target, 0.0).to(prediction.dtype), dim=1)
        # An invalid pixel's prediction is replaced before the division, so that its gradient is exactly 0.
        vector = torch.where(valid, prediction, 1.0)
        cosine = (vector * label).sum(1, keepdim=True) * (
            vector.square().sum(1, keepdim=True) + _LENGTH_EPSILON
        ).rsqrt()
        return weighted_mean(torch.where(valid, 1.0 - cosine, 0.0), valid)


NORMALS_LOSSES: Mapping[str, type[nn.Module]] = MappingProxyType({"inverse_cosine": InverseCosineLoss})
"""The losses for surface normals by name."""


def valid_normals(target: Tensor) -> Tensor:
    """Mask ``(N, 1, H, W)`` of the pixels of ``(N, 3, H, W)`` that hold a direction, not the zero vector or NaN."""
    length = target.square().sum(1, keepdim=True)
    return torch.isfinite(length) & (length > 0.25)


register_task(NormalsTask.name, NormalsTask)
