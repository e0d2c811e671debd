"""Training: recipes, the loop, checkpoints, evaluation and prediction.

Lightning and TensorBoard are imported when a run starts, not here.
"""

from ednas.training.callbacks import Callback, StepReport, ValidationCallback, ValidationReport
from ednas.training.checkpoint import load_checkpoint, read_metrics, save_checkpoint
from ednas.training.config import Normalisation, TrainConfig, load_config
from ednas.training.device import resolve_device
from ednas.training.evaluate import evaluate
from ednas.training.find_lr import RangeTest, find_learning_rate
from ednas.training.loop import FitResult, fit
from ednas.training.model import Model, build_model
from ednas.training.predict import Prediction, find_images, predict, write_predictions
from ednas.training.preparation import prepare, prepare_judgement
from ednas.training.progress import ProgressBar
from ednas.training.recipe import MAX_LEARNING_RATE, RECIPES, Recipe, recipe
from ednas.training.run import TrainResult, TrainRunsResult, train, train_runs
from ednas.training.summary import summarise
from ednas.training.tiles import Tiling
from ednas.training.video import predict_video

__all__ = [
    "Callback",
    "StepReport",
    "ValidationCallback",
    "ValidationReport",
    "load_checkpoint",
    "read_metrics",
    "save_checkpoint",
    "Normalisation",
    "TrainConfig",
    "load_config",
    "resolve_device",
    "evaluate",
    "FitResult",
    "fit",
    "Model",
    "build_model",
    "Prediction",
    "find_images",
    "predict",
    "predict_video",
    "write_predictions",
    "ProgressBar",
    "MAX_LEARNING_RATE",
    "RECIPES",
    "Recipe",
    "recipe",
    "TrainResult",
    "TrainRunsResult",
    "RangeTest",
    "find_learning_rate",
    "prepare",
    "prepare_judgement",
    "summarise",
    "train",
    "train_runs",
    "Tiling",
]
