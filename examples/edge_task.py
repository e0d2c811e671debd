"""A task of one's own: the borders between classes, derived from the segmentation labels.

Nothing in the package changes for it: this file is loaded as a plugin, and "edges" is then a task like any other.

    from ednas.plugins import load_plugin
    from ednas.tasks import make_task, task_target

    load_plugin("examples/edge_task.py")
    task = make_task("edges", dataset.info.targets[task_target("edges")])

Its metric is not built in, so a ``metrics.json`` says which way is better:

    {"protocol": "standard", "tasks": {"edges": {"edge_f1": 0.61}}, "higher_is_better": {"edge_f1": true}}
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.data.legend import Legend
from ednas.data.sample import VOID, TargetInfo
from ednas.exceptions import DataError, TrainingError
from ednas.tasks import EvaluationProtocol, Task, TaskMetrics, register_task
from ednas.tasks.base import check_kind, check_protocol

EDGE, PLAIN = 1, 0


def class_borders(labels: Tensor) -> Tensor:
    """Mark pixels whose right or lower neighbour has another class.

    Args:
        labels: Class ids ``(N, H, W)``, 255 = void.

    Returns:
        int64 ``(N, H, W)``: 1 on a border, 0 elsewhere, 255 where the pixel or one of those neighbours is void. Pixels
        of the last column and row have no neighbour there, which counts as one of the same class.
    """
    padded = F.pad(labels[:, None].float(), (0, 1, 0, 1), mode="replicate")[:, 0].to(labels.dtype)
    right, below = padded[:, :-1, 1:], padded[:, 1:, :-1]
    border = (labels != right) | (labels != below)
    void = (labels == VOID) | (right == VOID) | (below == VOID)
    return torch.where(void, VOID, torch.where(border, EDGE, PLAIN))


class EdgeTask(Task):
    """Class borders by weighted binary cross-entropy.

    Args:
        target_info: The segmentation target; kind ``labels``.
        positive_weight: Weight of a border pixel in the loss: borders are rare.
    """

    name = "edges"
    target = "segmentation"
    channels = 1

    def __init__(self, target_info: TargetInfo, *, positive_weight: float = 5.0) -> None:
        check_kind(self.name, target_info, "labels")
        self.positive_weight = positive_weight

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean binary cross-entropy of logits ``(N, 1, H, W)`` over the pixels with a label."""
        edges = class_borders(target)
        valid = edges != VOID
        each = F.binary_cross_entropy_with_logits(
            prediction[:, 0].float(),
            (edges == EDGE).float(),
            weight=valid.float(),
            pos_weight=torch.tensor(self.positive_weight, device=prediction.device),
            reduction="sum",
        )
        return each / valid.sum().clamp(min=1)

    def metrics(self, protocol: EvaluationProtocol = "standard") -> TaskMetrics:
        """Return a fresh ``edge_f1``; it is the same under both protocols."""
        check_protocol(protocol)
        return EdgeMetrics()

    def decode(self, prediction: Tensor) -> Tensor:
        """Return 1 on a border and 0 elsewhere, int64 ``(N, H, W)``."""
        return (prediction[:, 0] > 0).long()

    def decode_target(self, target: Tensor) -> Tensor:
        """Return the borders of class ids ``(N, H, W)``."""
        return class_borders(target)

    def picture(self, decoded: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Paint borders white on grey; void is black."""
        grey = np.select([decoded == EDGE, decoded == PLAIN], [255, 64], default=0).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)

    def legend(self, decoded: npt.NDArray[np.generic]) -> Legend:  # noqa: ARG002
        """Name the colours of a picture."""
        return Legend((("border", (255, 255, 255)), ("no border", (64, 64, 64)), ("no label", (0, 0, 0))))


class EdgeMetrics(TaskMetrics):
    """F1 score of the border pixels, 0 to 1, over all pixels with a label."""

    def __init__(self) -> None:
        self.higher_is_better = {"edge_f1": True}
        self.reset()

    def reset(self) -> None:
        """Forget everything taken in."""
        self._hits = self._found = self._true = self._pixels = 0

    @torch.no_grad()
    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in logits ``(N, 1, h, w)`` and class ids ``(N, H, W)``."""
        if not bool(torch.isfinite(prediction).all()):
            raise TrainingError("edges: a predicted value is NaN or infinite; training has diverged")
        if prediction.shape[-2:] != target.shape[-2:]:
            prediction = F.interpolate(prediction, size=target.shape[-2:], mode="bilinear", align_corners=False)
        labels = class_borders(target)
        valid = labels != VOID
        found, true = (prediction[:, 0] > 0) & valid, labels == EDGE
        self._hits += int((found & true).sum())
        self._found += int(found.sum())
        self._true += int(true.sum())
        self._pixels += int(valid.sum())

    def compute(self) -> dict[str, float]:
        """Return ``edge_f1``; 1 where there is no border and none is predicted."""
        if self._pixels == 0:
            raise DataError("edges: no pixel with a label in all that was evaluated")
        total = self._found + self._true
        return {"edge_f1": 2 * self._hits / total if total else 1.0}


register_task(EdgeTask.name, EdgeTask)
