"""The training loop: steps, reports, saved state, resuming, and a stop at the first loss that is not finite.

Batches are a pure function of the seed and the step, the learning rate is one of the step, and everything else that a
step depends on (weights, buffers, Adam's moments) is in the saved state. A resumed run therefore ends with the same
weights as one that was not interrupted: on a CPU with the same number of threads, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from ednas.data.augment import Batch
from ednas.exceptions import ConfigError, TrainingError
from ednas.runs import RunFolder
from ednas.tasks import Task
from ednas.training.allocator import keep_freed_memory
from ednas.training.callbacks import Callback, StepReport
from ednas.training.config import Normalisation
from ednas.training.device import make_fabric
from ednas.training.interruption import Interruption
from ednas.training.recipe import Recipe
from ednas.training.state import load_state, save_state
from ednas.training.step import TrainingStep
from ednas.training.teacher import Teacher

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class BatchSource(Protocol):
    """Where batches come from; :class:`ednas.data.loader.BatchLoader` is one."""

    def stream(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """Yield ``(step, batch)`` for the steps from ``start`` to before ``stop``; each depends on its step alone."""
        ...


Validation = Callable[[nn.Module, int], None]
"""Called with the network to measure (the average of the weights where there is one) and the number of steps done."""


@dataclass(frozen=True)
class FitResult:
    """What :func:`fit` did.

    Attributes:
        steps: Steps done in all.
        resumed_at: Steps that had been done before, in an earlier call; 0 = none.
        losses: Loss by task, not weighted, mean over the steps since the last but one report; empty if there was no
            step left to do.
        seconds: Time taken.
        images_per_second: Over the whole call; 0 if there was no step left to do.
    """

    steps: int
    resumed_at: int
    losses: Mapping[str, float]
    seconds: float
    images_per_second: float


def fit(
    network: nn.Module,
    tasks: Mapping[str, Task],
    loader: BatchSource,
    recipe: Recipe,
    *,
    normalisation: Normalisation | None = None,
    teacher: Teacher | None = None,
    device: str = "auto",
    fabric: Fabric | None = None,
    compiled: bool = False,
    parts: int = 1,
    callbacks: Sequence[Callback] = (),
    validate: Validation | None = None,
    checkpoint_folder: Path | None = None,
    start: int = 0,
    resume: bool = False,
    identity: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> FitResult:
    """Train a network in place; where the recipe averages the weights, it ends with the average.

    With a ``checkpoint_folder`` the state is saved there every ``recipe.checkpoint_every`` steps, at the end, and on
    Ctrl-C and SIGTERM, which wait for the end of the step. What is saved is always finite.

    Args:
        network: Maps a normalised image ``(N, 3, H, W)`` to raw outputs by task.
        tasks: By name, as the network's outputs.
        loader: Where batches come from.
        recipe: How to train.
        normalisation: What happens to an image before the network.
        teacher: Whose outputs the network learns to imitate too, on the device; part of what the run is.
        device: As :func:`ednas.training.device.resolve_device` takes it; not used if ``fabric`` is given.
        fabric: A launched Fabric, for several processes.
        compiled: Whether to compile the network, as :class:`~ednas.training.step.TrainingStep` takes it.
        parts: In how many parts a batch passes, for want of memory, as :class:`~ednas.training.step.TrainingStep` takes
            it.
        callbacks: Called every ``recipe.log_every`` steps and after the last one.
        validate: Called every ``recipe.evaluate_every`` steps before the last one.
        checkpoint_folder: Where the state is saved; None = nowhere.
        start: Steps that the network has been trained for already, as far as no state says more.
        resume: Go on from the state in ``checkpoint_folder``, if there is one.
        identity: JSON values that say what the run is; resuming the state of another one is an error.
        seed: Of what the recipe's weighting draws.

    Raises:
        TrainingError: A loss or a weight is no longer finite; names the task and the step. The last saved state stays.
        CheckpointError: The state to resume from is damaged or belongs to another run.
        ConfigError: Device, precision or loss weights are wrong, ``validate`` comes without ``evaluate_every``, or the
            network cannot be compiled.
        KeyboardInterrupt: Ctrl-C, after the state has been saved.
        SystemExit: SIGTERM, after the state has been saved.
    """
    if validate and not recipe.evaluate_every:
        raise ConfigError("validate: would never be called; set the recipe's evaluate_every")
    if fabric is None:
        fabric = make_fabric(device, recipe.precision)
    if fabric.device.type == "cpu":
        keep_freed_memory()
    step = TrainingStep(
        network,
        tasks,
        recipe,
        fabric,
        normalisation or Normalisation(),
        teacher,
        compiled=compiled,
        parts=parts,
        seed=seed,
    )
    identity = {**(identity or {}), "teacher": None if teacher is None else teacher.digest}
    saver = _Saver(checkpoint_folder, step, fabric, identity)
    start = (saver.load() if resume else 0) or start
    # cuDNN tries its algorithms once per shape, and shapes are the same in every step.
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True),
        _compiler_errors() if compiled else nullcontext(),
    ):
        result = _run(
            step,
            loader=loader,
            tasks=tuple(tasks),
            recipe=recipe,
            fabric=fabric,
            callbacks=callbacks,
            validate=validate,
            saver=saver,
            start=start,
        )
    if step.averaged is not None:
        network.load_state_dict(step.learned.state_dict())
    return result


@contextmanager
def _compiler_errors() -> Iterator[None]:
    """Say in one line that PyTorch's compiler cannot do its work, for want of a C++ compiler for example."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).partition("\n\n")[0].split())[:300]
        raise ConfigError(f"the network cannot be compiled here ({reason}); train it without --compile") from error


def _run(
    step: TrainingStep,
    *,
    loader: BatchSource,
    tasks: tuple[str, ...],
    recipe: Recipe,
    fabric: Fabric,
    callbacks: Sequence[Callback],
    validate: Validation | None,
    saver: _Saver,
    start: int,
) -> FitResult:
    watch = _Watch(tasks, step, recipe, start)
    looks_each_step = fabric.device.type == "cpu"  # elsewhere a look at the losses would make the device wait
    between_steps = True
    done = start
    with Interruption() as interruption, _stream(loader, start, recipe.steps) as stream:
        try:
            for index, batch in stream:
                between_steps = False
                if index in (recipe.restarts or ()):
                    step.restart()
                watch.add(index, step(_share(batch, fabric), index))
                done, between_steps = index + 1, True
                last = done == recipe.steps
                if validate and recipe.evaluate_every and not last and done % recipe.evaluate_every == 0:
                    # Before the state is saved: a run that goes on from here has been measured here.
                    watch.check()
                    validate(step.learned, done)
                reports = last or done % recipe.log_every == 0
                stops = _stops(interruption, fabric, agree=looks_each_step or reports)
                saves = last or done % recipe.checkpoint_every == 0 or stops
                if looks_each_step or saves or reports:
                    watch.check()
                if saves:
                    saver.save(done)
                if reports:
                    report = watch.report(done)
                    for callback in callbacks if fabric.is_global_zero else ():
                        callback(report)
                step.train()  # a callback may have evaluated the network
                if stops:
                    interruption.act()
        except KeyboardInterrupt:
            # One that a callback or the loader raised; in the middle of a step there is nothing whole to save.
            if between_steps and done > start:
                watch.check()
                saver.save(done)
            raise
    return watch.result(done)


def _stops(interruption: Interruption, fabric: Fabric, *, agree: bool) -> bool:
    """Whether to stop after this step.

    Several processes stop together, once one was asked to, or the others would wait for it. They agree on it at some
    steps only, the same in all: it makes a device wait.
    """
    if fabric.world_size == 1:
        return interruption.requested
    if not agree:
        return False
    stops = torch.tensor(float(interruption.requested), device=fabric.device)
    return bool(fabric.all_reduce(stops, reduce_op="sum"))


@contextmanager
def _stream(loader: BatchSource, start: int, stop: int) -> Iterator[Iterator[tuple[int, Batch]]]:
    """The loader's stream, whose background work ends with the block."""
    stream = loader.stream(start, stop)
    try:
        yield stream
    finally:
        if isinstance(stream, Generator):
            stream.close()


class _Saver:
    """Saves and loads the state of a run, once per number of steps."""

    def __init__(self, folder: Path | None, step: TrainingStep, fabric: Fabric, identity: Mapping[str, Any]) -> None:
        self._file = None if folder is None else RunFolder(folder).state
        self._step = step
        self._fabric = fabric
        self._identity = identity
        self._saved = -1

    def load(self) -> int:
        """Bring the run to the saved state; return its number of steps, 0 if there is none."""
        if self._file is None or not self._file.is_file():
            return 0
        done, scaler = load_state(self._file, self._step.modules, self._step.optimizer, self._identity)
        self._fabric._precision.load_state_dict(scaler)
        self._saved = done
        return done

    def save(self, done: int) -> None:
        if self._file is None or done == self._saved or not self._fabric.is_global_zero:
            return
        scaler = self._fabric._precision.state_dict()
        save_state(self._file, self._step.modules, self._step.optimizer, done, identity=self._identity, scaler=scaler)
        self._saved = done


class _Watch:
    """Gathers losses on the device, looks at them when asked to, and measures speed."""

    def __init__(self, tasks: tuple[str, ...], step: TrainingStep, recipe: Recipe, start: int) -> None:
        self._tasks = tasks
        self._step = step
        self._recipe = recipe
        self._start = start
        self._unseen: list[tuple[int, Tensor]] = []
        self._window: list[list[float]] = []
        self._losses: dict[str, float] = {}
        self._began = self._since = time.perf_counter()
        self._pace = 0.0

    def add(self, step: int, losses: Tensor) -> None:
        self._unseen.append((step, losses))

    def check(self) -> None:
        """Look at the losses since the last look.

        Raises:
            TrainingError: One is not finite.
        """
        if not self._unseen:
            return
        values: list[list[float]] = torch.stack([losses for _, losses in self._unseen]).tolist()
        for (step, _), row in zip(self._unseen, values, strict=True):
            for task, value in zip(self._tasks, row, strict=True):
                if not abs(value) < float("inf"):
                    raise TrainingError(
                        f"step {step + 1}: the loss of task '{task}' is {value}; training has diverged: lower the "
                        "learning rate, set grad_clip, or check the labels"
                    )
        self._window += values
        self._unseen.clear()

    def report(self, done: int) -> StepReport:
        """Sum up the steps since the last report."""
        now = time.perf_counter()
        pace = (now - self._since) / len(self._window)
        # The first steps are slow (buffers, kernels); later ones count more.
        self._pace = pace if self._pace == 0 else 0.7 * self._pace + 0.3 * pace
        means = [sum(column) / len(column) for column in zip(*self._window, strict=True)]
        self._losses = dict(zip(self._tasks, means, strict=True))
        self._window, self._since = [], now
        return StepReport(
            step=done,
            steps=self._recipe.steps,
            losses=self._losses,
            loss=sum(self._step.weights[task] * value for task, value in self._losses.items()),
            learning_rate=self._recipe.learning_rate_at(done - 1),
            images_per_second=self._recipe.batch_size / pace,
            eta_seconds=self._pace * (self._recipe.steps - done),
            task_weights={}
            if self._step.is_fixed
            else dict(zip(self._tasks, self._step.counted.tolist(), strict=True)),
        )

    def result(self, done: int) -> FitResult:
        seconds = time.perf_counter() - self._began
        images = (done - self._start) * self._recipe.batch_size
        return FitResult(done, self._start, self._losses, seconds, images / seconds if images else 0.0)


def _share(batch: Batch, fabric: Fabric) -> Batch:
    """This process's rows of a batch, on its device."""
    if fabric.world_size > 1:
        batch = {name: values[fabric.global_rank :: fabric.world_size] for name, values in batch.items()}
    return {name: values.to(fabric.device, non_blocking=True) for name, values in batch.items()}
