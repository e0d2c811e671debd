"""Training runs: from a configuration to a folder with a checkpoint, metrics and logs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ednas.data import CachedSplit
from ednas.data.holdout import hold_out
from ednas.data.units import mean_depths
from ednas.exceptions import ConfigError
from ednas.files import exclusive, write_json
from ednas.metrics import TaskValues
from ednas.mtl.weighting.searched import SEARCHED
from ednas.plugins import load_plugins
from ednas.runs import RunFolder
from ednas.scoring import accuracy
from ednas.training.callbacks import Callback, ValidationCallback, ValidationReport
from ednas.training.checkpoint import load_checkpoint, read_metrics, save_checkpoint
from ednas.training.config import TrainConfig, load_config
from ednas.training.device import device_name, is_helper, make_fabric
from ednas.training.evaluate import evaluate
from ednas.training.find_lr import find_learning_rate
from ednas.training.find_sharing import find_sharing, learned_sharing
from ednas.training.find_weights import find_weights
from ednas.training.logs import RunLogs, run_log
from ednas.training.loop import fit
from ednas.training.model import Model
from ednas.training.preparation import DecodeProgress, decode_splits, make_loader, make_model, open_splits
from ednas.training.recipe import AUTO
from ednas.training.resume import Plan, check_same_data, plan
from ednas.training.size import ARCHITECTURE, with_stated_size
from ednas.training.summary import mean_metrics, summarise
from ednas.training.teacher import Teacher, load_teacher
from ednas.training.trackers import Tracker, check_trackers
from ednas.training.trivial import measure_trivial, shortcomings

if TYPE_CHECKING:
    import torch
    from lightning.fabric import Fabric
    from torch import nn

    from ednas.nn import MultiTaskNetwork

Announce = Callable[[str], None]
"""Called with a line that says what is about to be trained."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """A finished training run.

    Attributes:
        folder: The run's folder.
        checkpoint: Its checkpoint.
        metrics: Content of the checkpoint's ``metrics.json``.
    """

    folder: Path
    checkpoint: Path
    metrics: dict[str, Any]


@dataclass(frozen=True)
class TrainRunsResult:
    """Runs that differ in their seed alone.

    Attributes:
        folder: The folder of all runs.
        runs: The runs.
        summary: Content of ``summary.json``: ``runs``, ``seeds``, and by task and metric ``mean``, ``std`` and
            ``values``.
        metrics: Content of ``metrics.json``: that of one run, with means as values and without its classes.
    """

    folder: Path
    runs: tuple[TrainResult, ...]
    summary: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def spread(self) -> TaskValues:
        """Standard deviations over the runs, by task and metric."""
        return {
            task: {metric: value["std"] for metric, value in values.items()}
            for task, values in self.summary["tasks"].items()
        }


def train(
    config: TrainConfig,
    out: Path | str,
    *,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    validation_callbacks: Sequence[ValidationCallback] = (),
    decode_progress: DecodeProgress | None = None,
    announce: Announce | None = None,
    device: str = "auto",
    devices: int = 1,
    compiled: bool = False,
    logs: bool = True,
    loggers: Collection[str] = (),
) -> TrainResult:
    """Train a network, measure it on the validation split, and write the run's folder.

    With ``recipe.evaluate_every``, a part of the training split is held out and measured while the network is trained.
    Where ``recipe.learning_rate`` is ``auto``, :func:`find_learning_rate` finds it before, and where the weighting is
    ``searched``, :func:`find_weights` finds the weights of the losses; where it has to be learned what tasks share,
    :func:`find_sharing` learns it. A resumed run keeps what was found.

    The folder holds ``config.yaml`` (complete: it can be run again from anywhere), ``checkpoint/``, ``best/`` (the
    checkpoint that was best on the part that was held out, where there is one), ``log.txt``, ``logs/`` (CSV and
    TensorBoard; ``validation.csv`` is what was measured on the part that was held out), ``find_lr.json`` where the
    learning rate was found, ``find_weights.json`` and ``find_sharing.json`` likewise, and until the run is finished
    ``state.safetensors``, from which it resumes.

    Args:
        config: What to train, on what, and how.
        out: The run's folder.
        resume: Go on with the run in ``out`` if one was broken off there; a finished one is not trained again. If the
            recipe has more steps than the run, it is lengthened (:attr:`~ednas.training.recipe.Recipe.restarts`).
        callbacks: Called with the progress, for example a :class:`~ednas.training.progress.ProgressBar`.
        validation_callbacks: Called with the model and its metrics at each validation of ``recipe.evaluate_every``.
        decode_progress: Called with samples done and in all while the dataset is decoded.
        announce: Called before the first step with a line: what is trained, at which size, and why at that.
        device: As :func:`ednas.training.device.resolve_device` takes it.
        devices: Processes to train in together (DDP).
        compiled: Whether to compile the network (``torch.compile``): minutes once, for shorter steps.
        logs: Whether to write CSV and TensorBoard's files to ``logs/``.
        loggers: Where to send what these hold besides: ``wandb``, ``mlflow`` (:mod:`ednas.training.trackers`).

    Raises:
        ConfigError: The configuration is wrong; there are validation callbacks and nothing is validated; a logger is
            not installed; or ``out`` holds a run already, and ``resume`` is false, or it is a run of another
            configuration or of more steps.
        DataError: The dataset is missing, damaged, or lacks what a task needs.
        ArchitectureError: The architecture is wrong.
        TrainingError: The loss became NaN or infinite.
        CheckpointError: The state to resume from is damaged.
    """
    check_trackers(loggers)
    if validation_callbacks and not config.recipe.evaluate_every:
        raise ConfigError("validation_callbacks: nothing is validated while training; set the recipe's evaluate_every")
    stated, run = with_stated_size(config), RunFolder(out)
    size_source = None if stated is config else ARCHITECTURE
    todo = plan(run, stated.standalone(), resume)
    config = todo.config
    load_plugins(config.plugins)
    if todo.done:
        check_same_data(run, config, decode_progress)
    if todo.is_finished:
        return TrainResult(run.path, run.checkpoint.path, read_metrics(run.checkpoint.path))
    if config.recipe.learning_rate == AUTO and devices > 1:
        raise ConfigError(f"learning_rate '{AUTO}': needs one device; write what `ednas train --find-lr` suggests")
    if _searches_weights(config) and devices > 1:
        raise ConfigError(f"weighting '{SEARCHED}': needs one device; find the weights on one, and write them down")
    if devices > 1 and learned_sharing(config) is not None:
        raise ConfigError("sharing: what is shared is learned on one device; train on one, or name the pattern")
    if config.recipe.batch_size < 2 * devices:
        raise ConfigError(f"batch size {config.recipe.batch_size}: fewer than 2 samples for each of {devices} devices")
    # Before other processes are started that train together with this one, which would lock each other out.
    with nullcontext() if is_helper() else exclusive(run.path), ExitStack() as stack:
        fabric = make_fabric(device, config.recipe.precision, devices)
        if fabric.is_global_zero:
            stack.enter_context(run_log(run.log))
        if config.recipe.learning_rate == AUTO:
            test = find_learning_rate(config, decode_progress=decode_progress, device=device)
            test.save(run.path)
            todo = replace(todo, config=config.with_learning_rate(test.suggestion))
            _log.info("learning rate %g, found by a range test: %s", test.suggestion, run.range_test)
        if learned_sharing(todo.config) is not None:
            found = find_sharing(todo.config, run, decode_progress=decode_progress, device=device, announce=announce)
            todo = replace(todo, config=found)
        if _searches_weights(config):
            found = find_weights(todo.config, run, decode_progress=decode_progress, device=device, announce=announce)
            todo = replace(todo, config=found)
        return _train(
            todo,
            run,
            fabric,
            size_source=size_source,
            resume=resume,
            callbacks=callbacks,
            validation_callbacks=validation_callbacks,
            decode_progress=decode_progress,
            announce=announce,
            compiled=compiled,
            logs=logs,
            loggers=loggers,
        )


def _searches_weights(config: TrainConfig) -> bool:
    return config.recipe.weighting.name == SEARCHED and len(config.tasks) > 1


def train_runs(
    config: TrainConfig,
    out: Path | str,
    runs: int = 3,
    *,
    resume: bool = False,
    callbacks: Callable[[int], Sequence[Callback]] | None = None,
    decode_progress: DecodeProgress | None = None,
    announce: Announce | None = None,
    device: str = "auto",
    compiled: bool = False,
    logs: bool = True,
    loggers: Collection[str] = (),
) -> TrainRunsResult:
    """Train the same network ``runs`` times, with the seeds ``config.seed``, ``config.seed + 1``, ...

    Writes ``seed_<n>/`` for every run (see :func:`train`), and ``summary.json`` and ``metrics.json`` over all. A
    learning rate that is ``auto`` is found by the first run, for all.

    Args:
        config: As for :func:`train`.
        out: The folder of all runs.
        runs: How many.
        resume: Keep finished runs, or lengthen them, and go on with the one that was broken off.
        callbacks: Makes the callbacks of run 0, 1, ...
        decode_progress: Called with samples done and in all while the dataset is decoded.
        announce: Called before each run with a line that says what is trained.
        device: Where to train.
        compiled: As for :func:`train`.
        logs: As for :func:`train`, of every run.
        loggers: As for :func:`train`; every run is one there too.

    Raises:
        EdnasError: As :func:`train`; ``runs`` is below 1.
    """
    if runs < 1:
        raise ConfigError(f"runs = {runs}: must be at least 1")
    folder = RunFolder(out)
    results: list[TrainResult] = []
    for index in range(runs):
        seeded = config.model_copy(update={"seed": config.seed + index})
        if results:  # the first run's learning rate, where it had to be found, and its restarts are those of all
            found = load_config(RunFolder(results[0].folder).config).recipe
            settled = {"learning_rate": found.learning_rate, "restarts": found.restarts}
            seeded = seeded.model_copy(update={"recipe": seeded.recipe.model_copy(update=settled)})
        results.append(
            train(
                seeded,
                folder.seed(seeded.seed).path,
                resume=resume,
                callbacks=callbacks(index) if callbacks else (),
                decode_progress=decode_progress,
                announce=announce,
                device=device,
                compiled=compiled,
                logs=logs,
                loggers=loggers,
            )
        )
    measured = [result.metrics for result in results]
    summary = summarise(measured)
    metrics = mean_metrics(measured, summary)
    write_json(folder.summary, summary)
    write_json(folder.metrics, metrics)
    return TrainRunsResult(folder.path, tuple(results), summary, metrics)


def _train(
    todo: Plan,
    run: RunFolder,
    fabric: Fabric,
    *,
    size_source: str | None,
    resume: bool,
    callbacks: Sequence[Callback],
    validation_callbacks: Sequence[ValidationCallback],
    decode_progress: DecodeProgress | None,
    announce: Announce | None,
    compiled: bool,
    logs: bool,
    loggers: Collection[str],
) -> TrainResult:
    config = todo.config
    datasets, size = open_splits(config, ("train", "val"))
    model = make_model(config, datasets, size, decode_progress)
    if announce is not None and fabric.is_global_zero:
        name = model.architecture.name or "a network"
        announce(f"training {name} at {replace(size, source=size_source or size.source)}")
        if todo.lengthening:
            announce(todo.lengthening)
    train_split, val_split = decode_splits(datasets, model, decode_progress)
    if todo.lengthening:
        _log.info("%s", todo.lengthening)
    if todo.done:
        model.network.load_state_dict(load_checkpoint(run.checkpoint.path).network.state_dict())
    held_out = None
    if config.recipe.evaluate_every:
        train_split, held_out = hold_out(train_split, targets=model.targets)
    model.to(fabric.device)
    teacher = None if config.recipe.teacher is None else load_teacher(config.recipe.teacher, model)
    _log_start(config, model, teacher)
    if fabric.is_global_zero:
        config.save(run.config)
    loader = make_loader(config, model, train_split)
    with ExitStack() as stack:
        recorders: list[RunLogs | Tracker] = []
        if logs and fabric.is_global_zero:
            recorders.append(stack.enter_context(RunLogs(run)))
        for name in loggers if fabric.is_global_zero else ():
            tracker = Tracker(name, run, config.model_dump(mode="json"))
            recorders.append(stack.enter_context(tracker))
        validate = None
        if held_out is not None:
            validate = _Validation(config, model, held_out, run, recorders, validation_callbacks)
        result = fit(
            model.network,
            model.tasks,
            loader,
            config.recipe,
            normalisation=model.normalisation,
            teacher=teacher,
            fabric=fabric,
            compiled=compiled,
            callbacks=[*recorders, *callbacks],
            validate=validate,
            checkpoint_folder=run.path,
            start=todo.done,
            resume=resume,
            identity={"data": train_split.digest, "architecture": model.architecture.fingerprint()},
            seed=config.seed,
        )
        model = model.with_training(steps=result.steps, seed=config.seed)
        metrics = _measure(config, model, train_split, val_split, fabric.device)
        for recorder in recorders:
            recorder.write_metrics(metrics, result.steps)
    if fabric.is_global_zero:
        save_checkpoint(run.checkpoint.path, model, metrics)
        run.state.unlink(missing_ok=True)
    _log.info("finished: %s", metrics["tasks"])
    for line in shortcomings(metrics):
        _log.warning("%s", line)
    return TrainResult(run.path, run.checkpoint.path, metrics)


def _log_start(config: TrainConfig, model: Model, teacher: Teacher | None) -> None:
    _log.info(
        "training %s (%d parameters) on %s at %dx%d: %s, %d steps of %d samples, seed %d",
        model.architecture.name or model.architecture.fingerprint(), model.params, model.dataset, *model.input_size,
        ", ".join(model.tasks), config.recipe.steps, config.recipe.batch_size, config.seed,
    )  # fmt: skip
    if teacher is not None:
        _log.info("imitating %s (%s) in %s", config.recipe.teacher, teacher.digest, ", ".join(teacher.tasks))


def _measure(
    config: TrainConfig, model: Model, train_split: CachedSplit, val_split: CachedSplit, device: torch.device
) -> dict[str, Any]:
    """Return the metrics of a trained network, and what they are compared with: ``metrics.json``."""
    metrics = evaluate(model, val_split, config.protocol, batch_size=config.recipe.eval_batch_size)
    metrics["trivial"] = measure_trivial(model.tasks, train_split, val_split, config.protocol, device=device)
    metrics["device"] = device_name(device)
    metrics["trained_on"] = {
        "dataset": model.dataset,
        "digest": train_split.digest,
        "mean_depths": mean_depths(train_split),
    }
    return metrics


class _Validation:
    """Measures the network while it is trained, logs what it measures, and keeps the best checkpoint so far."""

    def __init__(
        self,
        config: TrainConfig,
        model: Model,
        held_out: CachedSplit,
        run: RunFolder,
        recorders: Sequence[RunLogs | Tracker],
        callbacks: Sequence[ValidationCallback],
    ) -> None:
        self._config = config
        self._model = model
        self._held_out = held_out
        self._best_checkpoint = run.best_checkpoint
        self._recorders = recorders
        self._callbacks = callbacks
        best = read_metrics(run.best_checkpoint.path) if run.best_checkpoint.metrics.is_file() else None
        self._best = -math.inf if best is None else _accuracy(best)

    def __call__(self, network: nn.Module, step: int) -> None:
        model = replace(self._model, network=cast("MultiTaskNetwork", network))
        model = model.with_training(steps=step, seed=self._config.seed)
        metrics = evaluate(model, self._held_out, self._config.protocol, batch_size=self._config.recipe.eval_batch_size)
        value = _accuracy(metrics)
        _log.info("step %d: accuracy %.4f on the part of train that is held out: %s", step, value, metrics["tasks"])
        for recorder in self._recorders:
            recorder.write_validation(metrics, step)
        is_best = value > self._best
        if is_best:
            self._best = value
            save_checkpoint(self._best_checkpoint.path, model, metrics)
        network.eval()  # until the next step
        for callback in self._callbacks:
            callback(ValidationReport(step, model, metrics, value, is_best))


def _accuracy(metrics: Mapping[str, Any]) -> float:
    return accuracy(metrics["tasks"], higher_is_better=metrics["higher_is_better"])
