"""Weights & Biases and MLflow, through Lightning's loggers: reports and metrics also go there when asked for."""

from __future__ import annotations

import importlib
import logging
import os
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ednas.exceptions import ConfigError, EdnasError, hint
from ednas.files import read_json, write_json
from ednas.runs import RunFolder
from ednas.training.callbacks import StepReport
from ednas.training.logs import metric_values, report_values

if TYPE_CHECKING:
    from lightning.pytorch.loggers.logger import Logger

"""Names, by tracker, of the runs there: a resumed training goes on in the same."""

_log = logging.getLogger(__name__)


def check_trackers(names: Collection[str]) -> None:
    """Check that trackers can be used, before anything else takes its time.

    Raises:
        ConfigError: A name is unknown, or its package is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(
                f"unknown logger '{name}'; {hint(name, TRACKERS)} (CSV and TensorBoard are always written)"
            )
        try:
            importlib.import_module(name)
        except ImportError:
            raise ConfigError(f"logger '{name}': it is not installed; pip install 'ednas[{name}]'") from None


class Tracker:
    """Sends reports and metrics of one run to a tracker; a callback, and a context manager.

    A tracker that fails while the network is trained (a server that is down) is left alone from then on, with a
    warning: the training is worth more than its log.

    Args:
        name: ``wandb`` or ``mlflow``.
        run: The run's folder, whose path is the run's name there.
        folder: Where logs are kept.
        config: JSON values that say what the run is.

    Raises:
        EdnasError: The tracker cannot be started.
    """

    def __init__(self, name: str, run: RunFolder, config: Mapping[str, Any]) -> None:
        self._name = name
        self._is_alive = True
        known, folder = run.trackers, run.logs
        ids = read_json(known) if known.is_file() else {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._logger, self._finish = TRACKERS[name](str(run.path), folder, ids.get(name), config)
            write_json(known, {**ids, name: self._logger.version})
        except Exception as cause:  # whatever a server or a library comes up with
            raise EdnasError(f"logger '{name}' does not start: {_line(cause)}; check its settings") from cause

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._try(lambda: self._finish(kind is None))

    def __call__(self, report: StepReport) -> None:
        """Send a report."""
        self._send(report_values(report), report.step)

    def write_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """Send the values of a ``metrics.json``."""
        self._send(metric_values(metrics), step)

    def write_validation(self, metrics: Mapping[str, Any], step: int) -> None:
        """Send what was measured in the middle of the run."""
        self.write_metrics(metrics, step)

    def _send(self, values: Mapping[str, float], step: int) -> None:
        self._try(lambda: self._logger.log_metrics(dict(values), step))

    def _try(self, action: Callable[[], None]) -> None:
        if not self._is_alive:
            return
        try:
            action()
        except Exception as cause:
            self._is_alive = False
            _log.warning("logger '%s' failed, and gets nothing more of this run: %s", self._name, _line(cause))


Started = tuple["Logger", Callable[[bool], None]]
"""A logger that has started, and what ends its run, given whether the training was finished."""


def _start_wandb(name: str, folder: Path, run: str | None, config: Mapping[str, Any]) -> Started:
    """Start a run in ``folder/wandb``; nothing is sent unless ``WANDB_MODE`` says so."""
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(
        name=name,
        project=os.environ.get("WANDB_PROJECT", "ednas"),
        save_dir=folder,
        id=run or uuid.uuid4().hex[:8],
        mode=os.environ.get("WANDB_MODE", "offline"),
    )
    logger.log_hyperparams(dict(config))
    return logger, lambda succeeded: logger.experiment.finish(exit_code=0 if succeeded else 1)


def _start_mlflow(name: str, _: Path, run: str | None, config: Mapping[str, Any]) -> Started:
    """Start a run where ``MLFLOW_TRACKING_URI`` says; without it where ``mlflow ui`` looks by itself, in mlflow.db."""
    from lightning.pytorch.loggers import MLFlowLogger

    logger = MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", "ednas"),
        run_name=name,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"),
        run_id=run,
    )
    if run is None:  # parameters of a run cannot be changed, and those of a lengthened one would be
        logger.log_hyperparams(dict(config))
    return logger, lambda succeeded: logger.finalize("success" if succeeded else "failed")


TRACKERS: Mapping[str, Callable[[str, Path, str | None, Mapping[str, Any]], Started]] = {
    "wandb": _start_wandb,
    "mlflow": _start_mlflow,
}
"""What starts a tracker's run, by the name of the tracker and of its package."""


def _line(cause: BaseException) -> str:
    return " ".join(str(cause).split()) or type(cause).__name__
