"""Learning-rate range test (Smith, 2015): one short training whose rate grows from step to step, then thrown away.

While the rate is too low the loss stays where it is; then it falls, stops falling, and rises. The rate to train at is
the lowest one at which nearly all of the fall is done. It is read off the loss itself and not off its slope or its
minimum: networks with batch normalisation learn over such a range of rates that the slope is greatest far below the
best rate, and the minimum is flat and anywhere (docs/training.md has the figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ednas.data.holdout import hold_out
from ednas.exceptions import ConfigError, TrainingError
from ednas.files import write_json
from ednas.plugins import load_plugins
from ednas.runs import RunFolder
from ednas.tasks import Task
from ednas.training.callbacks import Callback, StepReport
from ednas.training.config import Normalisation, TrainConfig
from ednas.training.device import resolve_device
from ednas.training.loop import BatchSource, fit
from ednas.training.preparation import DecodeProgress, decode_splits, make_loader, make_model, open_splits
from ednas.training.recipe import Recipe
from ednas.training.teacher import Teacher, load_teacher

LOWEST, HIGHEST = 1e-6, 1.0
"""The rates that are tried."""

STEPS, FEWEST_STEPS = 100, 20
"""Steps of a test, and how few a shorter recipe may make of it."""

SHARE = 0.9
"""Share of the fall that is done at the suggested rate."""

DIVERGED = 4.0
"""The test ends where the loss is above this multiple of its minimum."""


@dataclass(frozen=True)
class RangeTest:
    """The outcome of a range test.

    Attributes:
        suggestion: The rate to train at, to two digits.
        rates: The rate of each step, rising.
        losses: The loss before each step: the sum of the tasks' losses by their weights.
        smoothed: The same without the differences from batch to batch.
    """

    suggestion: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``find_lr.json``: the attributes."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def save(self, folder: Path) -> None:
        """Write ``find_lr.json`` into a folder, atomically."""
        write_json(RunFolder(folder).range_test, self.to_dict())


def find_learning_rate(
    config: TrainConfig,
    *,
    callbacks: Sequence[Callback] = (),
    decode_progress: DecodeProgress | None = None,
    device: str = "auto",
) -> RangeTest:
    """Make the range test of a configuration: with the network, the batches and the recipe of its run.

    Args:
        config: What would be trained, on what, and how.
        callbacks: Called at every step.
        decode_progress: Called with samples done and in all while the dataset is decoded.
        device: Where to train.

    Raises:
        EdnasError: As :func:`ednas.training.prepare` and :func:`range_test`.
    """
    load_plugins(config.plugins)
    datasets, size = open_splits(config, ("train",))
    model = make_model(config, datasets, size, decode_progress)
    (split,) = decode_splits(datasets, model, decode_progress)
    if config.recipe.evaluate_every:
        split, _ = hold_out(split, targets=model.targets)
    model.to(resolve_device(device))
    return range_test(
        model.network,
        model.tasks,
        make_loader(config, model, split),
        config.recipe,
        normalisation=model.normalisation,
        teacher=None if config.recipe.teacher is None else load_teacher(config.recipe.teacher, model),
        device=device,
        callbacks=callbacks,
    )


def range_test(
    network: nn.Module,
    tasks: Mapping[str, Task],
    loader: BatchSource,
    recipe: Recipe,
    *,
    normalisation: Normalisation | None = None,
    teacher: Teacher | None = None,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
) -> RangeTest:
    """Train a network for a few steps at rising rates, by a recipe's optimizer, losses and clipping.

    Args:
        network: As :func:`ednas.training.loop.fit` takes it; its weights are of no use afterwards.
        tasks: By name, as the network's outputs.
        loader: Where batches come from.
        recipe: How to train; its own learning rate and its schedule do not matter.
        normalisation: What happens to an image before the network.
        teacher: Whose outputs the network learns to imitate too, on the device.
        device: As :func:`ednas.training.device.resolve_device` takes it.
        callbacks: Called at every step.

    Raises:
        ConfigError: The recipe has too few steps; or as :func:`~ednas.training.loop.fit`.
        TrainingError: The loss falls at no rate, or is not finite from the beginning.
    """
    sweep = _sweep(recipe)
    curve = _Curve()
    watchers = [*callbacks, curve]
    try:
        fit(
            network,
            tasks,
            loader,
            sweep,
            normalisation=normalisation,
            teacher=teacher,
            device=device,
            callbacks=watchers,
        )
    except _DivergedError:
        pass
    except TrainingError:
        if len(curve.losses) < FEWEST_STEPS:
            raise
    return judge(curve.rates, curve.losses)


def judge(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """Suggest a rate from the losses at rising rates.

    Raises:
        TrainingError: The loss does not fall by more than it differs from batch to batch.
    """
    smoothed = _smooth(rates, losses)
    start, lowest = smoothed[: max(1, len(smoothed) // 10)].mean(), smoothed.min()
    scatter = np.median(np.abs(smoothed - losses))
    if start - lowest <= 2 * scatter + 1e-3 * abs(start):
        raise TrainingError(
            f"the range test found no learning rate at which the loss falls: it is {start:.4g} in the beginning and "
            f"{lowest:.4g} at the lowest, and differs as much between batches; check the labels, or name a rate"
        )
    chosen = rates[int(np.argmax(smoothed <= start - SHARE * (start - lowest)))]
    return RangeTest(float(f"{chosen:.2g}"), tuple(rates), tuple(losses), tuple(smoothed.tolist()))


class _Sweep(Recipe):
    """A recipe whose rate grows by the same factor from step to step."""

    def learning_rate_at(self, step: int) -> float:
        return float(LOWEST * (HIGHEST / LOWEST) ** (step / (self.steps - 1)))


def _sweep(recipe: Recipe) -> _Sweep:
    if recipe.steps < FEWEST_STEPS:
        raise ConfigError(
            f"recipe.steps: {recipe.steps}: a range test needs {FEWEST_STEPS} at least; train longer, or name a rate"
        )
    changes = {
        "learning_rate": HIGHEST,
        "steps": min(STEPS, recipe.steps),
        "restarts": None,
        "ema_decay": None,
        "evaluate_every": None,
        "log_every": 1,
    }
    return _Sweep.model_validate({**recipe.model_dump(), **changes})


class _DivergedError(Exception):
    """Ends a test whose loss is far above its minimum."""


class _Curve:
    """Notes rate and loss of every step; a callback."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []

    def __call__(self, report: StepReport) -> None:
        self.rates.append(report.learning_rate)
        self.losses.append(report.loss)
        smoothed = _smooth(self.rates, self.losses)
        if smoothed[-1] > DIVERGED * smoothed.min() > 0:
            raise _DivergedError


def _smooth(rates: Sequence[float], losses: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Average each loss with its neighbours, by a Gaussian whose standard deviation is a factor of 2 of the rate.

    A running average of past losses would lag behind.
    """
    places = np.log2(rates)
    weights = np.exp(-((places[:, None] - places) ** 2) / 2)
    return np.asarray(weights @ np.asarray(losses, np.float64) / weights.sum(axis=1))
