"""The proxy task of the paper: every candidate is trained from scratch, for a short while (supplement A).

With ``rungs``, those that do badly are trained for a shorter while still (:mod:`ednas.search.rungs`).
"""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.exceptions import ConfigError, DataError
from ednas.files import exists
from ednas.search.bank import training_context
from ednas.search.evaluators.base import CurvePoint, Evaluation
from ednas.search.evaluators.setting import PROXY, Setting, register_evaluator
from ednas.search.objective import METRICS
from ednas.search.rungs import Rungs

if TYPE_CHECKING:
    from torch import nn

    from ednas.nn import MultiTaskNetwork
    from ednas.training.config import TrainConfig

MODULES = ("ednas.training.run", "lightning.fabric")
"""What takes seconds to import and is worth to be imported before workers are forked."""

MOST_PARTS = 8
"""Where a batch in so many parts is too large for a GPU, the candidate fails."""


class ProxyOptions(StrictModel):
    """How candidates are trained, beside the search's recipe.

    Attributes:
        rungs: In how many parts of growing length a candidate is trained; between two it is stopped unless it is among
            the best ``1 / eta`` so far. 1 = every candidate is trained to the end.
        eta: How many times as many steps have been done at the end of a part as at its beginning.
    """

    rungs: int = Field(default=1, ge=1)
    eta: int = Field(default=4, ge=2)


@register_evaluator(PROXY, ProxyOptions, tells_losses=True)
def make_proxy(setting: Setting, options: ProxyOptions) -> ProxyEvaluator:
    """Return what trains candidates.

    Raises:
        ConfigError: The recipe's steps cannot be divided into rungs, or what is measured there says nothing yet.
    """
    training, recipe = setting.training, setting.training.recipe
    if options.rungs == 1:
        return ProxyEvaluator(training, setting.device, setting.digest)
    parts = options.eta ** (options.rungs - 1)
    first = recipe.steps // parts
    if recipe.steps % parts or first < 2:
        raise ConfigError(
            f"{options.rungs} rungs: the recipe's {recipe.steps} steps must be a multiple of {parts}, and two of them "
            "at least"
        )
    if setting.objective.config.by == METRICS and (recipe.schedule != "constant" or recipe.ema_decay is None):
        raise ConfigError(
            "rungs: before the learning rate has fallen, metrics say little; set reward.by to training_loss, or the "
            "recipe's schedule to constant and its ema_decay to 0.99"
        )
    reports = {"evaluate_every": first, "log_every": min(recipe.log_every, max(1, first // 4))}
    training = training.model_copy(update={"recipe": recipe.model_copy(update=reports)})
    context = training_context(training, setting.digest, setting.input_size)
    rungs = Rungs(setting.folder / "rungs.jsonl", context, setting.objective, first, options.eta)
    return ProxyEvaluator(training, setting.device, setting.digest, rungs)


class _Stopped(Exception):  # noqa: N818 - it is no error
    """A candidate is not among the best at a rung."""


@dataclass(frozen=True)
class ProxyEvaluator:
    """Trains a candidate by a configuration's recipe and measures it on a part of the training split that is held out.

    Where the recipe has ``evaluate_every``, it is measured on the way too, and the curve says what was found.

    Holds settings only: a worker opens the decoded data, which all workers share, when it starts.

    Attributes:
        config: How to train; architecture and seed come with each candidate.
        device: Where to train.
        digest: Of the training data as the search began with them; empty = not compared.
        rungs: Where candidates that do badly are stopped; None = nowhere.
    """

    config: TrainConfig
    device: str = "auto"
    digest: str = ""
    rungs: Rungs | None = None

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        """Train and measure a candidate.

        Where a GPU's memory does not suffice, it is trained anew with every batch in two, four or eight parts, which is
        remarked: batch normalisation sees smaller batches then.

        Raises:
            TrainingError: A loss or a prediction is not finite.
            DataError: The data are not those that the search began with, or a file is not on this machine.
            EdnasError: The configuration or the data are wrong.
        """
        import torch

        from ednas.plugins import load_plugins

        self._find_files()
        load_plugins(self.config.plugins)
        config = self.config.with_architecture(architecture).model_copy(update={"seed": seed})
        batch_size, parts = config.recipe.batch_size, 1
        while True:
            curve: list[CurvePoint] = []
            try:
                metrics = self._judge(config, parts, curve)
                break
            except torch.OutOfMemoryError:
                if parts == MOST_PARTS or batch_size < 4 * parts:  # there is nothing to normalise in one image
                    raise
            # Not before here: until then the error's traceback holds what has to go.
            parts *= 2
            gc.collect()
            torch.cuda.empty_cache()
        remarks = [*metrics["remarks"]]
        if parts > 1:
            remarks.append(
                f"for want of GPU memory, batches of {batch_size} were trained in {parts} parts: batch normalisation "
                f"saw {batch_size // parts} images at a time"
            )
        return Evaluation(
            metrics["tasks"],
            metrics["higher_is_better"],
            "; ".join(remarks),
            tuple(curve),
            note=metrics.get("note", ""),
        )

    def _find_files(self) -> None:
        """Find out in one line, and as no candidate's fault, that this machine lacks what the others have."""
        missing = [str(path) for path in self.config.files() if not exists(path)]
        if missing:
            raise DataError(f"{missing[0]}: not on this machine; every machine needs it at the same place")

    def _judge(self, config: TrainConfig, parts: int, curve: list[CurvePoint]) -> dict[str, Any]:
        """Train by batches in parts, and measure; what is seen on the way is added to the curve."""
        from ednas.data.loader import BatchLoader
        from ednas.seeding import derive_seed
        from ednas.training import evaluate, fit, prepare_judgement
        from ednas.training.device import make_fabric
        from ednas.training.teacher import load_teacher

        fabric = make_fabric(self.device, config.recipe.precision)
        model, train_split, held_out = prepare_judgement(config)
        if self.digest and train_split.digest != self.digest:
            raise DataError(f"{config.data}: the training data have changed since the search began; bring them back")
        model.to(fabric.device)
        loader = BatchLoader(
            train_split,
            config.recipe.batch_size,
            derive_seed(config.seed, "batches"),
            config.recipe.augment,
            sorted(model.targets),
            device=fabric.device,
        )
        eval_batch_size = max(1, config.recipe.eval_batch_size // parts)

        metrics: dict[str, Any] = {}

        def measure_on_the_way(network: nn.Module, step: int) -> None:
            if self.rungs is not None and step not in self.rungs:
                return
            seen = replace(model, network=cast("MultiTaskNetwork", network))
            metrics.update(evaluate(seen, held_out, config.protocol, batch_size=eval_batch_size))
            curve.append(CurvePoint(step, metrics=metrics["tasks"]))
            if self.rungs is None:
                return
            evaluation = Evaluation(metrics["tasks"], metrics["higher_is_better"], curve=tuple(curve))
            if not self.rungs.goes_on(model.architecture.to_text(), config.seed, step, evaluation):
                metrics["note"] = f"stopped after {step} of {config.recipe.steps} steps"
                raise _Stopped

        with suppress(_Stopped):
            fit(
                model.network,
                model.tasks,
                loader,
                config.recipe,
                normalisation=model.normalisation,
                teacher=None if config.recipe.teacher is None else load_teacher(config.recipe.teacher, model),
                fabric=fabric,
                parts=parts,
                callbacks=[lambda report: curve.append(CurvePoint(report.step, losses=report.losses))],
                validate=measure_on_the_way if config.recipe.evaluate_every else None,
                seed=config.seed,
            )
            return evaluate(model, held_out, config.protocol, batch_size=eval_batch_size)
        return metrics
