"""Find, train and ship edge-efficient multi-task dense-prediction networks.

The names below are the public interface; they are imported when first used, so that ``import ednas`` is quick.

Example:
    >>> import ednas
    >>> base = ednas.load_architecture("base")
    >>> cost = ednas.estimate(base, {"segmentation": 19, "depth": 1}, (256, 256), ednas.load_target("coral_usb"))
    >>> cost.latency_ms > 0
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ednas.arch import (
        Architecture,
        Block,
        SearchSpace,
        SpaceConfig,
        StageConfig,
        load_architecture,
        make_block,
        register_kind,
        save_architecture,
    )
    from ednas.data import (
        CachedSplit,
        DatasetInfo,
        DenseDataset,
        Sample,
        TargetInfo,
        open_cache,
        open_dataset,
        register_format,
    )
    from ednas.data.augment import AugmentConfig
    from ednas.data.loader import BatchLoader
    from ednas.exceptions import EdnasError
    from ednas.export.converter import Converter, register_converter
    from ednas.export.run import ExportConfig, export_model
    from ednas.export.runtime import open_model
    from ednas.hw import (
        Cost,
        LayerGraph,
        Target,
        estimate,
        load_network,
        load_source,
        load_target,
        register_source,
        simulate,
        summarise,
        trace_module,
    )
    from ednas.metrics import load_metrics, merge_metrics
    from ednas.nn import MultiTaskNetwork, register_backbone, register_decoder
    from ednas.plugins import load_plugin
    from ednas.report import draw_architecture
    from ednas.scoring import compare
    from ednas.search import Evaluation, Evaluator, SearchConfig, StudyReader, run_search
    from ednas.tasks import (
        DepthMetrics,
        InverseCosineLoss,
        JAReDLoss,
        NormalMetrics,
        SegmentationMetrics,
        Task,
        TaskMetrics,
        make_task,
        register_loss,
        register_task,
    )
    from ednas.training import (
        Model,
        Recipe,
        TrainConfig,
        ValidationReport,
        build_model,
        evaluate,
        fit,
        load_checkpoint,
        predict,
        recipe,
        save_checkpoint,
        train,
        train_runs,
    )

_MODULES = {
    "ednas.arch": (
        "Architecture",
        "Block",
        "SearchSpace",
        "SpaceConfig",
        "StageConfig",
        "load_architecture",
        "make_block",
        "register_kind",
        "save_architecture",
    ),
    "ednas.data": (
        "CachedSplit",
        "DatasetInfo",
        "DenseDataset",
        "Sample",
        "TargetInfo",
        "open_cache",
        "open_dataset",
        "register_format",
    ),
    "ednas.data.augment": ("AugmentConfig",),
    "ednas.data.loader": ("BatchLoader",),
    "ednas.exceptions": ("EdnasError",),
    "ednas.export.converter": ("Converter", "register_converter"),
    "ednas.export.run": ("ExportConfig", "export_model"),
    "ednas.export.runtime": ("open_model",),
    "ednas.hw": (
        "Cost",
        "LayerGraph",
        "Target",
        "estimate",
        "load_network",
        "load_source",
        "load_target",
        "register_source",
        "simulate",
        "summarise",
        "trace_module",
    ),
    "ednas.nn": ("MultiTaskNetwork", "register_backbone", "register_decoder"),
    "ednas.plugins": ("load_plugin",),
    "ednas.report": ("draw_architecture",),
    "ednas.metrics": ("load_metrics", "merge_metrics"),
    "ednas.scoring": ("compare",),
    "ednas.search": ("Evaluation", "Evaluator", "SearchConfig", "StudyReader", "run_search"),
    "ednas.tasks": (
        "DepthMetrics",
        "InverseCosineLoss",
        "JAReDLoss",
        "NormalMetrics",
        "SegmentationMetrics",
        "Task",
        "TaskMetrics",
        "make_task",
        "register_loss",
        "register_task",
    ),
    "ednas.training": (
        "Model",
        "Recipe",
        "TrainConfig",
        "ValidationReport",
        "build_model",
        "evaluate",
        "fit",
        "load_checkpoint",
        "predict",
        "recipe",
        "save_checkpoint",
        "train",
        "train_runs",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Architecture",
    "AugmentConfig",
    "BatchLoader",
    "Block",
    "CachedSplit",
    "Converter",
    "Cost",
    "DatasetInfo",
    "DenseDataset",
    "DepthMetrics",
    "EdnasError",
    "Evaluation",
    "Evaluator",
    "ExportConfig",
    "InverseCosineLoss",
    "JAReDLoss",
    "LayerGraph",
    "Model",
    "MultiTaskNetwork",
    "NormalMetrics",
    "Recipe",
    "Sample",
    "SearchConfig",
    "SearchSpace",
    "SegmentationMetrics",
    "SpaceConfig",
    "StageConfig",
    "StudyReader",
    "Target",
    "TargetInfo",
    "Task",
    "TaskMetrics",
    "TrainConfig",
    "ValidationReport",
    "build_model",
    "compare",
    "draw_architecture",
    "estimate",
    "evaluate",
    "export_model",
    "fit",
    "load_architecture",
    "load_checkpoint",
    "load_metrics",
    "load_network",
    "load_plugin",
    "load_source",
    "load_target",
    "make_block",
    "make_task",
    "merge_metrics",
    "open_cache",
    "open_dataset",
    "open_model",
    "predict",
    "recipe",
    "register_backbone",
    "register_converter",
    "register_decoder",
    "register_format",
    "register_kind",
    "register_loss",
    "register_source",
    "register_task",
    "run_search",
    "save_architecture",
    "save_checkpoint",
    "simulate",
    "summarise",
    "trace_module",
    "train",
    "train_runs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ednas' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
