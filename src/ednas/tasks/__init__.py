"""What is predicted: one file a task, and a registry for tasks of users' own.

Names below that need torch are imported on first use, so that listing tasks stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ednas.tasks.base import (
    PROTOCOLS,
    EvaluationProtocol,
    Task,
    TaskMetrics,
    load_plugin,
    make_task,
    make_tasks,
    register_task,
    task_names,
    task_target,
)

if TYPE_CHECKING:
    from ednas.tasks.depth import DepthTask
    from ednas.tasks.depth_losses import BerHuLoss, JAReDLoss, L1Loss, SILogLoss
    from ednas.tasks.losses import register_loss
    from ednas.tasks.normals import NormalsTask
    from ednas.tasks.normals_losses import InverseCosineLoss
    from ednas.tasks.presets import LOSS_PRESETS, LossPreset, loss_preset
    from ednas.tasks.segmentation import SegmentationTask
    from ednas.tasks.segmentation_losses import (
        DiceLoss,
        FocalLoss,
        LovaszSoftmaxLoss,
        MaskedCrossEntropy,
        OhemCrossEntropy,
    )

__all__ = [
    "EvaluationProtocol",
    "PROTOCOLS",
    "Task",
    "TaskMetrics",
    "load_plugin",
    "make_task",
    "make_tasks",
    "register_task",
    "task_names",
    "task_target",
    "DepthTask",
    "NormalsTask",
    "SegmentationTask",
    "BerHuLoss",
    "DiceLoss",
    "FocalLoss",
    "InverseCosineLoss",
    "JAReDLoss",
    "L1Loss",
    "LovaszSoftmaxLoss",
    "MaskedCrossEntropy",
    "OhemCrossEntropy",
    "SILogLoss",
    "LOSS_PRESETS",
    "LossPreset",
    "loss_preset",
    "register_loss",
]

_LAZY = {
    "DepthTask": "depth",
    "NormalsTask": "normals",
    "SegmentationTask": "segmentation",
    "BerHuLoss": "depth_losses",
    "DiceLoss": "segmentation_losses",
    "FocalLoss": "segmentation_losses",
    "InverseCosineLoss": "normals_losses",
    "JAReDLoss": "depth_losses",
    "L1Loss": "depth_losses",
    "LovaszSoftmaxLoss": "segmentation_losses",
    "MaskedCrossEntropy": "segmentation_losses",
    "OhemCrossEntropy": "segmentation_losses",
    "SILogLoss": "depth_losses",
    "LOSS_PRESETS": "presets",
    "LossPreset": "presets",
    "loss_preset": "presets",
    "register_loss": "losses",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
