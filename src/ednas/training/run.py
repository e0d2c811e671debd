"""Training runs: from a configuration to a folder with a checkpoint, metrics and logs."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ednas.data import CachedSplit, DenseDataset, open_cache, open_dataset
from ednas.data.holdout import hold_out
from ednas.data.loader import BatchLoader
from ednas.data.reader import check_labels
from ednas.data.sample import VOID
from ednas.exceptions import CheckpointError, ConfigError
from ednas.files import write_json
from ednas.scoring import accuracy
from ednas.seeding import derive_seed
from ednas.tasks import load_plugin, task_target
from ednas.tasks.segmentation_losses import FREQUENCY, frequency_weights
from ednas.training.callbacks import Callback
from ednas.training.checkpoint import METRICS, load_checkpoint, read_metrics, save_checkpoint
from ednas.training.config import TrainConfig, load_config
from ednas.training.device import make_fabric
from ednas.training.evaluate import evaluate
from ednas.training.init import initialise, load_weights
from ednas.training.logs import RunLogs, run_log
from ednas.training.loop import fit
from ednas.training.model import Model, build_model
from ednas.training.resume import CHECKPOINT, CONFIG, Plan, plan
from ednas.training.size import ARCHITECTURE, InputSize, choose_input_size, with_stated_size
from ednas.training.state import STATE
from ednas.training.trackers import Tracker, check_trackers
from ednas.training.trivial import measure_trivial, shortcomings

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import nn

    from ednas.nn import MultiTaskNetwork

BEST, LOG, LOGS, SUMMARY = "best", "log.txt", "logs", "summary.json"

DecodeProgress = Callable[[int, int], None]
"""Called with (samples decoded, samples in all) while a dataset is decoded for the first time."""

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


def train(
    config: TrainConfig,
    out: Path | str,
    *,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    decode_progress: DecodeProgress | None = None,
    announce: Announce | None = None,
    device: str = "auto",
    devices: int = 1,
    logs: bool = True,
    loggers: Collection[str] = (),
) -> TrainResult:
    """Train a network, measure it on the validation split, and write the run's folder.

    With ``recipe.evaluate_every``, a part of the training split is held out and measured while the network is trained.

    The folder holds ``config.yaml`` (complete: it can be run again from anywhere), ``checkpoint/``, ``best/`` (the
    checkpoint that was best on the part that was held out, where there is one), ``log.txt``, ``logs/`` (CSV and
    TensorBoard), and until the run is finished ``state.safetensors``, from which it resumes.

    Args:
        config: What to train, on what, and how.
        out: The run's folder.
        resume: Go on with the run in ``out`` if one was broken off there; a finished one is not trained again. If the
            recipe has more steps than the run, it is lengthened (:attr:`~ednas.training.recipe.Recipe.restarts`).
        callbacks: Told about the progress, for example a :class:`~ednas.training.progress.ProgressBar`.
        decode_progress: Told about the decoding of the dataset.
        announce: Told what is trained, at which size and why at that, before the first step.
        device: As :func:`ednas.training.device.resolve_device` takes it.
        devices: Processes to train in together (DDP).
        logs: Whether to write CSV and TensorBoard's files to ``logs/``.
        loggers: Where to send what these hold besides: ``wandb``, ``mlflow`` (:mod:`ednas.training.trackers`).

    Raises:
        ConfigError: The configuration is wrong; a logger is not installed; or ``out`` holds a run already, and
            ``resume`` is false, or it is a run of another configuration or of more steps.
        DataError: The dataset is missing, damaged, or lacks what a task needs.
        ArchitectureError: The architecture is wrong.
        TrainingError: The loss became NaN or infinite.
        CheckpointError: The state to resume from is damaged.
    """
    check_trackers(loggers)
    stated, out = with_stated_size(config), Path(out)
    size_source = None if stated is config else ARCHITECTURE
    todo = plan(out, stated.standalone(), resume)
    config = todo.config
    if todo.is_finished:
        return TrainResult(out, out / CHECKPOINT, read_metrics(out / CHECKPOINT))
    for plugin in config.plugins:
        load_plugin(plugin)
    fabric = make_fabric(device, config.recipe.precision, devices)
    if config.recipe.batch_size < 2 * fabric.world_size:
        raise ConfigError(f"batch size {config.recipe.batch_size}: fewer than 2 samples for each of {devices} devices")
    with run_log(out / LOG) if fabric.is_global_zero else nullcontext():
        return _train(
            todo,
            out,
            fabric,
            size_source=size_source,
            resume=resume,
            callbacks=callbacks,
            decode_progress=decode_progress,
            announce=announce,
            logs=logs,
            loggers=loggers,
        )


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
    logs: bool = True,
    loggers: Collection[str] = (),
) -> TrainRunsResult:
    """Train the same network ``runs`` times, with the seeds ``config.seed``, ``config.seed + 1``, ...

    Writes ``seed_<n>/`` for every run (see :func:`train`), and ``summary.json`` and ``metrics.json`` over all.

    Args:
        config: As for :func:`train`.
        out: The folder of all runs.
        runs: How many.
        resume: Keep finished runs, or lengthen them, and go on with the one that was broken off.
        callbacks: Makes the callbacks of run 0, 1, ...
        decode_progress: Told about the decoding of the dataset.
        announce: Told what is trained, before each run.
        device: Where to train.
        logs: As for :func:`train`, of every run.
        loggers: As for :func:`train`; every run is one there too.

    Raises:
        EdnasError: As :func:`train`; ``runs`` is below 1.
    """
    if runs < 1:
        raise ConfigError(f"runs = {runs}: must be at least 1")
    out = Path(out)
    results: list[TrainResult] = []
    for index in range(runs):
        seeded = config.model_copy(update={"seed": config.seed + index})
        if results:  # one that begins now is trained as those that are lengthened
            restarts = load_config(results[0].folder / CONFIG).recipe.restarts
            seeded = seeded.model_copy(update={"recipe": seeded.recipe.model_copy(update={"restarts": restarts})})
        results.append(
            train(
                seeded,
                out / f"seed_{seeded.seed}",
                resume=resume,
                callbacks=callbacks(index) if callbacks else (),
                decode_progress=decode_progress,
                announce=announce,
                device=device,
                logs=logs,
                loggers=loggers,
            )
        )
    summary = summarise([result.metrics for result in results])
    metrics = {
        **{key: value for key, value in results[0].metrics.items() if key not in ("classes", "confusion")},
        "tasks": {
            task: {name: value["mean"] for name, value in values.items()} for task, values in summary["tasks"].items()
        },
        "remarks": [remark for result in results for remark in result.metrics.get("remarks", ())],
        "seed": None,
        "runs": runs,
    }
    write_json(out / SUMMARY, summary)
    write_json(out / METRICS, metrics)
    return TrainRunsResult(out, tuple(results), summary, metrics)


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the ``metrics.json`` of several runs.

    The standard deviation is the sample's (divided by n - 1), 0 for a single run.

    Returns:
        ``protocol``, ``runs``, ``seeds``, and ``tasks``: by task and metric ``mean``, ``std``, ``values``.

    Raises:
        CheckpointError: The runs were measured under different protocols or on different tasks or metrics.
    """
    first = runs[0]
    if any(_measured(run) != _measured(first) for run in runs):
        raise CheckpointError("the runs were measured under different protocols or on different tasks or metrics")
    tasks = {
        task: {name: _spread([run["tasks"][task][name] for run in runs]) for name in values}
        for task, values in first["tasks"].items()
    }
    return {
        "protocol": first["protocol"],
        "runs": len(runs),
        "seeds": [run.get("seed") for run in runs],
        "tasks": tasks,
        "higher_is_better": first.get("higher_is_better", {}),
    }


def _train(
    todo: Plan,
    out: Path,
    fabric: Fabric,
    *,
    size_source: str | None,
    resume: bool,
    callbacks: Sequence[Callback],
    decode_progress: DecodeProgress | None,
    announce: Announce | None,
    logs: bool,
    loggers: Collection[str],
) -> TrainResult:
    config = todo.config
    datasets, size = _open(config, ("train", "val"))
    model = _build(config, datasets, size, decode_progress)
    if announce is not None and fabric.is_global_zero:
        name = model.architecture.name or "a network"
        announce(f"training {name} at {replace(size, source=size_source or size.source)}")
        if todo.lengthening:
            announce(todo.lengthening)
    train_split, val_split = _decode(datasets, model, decode_progress)
    if todo.lengthening:
        _log.info("%s", todo.lengthening)
    if todo.done:
        model.network.load_state_dict(load_checkpoint(out / CHECKPOINT).network.state_dict())
    held_out = None
    if config.recipe.evaluate_every:
        train_split, held_out = hold_out(train_split)
    model.to(fabric.device)
    _log.info(
        "training %s (%d parameters) on %s at %dx%d: %s, %d steps of %d samples, seed %d",
        model.architecture.name or model.architecture.fingerprint(), model.params, model.dataset, *model.input_size,
        ", ".join(model.tasks), config.recipe.steps, config.recipe.batch_size, config.seed,
    )  # fmt: skip
    if fabric.is_global_zero:
        config.save(out / CONFIG)
    loader = BatchLoader(
        train_split,
        config.recipe.batch_size,
        derive_seed(config.seed, "batches"),
        config.recipe.augment,
        sorted(model.targets),
        device=fabric.device,
    )
    with ExitStack() as stack:
        recorders: list[RunLogs | Tracker] = []
        if logs and fabric.is_global_zero:
            recorders.append(stack.enter_context(RunLogs(out / LOGS)))
        for name in loggers if fabric.is_global_zero else ():
            tracker = Tracker(name, out, out / LOGS, config.model_dump(mode="json"))
            recorders.append(stack.enter_context(tracker))
        result = fit(
            model.network,
            model.tasks,
            loader,
            config.recipe,
            normalisation=model.normalisation,
            fabric=fabric,
            callbacks=[*recorders, *callbacks],
            validate=None if held_out is None else _Validation(config, model, held_out, out, recorders),
            checkpoint_folder=out,
            start=todo.done,
            resume=resume,
            identity={"data": train_split.folder.name, "architecture": model.architecture.fingerprint()},
        )
        model = model.with_training(steps=result.steps, seed=config.seed)
        metrics = evaluate(model, val_split, config.protocol, batch_size=config.recipe.eval_batch_size)
        metrics["trivial"] = measure_trivial(model.tasks, train_split, val_split, config.protocol, device=fabric.device)
        for recorder in recorders:
            recorder.write_metrics(metrics, result.steps)
    checkpoint = out / CHECKPOINT
    if fabric.is_global_zero:
        save_checkpoint(checkpoint, model, metrics)
        (out / STATE).unlink(missing_ok=True)
    _log.info("finished: %s", metrics["tasks"])
    for line in shortcomings(metrics):
        _log.warning("%s", line)
    return TrainResult(out, checkpoint, metrics)


def prepare(
    config: TrainConfig, decode_progress: DecodeProgress | None = None
) -> tuple[Model, CachedSplit, CachedSplit]:
    """Open the data and make the network of a configuration, fresh or with the weights of ``recipe.init``.

    Where a task's ``class_weights`` are ``frequency``, numbers that are counted from the training split take its place.

    Args:
        config: What to train, on what, and how.
        decode_progress: Told about the decoding of the dataset.

    Returns:
        The model, the training split and the validation split, both at the model's input size.

    Raises:
        EdnasError: The configuration, the data or the architecture are wrong; a split has no label at all of a task.
    """
    datasets, size = _open(config, ("train", "val"))
    model = _build(config, datasets, size, decode_progress)
    train_split, val_split = _decode(datasets, model, decode_progress)
    return model, train_split, val_split


def prepare_judgement(
    config: TrainConfig, decode_progress: DecodeProgress | None = None
) -> tuple[Model, CachedSplit, CachedSplit]:
    """Do as :func:`prepare` for a training whose result only helps to choose, as in a search.

    Such a choice must not look at the validation split, which is for the final figure alone: it is not opened.

    Returns:
        The model, and the training split in two parts: to train on, and to measure on
        (:func:`ednas.data.holdout.hold_out`).

    Raises:
        EdnasError: As :func:`prepare`.
    """
    datasets, size = _open(config, ("train",))
    model = _build(config, datasets, size, decode_progress)
    (split,) = _decode(datasets, model, decode_progress)
    return model, *hold_out(split)


def _open(config: TrainConfig, splits: Sequence[str]) -> tuple[list[DenseDataset], InputSize]:
    """Open splits of the data, and choose the size to train at."""
    datasets = [open_dataset(config.data, split, **config.data_options) for split in splits]
    height, width = datasets[0][0].image.shape[:2]
    return datasets, choose_input_size(config, (height, width))


def _build(
    config: TrainConfig, datasets: Sequence[DenseDataset], size: InputSize, decode_progress: DecodeProgress | None
) -> Model:
    """Make the network, and find what the data lack for its tasks."""
    architecture = config.load_architecture()
    weights = None if config.recipe.init is None else load_weights(config.recipe.init)
    train_set = datasets[0]
    task_options = config.all_task_options()
    for task, options in task_options.items():
        if options.get("class_weights") == FREQUENCY:
            split = open_cache(train_set, size.size, progress=decode_progress)
            options["class_weights"] = _frequency_weights(split, task_target(task))
    model = build_model(
        architecture,
        config.tasks,
        train_set.info.targets,
        input_size=size.size,
        seed=derive_seed(config.seed, "weights"),
        task_options=task_options,
        normalisation=config.normalisation or (None if weights is None else weights.normalisation),
        dataset=train_set.info.name,
    )
    if weights is not None:
        _log.info("start from %s; taken %s", config.recipe.init, initialise(model, weights))
    for dataset in datasets:
        check_labels(dataset, model.targets)
    return model


def _decode(
    datasets: Sequence[DenseDataset], model: Model, decode_progress: DecodeProgress | None
) -> list[CachedSplit]:
    return [open_cache(dataset, model.input_size, progress=decode_progress) for dataset in datasets]


class _Validation:
    """Measures the network while it is trained, logs what it measures, and keeps the best checkpoint so far."""

    def __init__(
        self,
        config: TrainConfig,
        model: Model,
        held_out: CachedSplit,
        out: Path,
        recorders: Sequence[RunLogs | Tracker],
    ) -> None:
        self._config = config
        self._model = model
        self._held_out = held_out
        self._out = out
        self._recorders = recorders
        best = out / BEST / METRICS
        self._best = accuracy(read_metrics(out / BEST)["tasks"]) if best.is_file() else -math.inf

    def __call__(self, network: nn.Module, step: int) -> None:
        model = replace(self._model, network=cast("MultiTaskNetwork", network))
        model = model.with_training(steps=step, seed=self._config.seed)
        metrics = evaluate(model, self._held_out, self._config.protocol, batch_size=self._config.recipe.eval_batch_size)
        value = accuracy(metrics["tasks"], higher_is_better=metrics["higher_is_better"])
        _log.info("step %d: accuracy %.4f on the part of train that is held out: %s", step, value, metrics["tasks"])
        for recorder in self._recorders:
            recorder.write_metrics(metrics, step)
        if value > self._best:
            self._best = value
            save_checkpoint(self._out / BEST, model, metrics)


def _frequency_weights(split: CachedSplit, target: str) -> list[float]:
    """Class weights by the frequencies of a split's labels, void excluded.

    Raises:
        ConfigError: The split has no such target of kind ``labels``.
    """
    info = split.info.targets.get(target)
    if info is None or info.kind != "labels":
        raise ConfigError(f"class_weights: '{FREQUENCY}' needs class labels, which the dataset's '{target}' has not")
    counts = np.zeros(VOID + 1, dtype=np.int64)
    for labels in split.targets[target][split.rows]:
        counts += np.bincount(labels.ravel(), minlength=len(counts))
    return frequency_weights(counts[: info.num_classes].tolist())


def _measured(metrics: dict[str, Any]) -> tuple[str, dict[str, set[str]]]:
    """Return under which protocol which metrics of which tasks were measured."""
    return metrics["protocol"], {task: set(values) for task, values in metrics["tasks"].items()}


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "mean": math.fsum(values) / len(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
        "values": values,
    }
