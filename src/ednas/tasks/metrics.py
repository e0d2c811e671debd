"""What the metrics of the built-in tasks share, and what they measure under two protocols.

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
  miss; in the logarithm, a prediction counts as :data:`ednas.tasks.depth.SMALLEST_RATIO` of its label at least,
  whatever the unit.
- ``median_angle``: from a histogram of :data:`ednas.tasks.normals.ANGLE_BIN` degrees, and no further than that from the
  exact median.

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

import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.exceptions import DataError, TrainingError
from ednas.metrics import METRICS
from ednas.tasks.base import EvaluationProtocol, TaskMetrics, check_protocol


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
