"""The proxy task of the paper: every candidate is trained from scratch, for a short while (supplement A)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from ednas.arch import Architecture
from ednas.exceptions import DataError
from ednas.search.evaluators.base import CurvePoint, Evaluation

if TYPE_CHECKING:
    from torch import nn

    from ednas.nn import MultiTaskNetwork
    from ednas.training.config import TrainConfig

MODULES = ("ednas.training.run", "lightning.fabric")
"""What takes seconds to import and is worth to be imported before workers are forked."""


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

        Raises:
            TrainingError: A loss or a prediction is not finite.
            DataError: The data are not those that the search began with.
            EdnasError: The configuration or the data are wrong.
        """
        from ednas.data.loader import BatchLoader
        from ednas.plugins import load_plugins
        from ednas.seeding import derive_seed
        from ednas.training import evaluate, fit, prepare_judgement
        from ednas.training.device import make_fabric
        from ednas.training.teacher import load_teacher

        load_plugins(self.config.plugins)
        config = self.config.with_architecture(architecture).model_copy(update={"seed": seed})
        fabric = make_fabric(self.device, config.recipe.precision)
        model, train_split, held_out = prepare_judgement(config)
        if self.digest and train_split.digest != self.digest:
            raise DataError(f"{config.data}: the training data have changed since the search began; bring them back")
        model.to(fabric.device)
        loader = BatchLoader(
            train_split,
            config.recipe.batch_size,
            derive_seed(seed, "batches"),
            config.recipe.augment,
            sorted(model.targets),
            device=fabric.device,
        )
        curve: list[CurvePoint] = []

        def measure_on_the_way(network: nn.Module, step: int) -> None:
            seen = replace(model, network=cast("MultiTaskNetwork", network))
            found = evaluate(seen, held_out, config.protocol, batch_size=config.recipe.eval_batch_size)
            curve.append(CurvePoint(step, metrics=found["tasks"]))

        fit(
            model.network,
            model.tasks,
            loader,
            config.recipe,
            normalisation=model.normalisation,
            teacher=None if config.recipe.teacher is None else load_teacher(config.recipe.teacher, model),
            fabric=fabric,
            callbacks=[lambda report: curve.append(CurvePoint(report.step, losses=report.losses))],
            validate=measure_on_the_way if config.recipe.evaluate_every else None,
        )
        metrics = evaluate(model, held_out, config.protocol, batch_size=config.recipe.eval_batch_size)
        return Evaluation(metrics["tasks"], metrics["higher_is_better"], "; ".join(metrics["remarks"]), tuple(curve))
