"""The proxy task of the paper: every candidate is trained from scratch, for a short while (supplement A)."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.exceptions import DataError
from ednas.files import exists
from ednas.search.evaluators.base import CurvePoint, Evaluation
from ednas.search.evaluators.setting import PROXY, Setting, register_evaluator

if TYPE_CHECKING:
    from torch import nn

    from ednas.nn import MultiTaskNetwork
    from ednas.training.config import TrainConfig

MODULES = ("ednas.training.run", "lightning.fabric")
"""What takes seconds to import and is worth to be imported before workers are forked."""

MOST_PARTS = 8
"""Where a batch in so many parts is too large for a GPU, the candidate fails."""


class ProxyOptions(StrictModel):
    """The short training has no options of its own: the search's recipe says how long and how it trains."""


@register_evaluator(PROXY, ProxyOptions)
def make_proxy(setting: Setting, options: ProxyOptions) -> ProxyEvaluator:  # noqa: ARG001 - there are none
    """Return what trains candidates."""
    return ProxyEvaluator(setting.training, setting.device, setting.digest)


@dataclass(frozen=True)
class ProxyEvaluator:
    """Trains a candidate by a configuration's recipe and measures it on a part of the training split that is held out.

    Where the recipe has ``evaluate_every``, it is measured on the way too, and the curve says what was found.

    Holds settings only: a worker opens the decoded data, which all workers share, when it starts.

    Attributes:
        config: How to train; architecture and seed come with each candidate.
        device: Where to train.
        digest: Of the training data as the search began with them; empty = not compared.
    """

    config: TrainConfig
    device: str = "auto"
    digest: str = ""

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
        return Evaluation(metrics["tasks"], metrics["higher_is_better"], "; ".join(remarks), tuple(curve))

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

        def measure_on_the_way(network: nn.Module, step: int) -> None:
            seen = replace(model, network=cast("MultiTaskNetwork", network))
            metrics = evaluate(seen, held_out, config.protocol, batch_size=eval_batch_size)
            curve.append(CurvePoint(step, metrics=metrics["tasks"]))

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
        )
        return evaluate(model, held_out, config.protocol, batch_size=eval_batch_size)
