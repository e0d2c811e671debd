"""Depth estimation: a distance or a disparity for every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ednas.data.colors import color_target, depth_range
from ednas.data.legend import Legend, target_legend
from ednas.data.sample import DEPTHS, TargetInfo
from ednas.tasks.base import EvaluationProtocol, Task, check_kind, register_task
from ednas.tasks.depth_losses import DEPTH_LOSSES
from ednas.tasks.losses import make_loss, resize_target
from ednas.tasks.means import mean_label
from ednas.tasks.metrics import DepthMetrics


class DepthTask(Task):
    """Depth estimation, by L1 or another loss of :mod:`ednas.tasks.depth_losses`.

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
        loss: Tensor = self._loss(prediction, resize_target(target, (prediction.shape[-2], prediction.shape[-1])))
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


register_task(DepthTask.name, DepthTask)
