"""Weight sharing: one supernet learns once, and every candidate is cut out of it and measured without training.

What a candidate is cut out of was trained together with all others, so its batch statistics are not its own: they are
measured anew, on training images without augmentation, before it is judged.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from ednas.arch import Architecture, SearchSpace
from ednas.config import StrictModel
from ednas.exceptions import CheckpointError
from ednas.files import read_json, write_json
from ednas.search.evaluators.base import CurvePoint, Evaluation
from ednas.search.evaluators.setting import Setting, register_evaluator
from ednas.search.sampling import draw
from ednas.seeding import derive_seed

if TYPE_CHECKING:
    from ednas.data import CachedSplit
    from ednas.nn.supernet import Supernet
    from ednas.training.callbacks import Callback, StepReport
    from ednas.training.config import TrainConfig
    from ednas.training.model import Model

WEIGHTS = "supernet.safetensors"
"""The trained supernet, in its folder."""


class SupernetOptions(StrictModel):
    """How a supernet is trained and read.

    Attributes:
        steps: Steps of the optimizer.
        at_once: Networks that a step trains, each on a batch of the recipe's size.
        networks: How many different networks take turns.
        calibration: Training images by which a network's batch statistics are measured.
    """

    steps: int = Field(default=1500, ge=1)
    at_once: int = Field(default=4, ge=1)
    networks: int = Field(default=1000, ge=1)
    calibration: int = Field(default=256, ge=2)


@register_evaluator("supernet", SupernetOptions)
def make_supernet(setting: Setting, options: SupernetOptions) -> SupernetEvaluator:
    """Train the supernet, unless the folder has it already."""
    folder = setting.folder / "supernet"
    drawn = folder / "networks.json"
    if not drawn.is_file():  # a device's costs are never measured twice the same
        start, seed = setting.initial[0], derive_seed(setting.training.seed, "supernet networks")
        found = draw(setting.space, setting.cost, setting.accepts, options.networks, start, seed, sweeps=1)
        write_json(drawn, [candidate.architecture.to_text() for candidate in found])

    def tell(report: StepReport) -> None:
        for callback in setting.callbacks:
            callback.on_preparation("training the supernet", report.step, report.steps, report.eta_seconds)

    weights = train_supernet(
        setting.training, setting.space, read_json(drawn), folder, options, device=setting.device, callbacks=[tell]
    )
    return SupernetEvaluator(setting.training, weights, options.calibration, setting.device)


def train_supernet(
    config: TrainConfig,
    space: SearchSpace,
    networks: Sequence[str],
    folder: Path,
    options: SupernetOptions,
    *,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
) -> Path:
    """Train a supernet, or go on with one that was broken off; the same arguments give the same weights.

    Args:
        config: How single networks are trained: data, tasks, and the recipe, whose steps and batch are multiplied.
        space: What networks are cut out of it.
        networks: Text forms of those that take turns.
        folder: Where the weights are, and on the way the state that it resumes from.
        options: Its length.
        device: Where to train.
        callbacks: Called as :func:`ednas.training.fit` does.

    Returns:
        The file of the weights.

    Raises:
        TrainingError: A loss is not finite.
        CheckpointError: What is in the folder is damaged or another supernet's.
        EdnasError: The configuration or the data are wrong, or the folder cannot be written.
    """
    from ednas.data.loader import BatchLoader
    from ednas.runs import RunFolder
    from ednas.training import fit, prepare_judgement
    from ednas.training.device import make_fabric
    from ednas.training.tensors import write_tensors

    recipe = config.recipe.model_copy(
        update={
            "steps": options.steps,
            "batch_size": options.at_once * config.recipe.batch_size,
            "evaluate_every": None,
            "restarts": None,
        }
    )
    model, split, _ = prepare_judgement(config)
    identity = _identity(config, space, networks, options, split.digest)
    weights = folder / WEIGHTS
    if weights.is_file():
        _check(weights, identity)
        return weights
    began = time.process_time()
    fabric = make_fabric(device, recipe.precision)
    supernet = _make(config, space, networks, options, model).to(fabric.device)
    loader = BatchLoader(
        split,
        recipe.batch_size,
        derive_seed(config.seed, "supernet batches"),
        recipe.augment,
        sorted(model.targets),
        device=fabric.device,
    )
    fit(
        supernet,
        model.tasks,
        loader,
        recipe,
        normalisation=model.normalisation,
        fabric=fabric,
        callbacks=callbacks,
        checkpoint_folder=folder,
        resume=True,
        identity=identity,
    )
    seconds = time.process_time() - began
    write_tensors(weights, supernet.state_dict(), {"identity": identity, "cpu_seconds": seconds})
    RunFolder(folder).state.unlink(missing_ok=True)
    return weights


def training_seconds(weights: Path) -> float:
    """Return the processor seconds that a supernet's training took, after it was last broken off."""
    from ednas.training.tensors import read_tensors

    return float(read_tensors(weights)[1].get("cpu_seconds", 0.0))


@dataclass(frozen=True)
class SupernetEvaluator:
    """Cuts a candidate out of a supernet, measures its batch statistics, and measures it on the part that is held out.

    The curve of an evaluation has one point: the losses by task on the part that is held out.

    Attributes:
        config: How the supernet was trained; architecture and seed come with each candidate, and decide nothing here
            but which network is cut.
        weights: The file that :func:`train_supernet` returned.
        calibration: Training images by which batch statistics are measured.
        device: Where to measure.
    """

    config: TrainConfig
    weights: Path
    calibration: int
    device: str = "auto"

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:  # noqa: ARG002 - nothing is drawn
        """Measure a candidate.

        Raises:
            ArchitectureError: The supernet was not made for it.
            CheckpointError: The supernet is damaged.
            TrainingError: A prediction is not finite.
            EdnasError: The configuration or the data are wrong.
        """
        from ednas.nn.supernet import cut
        from ednas.plugins import load_plugins
        from ednas.training import evaluate, prepare_judgement
        from ednas.training.device import resolve_device
        from ednas.training.tensors import read_tensors

        load_plugins(self.config.plugins)
        model, train_split, held_out = prepare_judgement(self.config)
        tensors, _ = read_tensors(self.weights)
        network = cut(tensors, architecture, model.network.channels)
        model = replace(model, network=network, architecture=architecture).to(resolve_device(self.device))
        calibrate(model, train_split, self.calibration, self.config.recipe.eval_batch_size)
        metrics = evaluate(model, held_out, self.config.protocol, batch_size=self.config.recipe.eval_batch_size)
        point = CurvePoint(0, losses=mean_losses(model, held_out, self.config.recipe.eval_batch_size))
        return Evaluation(metrics["tasks"], metrics["higher_is_better"], "; ".join(metrics["remarks"]), (point,))


def calibrate(model: Model, split: CachedSplit, samples: int, batch_size: int) -> None:
    """Measure the statistics of a model's batch normalisation anew, in place: their mean over batches as they are.

    Args:
        model: Left in evaluation mode.
        split: What to measure on, without augmentation: samples spread evenly over it.
        samples: How many.
        batch_size: Samples at a time, at least 2.
    """
    import torch
    from torch import nn

    from ednas.data.loader import load_samples, spread_rows

    norms = [module for module in model.network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    model.network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean
        norm.train()
    rows = spread_rows(split, samples)
    with torch.inference_mode():
        for part in np.array_split(rows, max(1, len(rows) // batch_size)):
            model.forward(load_samples(split, part.tolist(), (), model.device)["image"])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.network.eval()


def mean_losses(model: Model, split: CachedSplit, batch_size: int) -> dict[str, float]:
    """Return the mean loss of each task over a split's batches."""
    import torch

    from ednas.data.loader import eval_batches

    sums = dict.fromkeys(model.tasks, 0.0)
    with torch.inference_mode():
        for batch in eval_batches(split, batch_size, {task.target for task in model.tasks.values()}, model.device):
            outputs = model.forward(batch["image"])
            for name, task in model.tasks.items():
                sums[name] += task.loss(outputs[name], batch[task.target]).item() * len(batch["image"])
    return {name: total / len(split) for name, total in sums.items()}


def _make(
    config: TrainConfig, space: SearchSpace, networks: Sequence[str], options: SupernetOptions, model: Model
) -> Supernet:
    """Return the untrained supernet, with the weights that the recipe starts from."""
    from ednas.nn.supernet import Supernet

    return Supernet(space, model.network.channels, networks, at_once=options.at_once, seed=config.seed)


def _identity(
    config: TrainConfig, space: SearchSpace, networks: Sequence[str], options: SupernetOptions, digest: str
) -> dict[str, Any]:
    """Return what decides a supernet's weights, as JSON values."""
    return {
        "space": space.fingerprint(),
        "data": digest,
        "tasks": list(config.tasks),
        "recipe": config.recipe.model_dump(mode="json"),
        "seed": config.seed,
        "supernet": options.model_dump(mode="json", exclude={"calibration"}),
        "networks": hashlib.sha256("\n".join(networks).encode()).hexdigest()[:16],
    }


def _check(weights: Path, identity: Mapping[str, Any]) -> None:
    """Refuse a supernet that is not the one that would be trained."""
    from ednas.training.tensors import read_tensors

    found = read_tensors(weights)[1].get("identity")
    known = found if isinstance(found, dict) else {}
    for key, value in identity.items():
        if known.get(key) != value:
            raise CheckpointError(
                f"{weights}: is another supernet ({key} was {known.get(key)!r:.60}, is {value!r:.60}); choose another "
                "folder or delete the file"
            )
