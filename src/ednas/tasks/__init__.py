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
    make_task,
    make_tasks,
    register_task,
    task_channels,
    task_names,
    task_target,
)

if TYPE_CHECKING:
    from ednas.tasks.depth import BerHuLoss, DepthMetrics, DepthTask, JAReDLoss, L1Loss, SILogLoss
    from ednas.tasks.losses import register_loss
    from ednas.tasks.normals import InverseCosineLoss, NormalMetrics, NormalsTask
    from ednas.tasks.presets import LOSS_PRESETS, LossPreset, loss_preset
    from ednas.tasks.segmentation.losses import (
        DiceLoss,
        FocalLoss,
        LovaszSoftmaxLoss,
        MaskedCrossEntropy,
        OhemCrossEntropy,
    )
    from ednas.tasks.segmentation.metrics import SegmentationMetrics
    from ednas.tasks.segmentation.task import SegmentationTask

__all__ = [
    "EvaluationProtocol",
    "PROTOCOLS",
    "Task",
    "TaskMetrics",
    "make_task",
    "make_tasks",
    "register_task",
    "task_channels",
    "task_names",
    "task_target",
    "DepthMetrics",
    "DepthTask",
    "NormalMetrics",
    "NormalsTask",
    "SegmentationMetrics",
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
    name: module
    for module, names in {
        "depth": ("BerHuLoss", "DepthMetrics", "DepthTask", "JAReDLoss", "L1Loss", "SILogLoss"),
        "losses": ("register_loss",),
        "normals": ("InverseCosineLoss", "NormalMetrics", "NormalsTask"),
        "presets": ("LOSS_PRESETS", "LossPreset", "loss_preset"),
        "segmentation.losses": (
            "DiceLoss",
            "FocalLoss",
            "LovaszSoftmaxLoss",
            "MaskedCrossEntropy",
            "OhemCrossEntropy",
        ),
        "segmentation.metrics": ("SegmentationMetrics",),
        "segmentation.task": ("SegmentationTask",),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
