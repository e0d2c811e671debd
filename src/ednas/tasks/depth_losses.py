"""Losses for depth."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ednas.exceptions import ConfigError
from ednas.tasks.losses import check_number, full_precision, weighted_mean

DEFAULT_REL_WEIGHT = 0.05
"""Weight of JAReD's relative term in the paper's CityScapes models (Table 8)."""

_MIN_RATIO = 0.01
"""Prediction over label below which the scale-invariant loss leaves the logarithm."""


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
