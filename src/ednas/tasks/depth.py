"""Depth estimation, a distance or a disparity for every pixel: the task, its metrics and its losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ednas.data.colors import color_target, depth_range
from ednas.data.legend import Legend, target_legend
from ednas.data.sample import DEPTHS, TargetInfo
from ednas.exceptions import ConfigError, DataError
from ednas.tasks.base import EvaluationProtocol, Task, check_kind, register_task
from ednas.tasks.losses import check_number, full_precision, make_loss, weighted_mean
from ednas.tasks.means import mean_label
from ednas.tasks.metrics import SumMetrics

DEFAULT_REL_WEIGHT = 0.05
"""Weight of JAReD's relative term in the paper's CityScapes models (Table 8)."""

_MIN_RATIO = 0.01
"""Prediction over label below which the scale-invariant loss leaves the logarithm."""

ADASHARE_MIN_DEPTH = 3e-5
"""Depth labels at or below this are invalid under AdaShare's protocol, whatever their unit."""

DELTA_THRESHOLDS: Mapping[str, float] = {"delta_1": 1.25, "delta_2": 1.25**2, "delta_3": 1.25**3}
"""Factor that a depth must be within, by metric."""

SMALLEST_RATIO = 1e-3
"""Smallest prediction / label in the logarithmic error: the floor that keeps it finite for predictions of 0."""


class DepthTask(Task):
    """Depth estimation, by L1 or another loss of :mod:`ednas.tasks.depth`.

    The network's output is the depth itself, without an activation: the loss acts on the raw number, so that a pixel
    whose output has fallen below 0 still gets a gradient that lifts it, which a ReLU in the network would cut off.
    :meth:`decode` clamps at 0, which no true depth is below.

    Args:
        target_info: A target of kind ``distance`` or ``disparity``.
        loss: ``l1``, ``jared`` (Eq. 8), ``silog``, ``berhu`` or a registered one; or weights by name, for a weighted
            sum of several.
        abs_weight: Weight of the absolute error; 1 by default. JAReD only.
        rel_weight: Weight of the relative error; 0.05 by default. JAReD only.
        max_inverse: Largest 1 / label that counts in the relative error; no limit by default. JAReD only.
        variance_focus: Share of a common factor's error that is forgiven; 0.5 by default. ``silog`` only.
        min_valid: Labels at or below this are invalid in the loss and in the ``standard`` metrics.
        loss_options: Options of registered losses (:func:`ednas.tasks.register_loss`).

    Raises:
        ConfigError: The target is of another kind, or an option is wrong.
    """

    name = "depth"
    channels = 1
    decoding = "depth"

    def __init__(
        self,
        target_info: TargetInfo,
        *,
        loss: str | Mapping[str, float] = "l1",
        abs_weight: float | None = None,
        rel_weight: float | None = None,
        max_inverse: float | None = None,
        variance_focus: float | None = None,
        min_valid: float = 0.0,
        loss_options: Mapping[str, Any] | None = None,
    ) -> None:
        check_kind(self.name, target_info, *DEPTHS)
        self._info = target_info
        self._min_valid = min_valid
        options = {
            "abs_weight": abs_weight,
            "rel_weight": rel_weight,
            "max_inverse": max_inverse,
            "variance_focus": variance_focus,
            "min_valid": min_valid or None,  # 0 is every loss's own
            **(loss_options or {}),
        }
        self._loss = make_loss(self.name, DEPTH_LOSSES, loss, options)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss over valid pixels of raw output ``(N, 1, h, w)`` and labels ``(N, 1, H, W)``, 0 = invalid."""
        loss: Tensor = self._loss(prediction, target)
        return loss

    def metrics(self, protocol: EvaluationProtocol = "standard") -> DepthMetrics:
        """Return fresh metrics; ``abs_err`` and ``rmse`` are in the label's unit, which a disparity has not."""
        unit = self._info.unit if self._info.kind == "distance" else ""
        return DepthMetrics(protocol, min_valid=self._min_valid, unit=unit)

    def decode(self, prediction: Tensor) -> Tensor:
        """Return depth ``(N, 1, H, W)`` of at least 0, in the label's unit."""
        return prediction.clamp(min=0)

    def trivial(self, targets: Iterable[Tensor]) -> Tensor | None:
        """Return the mean of each pixel's valid labels."""
        return mean_label((target, torch.isfinite(target) & (target > self._min_valid)) for target in targets)

    def picture(
        self, decoded: npt.NDArray[np.generic], value_range: tuple[float, float] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Paint depth ``(1, H, W)`` or ``(H, W)``: near is bright, far is dark; no depth is grey, the sky light blue.

        Args:
            decoded: The depth or its label; 0 and NaN = no depth, infinity = sky.
            value_range: Smallest and largest value of the colour scale; by default
                :func:`~ednas.data.colors.depth_range`.
        """
        return color_target(decoded.reshape(decoded.shape[-2:]), self._info, value_range)

    def legend(self, decoded: npt.NDArray[np.generic], value_range: tuple[float, float] | None = None) -> Legend:
        """Return the scale of a picture, which has the same arguments, and the colours of what has no depth."""
        return target_legend(self._info, depth_range(decoded) if value_range is None else value_range)

    def paint(
        self, decoded: npt.NDArray[np.generic], value_range: tuple[float, float] | None = None
    ) -> tuple[npt.NDArray[np.uint8], Legend]:
        """Return a picture and its legend, both of the same scale."""
        return self.picture(decoded, value_range), self.legend(decoded, value_range)

    def with_sky(
        self,
        decoded: npt.NDArray[Any],
        sky: npt.NDArray[np.bool_] | np.bool_,
        label: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]:
        """Return a depth that is infinite in the sky, of which a network is taught none, unless its label has one."""
        if label is not None:
            sky = sky & ~(label > 0)
        return np.where(sky, np.float32(np.inf), decoded)


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


class JAReDLoss(nn.Module):
    """Joint absolute-relative depth loss (Eq. 8).

    ``abs_weight * mean |y - p| + rel_weight * mean |y - p| / y`` over the pixels with a valid y. Equation 8 has
    weights (1, lambda); the paper's final models use (0.95, 0.05) on CityScapes and (0.999, 0.001) on NYUv2 (Table 8,
    in :data:`~ednas.tasks.presets.LOSS_PRESETS`).

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
            check_number(name, value, lambda number: number >= 0, "of at least 0")
        if abs_weight == rel_weight == 0:
            raise ConfigError("abs_weight and rel_weight are both 0, so nothing would be learned; raise one")
        if max_inverse is not None:
            check_number("max_inverse", max_inverse, lambda number: number > 0, "above 0")
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
        prediction, label, valid = _labelled(prediction, target, self.min_valid)
        error = torch.where(valid, prediction - label, 0.0).abs()
        loss = self.abs_weight * error
        if self.rel_weight:
            inverse = label.reciprocal()
            if self.max_inverse is not None:
                inverse = inverse.clamp(max=self.max_inverse)
            loss = loss + self.rel_weight * error * inverse
        return weighted_mean(loss, valid)

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


class SILogLoss(nn.Module):
    """Scale-invariant logarithmic error (Eigen et al. 2014, Eq. 4).

    ``mean d^2 - variance_focus * (mean d)^2`` with ``d = log p - log y`` over the pixels with a valid y, those of all
    images of a batch together. With a ``variance_focus`` of 1 a common factor of all predictions costs nothing.

    The output of a network may be 0 or less, where there is no logarithm. Where p is below y / 100, ``log (p / y)``
    goes on along its tangent at 1 / 100: the loss is defined for every output, and the gradient always lifts it.

    Args:
        variance_focus: Share of the common factor's error that is forgiven, 0 to 1 (lambda; 0.5 in the paper).
        min_valid: Labels at or below this are invalid; at least 0.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, variance_focus: float = 0.5, min_valid: float = 0.0) -> None:
        super().__init__()
        check_number("variance_focus", variance_focus, lambda number: 0 <= number <= 1, "from 0 to 1")
        check_number("min_valid", min_valid, lambda number: number >= 0, "of at least 0")
        self.variance_focus = variance_focus
        self.min_valid = min_valid

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Raw depth or disparity, any shape.
            target: Labels of the same shape.
        """
        prediction, label, valid = _labelled(prediction, target, self.min_valid)
        ratio = torch.where(valid, prediction / label, 1.0)
        clamped = ratio.clamp(min=_MIN_RATIO)
        difference = clamped.log() + (ratio - clamped) / _MIN_RATIO
        mean = weighted_mean(difference, valid)
        variance = weighted_mean(torch.where(valid, difference - mean, 0.0).square(), valid)
        return variance + (1 - self.variance_focus) * mean.square()  # unlike Eq. 4, never below 0 by rounding


class BerHuLoss(nn.Module):
    """Reverse Huber loss (Laina et al. 2016, Eq. 2): L1 for small errors, squares for large ones.

    Mean of ``e`` where ``e <= c`` and ``(e^2 + c^2) / 2c`` elsewhere, with ``e = |y - p|`` and c a fifth of the largest
    error in the batch, which counts as a constant in the gradient.

    Args:
        min_valid: Labels at or below this are invalid; at least 0.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, min_valid: float = 0.0) -> None:
        super().__init__()
        check_number("min_valid", min_valid, lambda number: number >= 0, "of at least 0")
        self.min_valid = min_valid

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Raw depth or disparity, any shape.
            target: Labels of the same shape.
        """
        prediction, label, valid = _labelled(prediction, target, self.min_valid)
        error = torch.where(valid, prediction - label, 0.0).abs()
        # The least normal number stands in for 0 where every prediction is right, so that nothing is divided by 0.
        limit = (error.detach().max() / 5).clamp(min=torch.finfo(error.dtype).tiny)
        return weighted_mean(torch.where(error <= limit, error, (error.square() / limit + limit) / 2), valid)


DEPTH_LOSSES: Mapping[str, type[nn.Module]] = MappingProxyType(
    {"l1": L1Loss, "jared": JAReDLoss, "silog": SILogLoss, "berhu": BerHuLoss}
)
"""The losses for depth by name."""


def _labelled(prediction: Tensor, target: Tensor, min_valid: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the prediction in full precision, the label (1 where it is invalid), and where it is valid."""
    prediction = full_precision(prediction)
    valid = torch.isfinite(target) & (target > min_valid)
    return prediction, torch.where(valid, target, 1.0).to(prediction.dtype), valid


register_task(DepthTask.name, DepthTask)
