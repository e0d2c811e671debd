"""Losses of the built-in tasks, and the loss weights that the paper trained with (Tables 8 and 9).

Every loss is a mean over the pixels with a valid label. Where there is none it is 0 and still attached to the graph,
so that a batch without labels trains nothing instead of breaking the run, and an invalid label never reaches a
gradient, whatever it holds (NaN included). Half-precision predictions are computed on in float32.

Where only k of a batch's N samples have a label, the mean is over those k, not over N: two samples with depth weigh
as much as sixteen. So the balance of the tasks stays what the loss weights say; a mean over N would scale a task's
weight by its share of labels, and starve the task that has the fewest. The price is noise: the task's gradient is as
noisy as that of a batch of k, which a larger batch makes up for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ednas.data.sample import VOID
from ednas.exceptions import ConfigError, DataError
from ednas.tasks.base import hint

DepthLoss = Literal["l1", "jared"]
"""The two losses for depth."""

DEFAULT_REL_WEIGHT = 0.05
"""Weight of JAReD's relative term in the paper's CityScapes models (Table 8)."""

# Added to the squared length of a predicted normal. It bounds the gradient where the network outputs almost nothing,
# and moves the cosine of a vector of length 1 by 5e-9.
_LENGTH_EPSILON = 1e-8


class JAReDLoss(nn.Module):
    """Joint absolute-relative depth loss (Eq. 8).

    ``abs_weight * mean |y - p| + rel_weight * mean |y - p| / y`` over the pixels with a valid y. Equation 8 has
    weights (1, lambda); the paper's final models use (0.95, 0.05) on CityScapes and (0.999, 0.001) on NYUv2 (Table 8,
    in :data:`LOSS_PRESETS`).

    1 / y grows without bound as y goes to 0: on disparity divided by 65535 it reaches 3e4, and a handful of far
    pixels then outweighs all others. ``max_inverse`` cuts it off.

    Example:
        >>> loss = JAReDLoss(abs_weight=1.0, rel_weight=0.5)
        >>> loss(torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0, 0.0]])).item()  # the second label is invalid
        1.25

    Args:
        abs_weight: Weight of the absolute error, at least 0.
        rel_weight: Weight of the relative error (lambda), at least 0.
        max_inverse: Largest 1 / y that counts; no limit by default.
        min_valid: Labels at or below this are invalid; at least 0. Labels that are not finite always are.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        abs_weight: float = 1.0,
        rel_weight: float = DEFAULT_REL_WEIGHT,
        max_inverse: float | None = None,
        min_valid: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("abs_weight", abs_weight), ("rel_weight", rel_weight), ("min_valid", min_valid)):
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"{name} = {value} must be a finite number of at least 0")
        if abs_weight == rel_weight == 0:
            raise ConfigError("abs_weight and rel_weight are both 0, so nothing would be learned; raise one")
        if max_inverse is not None and not max_inverse > 0:
            raise ConfigError(f"max_inverse = {max_inverse} must be above 0")
        self.abs_weight = abs_weight
        self.rel_weight = rel_weight
        self.max_inverse = max_inverse
        self.min_valid = min_valid

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Raw depth or disparity, any shape.
            target: Labels of the same shape.
        """
        prediction = _full_precision(prediction)
        valid = torch.isfinite(target) & (target > self.min_valid)
        label = torch.where(valid, target, 1.0).to(prediction.dtype)
        error = torch.where(valid, prediction - label, 0.0).abs()
        loss = self.abs_weight * error
        if self.rel_weight:
            inverse = label.reciprocal()
            if self.max_inverse is not None:
                inverse = inverse.clamp(max=self.max_inverse)
            loss = loss + self.rel_weight * error * inverse
        return _mean(loss, valid)

    def extra_repr(self) -> str:
        """Describe the loss in a printed model."""
        return (
            f"abs_weight={self.abs_weight}, rel_weight={self.rel_weight}, max_inverse={self.max_inverse}, "
            f"min_valid={self.min_valid}"
        )


class L1Loss(JAReDLoss):
    """Mean absolute error over the pixels with a valid label: :class:`JAReDLoss` without its relative term.

    Args:
        min_valid: Labels at or below this are invalid.
    """

    def __init__(self, min_valid: float = 0.0) -> None:
        super().__init__(abs_weight=1.0, rel_weight=0.0, min_valid=min_valid)


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
        prediction = _full_precision(prediction)
        valid = valid_normals(target)
        label = F.normalize(torch.where(valid, target, 0.0).to(prediction.dtype), dim=1)
        # An invalid pixel's prediction is replaced before the division, so that its gradient is exactly 0.
        vector = torch.where(valid, prediction, 1.0)
        cosine = (vector * label).sum(1, keepdim=True) * (
            vector.square().sum(1, keepdim=True) + _LENGTH_EPSILON
        ).rsqrt()
        return _mean(torch.where(valid, 1.0 - cosine, 0.0), valid)


class MaskedCrossEntropy(nn.Module):
    """Cross-entropy over the pixels that have a class (label other than void, 255)."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Logits ``(N, C, H, W)``.
            target: Class ids, int64 ``(N, H, W)``, 255 = void.

        Raises:
            DataError: A label is neither a class nor void (noticed on CPU; a GPU stops with an error of its own).
        """
        prediction = _full_precision(prediction)
        try:
            # On CUDA the reductions of cross_entropy itself add in random order, which would end exact resuming.
            each = F.cross_entropy(prediction, target, ignore_index=VOID, reduction="none")
        except IndexError as error:
            raise DataError(
                f"a label is neither one of the {prediction.shape[1]} classes nor void ({VOID}): {error}"
            ) from None
        return _mean(each, target != VOID)


def valid_normals(target: Tensor) -> Tensor:
    """Mask ``(N, 1, H, W)`` of the pixels of ``(N, 3, H, W)`` that hold a direction, not the zero vector or NaN."""
    length = target.square().sum(1, keepdim=True)
    return torch.isfinite(length) & (length > 0.25)


def resize_target(target: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring labels to the resolution of a prediction by nearest neighbour; free where it fits already.

    Args:
        target: Class ids ``(N, H, W)``, or values ``(N, C, H, W)``.
        size: Wanted height and width.
    """
    if tuple(target.shape[-2:]) == tuple(size):
        return target
    if target.dim() == 3:
        return F.interpolate(target[:, None].float(), size=size, mode="nearest")[:, 0].to(target.dtype)
    return F.interpolate(target, size=size, mode="nearest")


@dataclass(frozen=True)
class LossPreset:
    """Loss weights that the paper trained a model with.

    Attributes:
        task_weights: Weight of each task's loss in the sum.
        depth_loss: ``l1`` or ``jared``.
        abs_weight: Weight of the absolute depth error (column L_1).
        rel_weight: Weight of the relative depth error (column L_RE); 0 for ``l1``.
    """

    task_weights: Mapping[str, float]
    depth_loss: DepthLoss = "l1"
    abs_weight: float = 1.0
    rel_weight: float = 0.0

    def task_options(self) -> dict[str, dict[str, Any]]:
        """Return options for :func:`ednas.tasks.make_tasks` (to be left out where depth is not among the tasks)."""
        if self.depth_loss == "l1":
            return {"depth": {"loss": "l1"}}
        return {"depth": {"loss": "jared", "abs_weight": self.abs_weight, "rel_weight": self.rel_weight}}


def _preset(segmentation: float, absolute: float, relative: float = 0.0, normals: float | None = None) -> LossPreset:
    weights = {"segmentation": segmentation, "depth": 1.0} | ({} if normals is None else {"normals": normals})
    return LossPreset(MappingProxyType(weights), "jared" if relative else "l1", absolute, relative)


LOSS_PRESETS: Mapping[str, LossPreset] = MappingProxyType(
    {
        "cityscapes_mt": _preset(0.4, 1.0),
        "cityscapes_ednas": _preset(0.4, 1.0),
        "cityscapes_jared": _preset(0.5, 0.95, 0.05),
        "nyuv2_mt": _preset(1.0, 1.0, normals=40.0),
        "nyuv2_ednas": _preset(1.0, 1.0, normals=50.0),
        "nyuv2_jared": _preset(1.0, 0.999, 0.001, normals=60.0),
        "table9_l1": _preset(0.5, 1.0),
        "table9_999_001": _preset(0.5, 0.999, 0.001),
        "table9_990_010": _preset(0.5, 0.99, 0.01),
        "table9_950_050": _preset(0.5, 0.95, 0.05),
        "table9_900_010": _preset(0.5, 0.9, 0.01),
        "table9_900_100": _preset(0.5, 0.9, 0.1),
    }
)
"""Loss weights by name: Table 8 (``cityscapes_*``, ``nyuv2_*``) and the multi-task rows of Table 9.

``table9_900_010`` is the last row as printed, (0.900, 0.010); every other row adds up to 1, so that 0.010 is probably
a slip for 0.100, which is ``table9_900_100``. Table 9's first row, ``table9_l1``, repeats the result of
``cityscapes_mt`` but prints a weight of 0.5 for segmentation where Table 8 prints 0.4.
"""


def loss_preset(name: str) -> LossPreset:
    """Return a preset of :data:`LOSS_PRESETS`.

    Raises:
        ConfigError: Unknown name, with the nearest known one.
    """
    if name not in LOSS_PRESETS:
        raise ConfigError(f"unknown loss preset '{name}'; {hint(name, LOSS_PRESETS)}")
    return LOSS_PRESETS[name]


def _full_precision(prediction: Tensor) -> Tensor:
    return prediction if prediction.dtype == torch.float64 else prediction.float()


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return values.sum() / valid.sum().clamp(min=1)
