"""Surface normal estimation: a unit vector for every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ednas.data.colors import color_target
from ednas.data.legend import Legend, target_legend
from ednas.data.sample import TargetInfo
from ednas.tasks.base import EvaluationProtocol, Task, check_kind, register_task
from ednas.tasks.losses import make_loss, resize_target
from ednas.tasks.means import mean_label
from ednas.tasks.metrics import NormalMetrics, unit_normals
from ednas.tasks.normals_losses import NORMALS_LOSSES, InverseCosineLoss, valid_normals


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
        loss: Tensor = self._loss(prediction, resize_target(target, (prediction.shape[-2], prediction.shape[-1])))
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


register_task(NormalsTask.name, NormalsTask)
