"""A small search for the weights of the tasks' losses: short trainings, of which the best one's weights are taken.

The recipe's own weights are tried first, then others around them, each as far as possible on a logarithmic scale from
those before; their geometric mean stays, so that they do not act as another learning rate. Each is trained on the
training split but for a part, which it is measured on; the validation split is not opened.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ednas.exceptions import TrainingError
from ednas.files import read_json, write_json
from ednas.metrics import TaskValues
from ednas.mtl.weighting import WeightingConfig
from ednas.mtl.weighting.searched import Searched
from ednas.runs import RunFolder
from ednas.scoring import accuracy
from ednas.seeding import derive_seed
from ednas.training.config import TrainConfig
from ednas.training.device import resolve_device
from ednas.training.evaluate import evaluate
from ednas.training.loop import fit
from ednas.training.preparation import DecodeProgress, make_loader, prepare_judgement
from ednas.training.teacher import load_teacher

FEWEST_STEPS = 20
"""Of a training that tries weights."""

DRAWN = 100
"""Weights that are drawn for a trial; the one that is farthest from all that were tried is taken."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsTrial:
    """Weights that were tried.

    Attributes:
        weights: By task.
        accuracy: Eq. 6 on the part of the training split that is held out; None where the training diverged.
        tasks: The metrics that make it.
    """

    weights: Mapping[str, float]
    accuracy: float | None
    tasks: TaskValues


def find_weights(
    config: TrainConfig,
    run: RunFolder,
    *,
    decode_progress: DecodeProgress | None = None,
    device: str = "auto",
    announce: Callable[[str], None] | None = None,
) -> TrainConfig:
    """Search for the weights of a run; write ``find_weights.json``, from which a search that was ended goes on.

    Args:
        config: The run, whose recipe's weighting is ``searched``.
        run: Its folder.
        decode_progress: Called with samples done and in all while the dataset is decoded.
        device: Where to train.
        announce: Called with a line for each weights.

    Returns:
        The same run by the weights that were found, fixed.

    Raises:
        TrainingError: Every training diverged.
        EdnasError: As :func:`ednas.training.prepare_judgement`.
    """
    options = Searched.Options.model_validate(config.recipe.weighting.options)
    identity = config.standalone().model_dump(mode="json")
    trials = _known(run, identity)
    for number, weights in enumerate(_candidates(config, options)):
        if number < len(trials):
            continue
        trial = _try(config, weights, options, decode_progress, device)
        trials.append(trial)
        write_json(run.weights_search, {"config": identity, "trials": [asdict(own) for own in trials]})
        shown = ", ".join(f"{task} {weight:.3g}" for task, weight in trial.weights.items())
        line = f"weights {number + 1} of {options.trials}: {shown}: accuracy {trial.accuracy or math.nan:.3f}"
        _log.info("%s", line)
        if announce is not None:
            announce(line)
    best = max(trials, key=lambda trial: -math.inf if trial.accuracy is None else trial.accuracy)
    if best.accuracy is None:
        raise TrainingError("weighting 'searched': every training diverged; lower the learning rate")
    changes = {"loss_weights": dict(best.weights), "weighting": WeightingConfig()}
    return config.model_copy(update={"recipe": config.recipe.model_copy(update=changes)})


def _known(run: RunFolder, identity: Mapping[str, Any]) -> list[WeightsTrial]:
    """Return what the same search has tried before it was ended."""
    if not run.weights_search.is_file():
        return []
    value = read_json(run.weights_search)
    is_same = isinstance(value, dict) and value.get("config") == identity
    return [WeightsTrial(**trial) for trial in value["trials"]] if is_same else []


def _candidates(config: TrainConfig, options: Searched.Options) -> Iterator[dict[str, float]]:
    """Yield the weights to try, the recipe's own first; those of more trials begin with those of fewer."""
    own = config.recipe.task_weights(config.tasks)
    rng = np.random.default_rng(derive_seed(config.seed, "loss weights"))
    tried = np.zeros((1, len(own)))  # logarithms of what is more than the recipe's
    yield own
    while len(tried) < options.trials:
        drawn = rng.uniform(-1, 1, (DRAWN, len(own))) * math.log(options.spread)
        drawn -= drawn.mean(axis=1, keepdims=True)
        nearest = np.linalg.norm(drawn[:, None] - tried, axis=2).min(axis=1)
        chosen = drawn[nearest.argmax()]
        tried = np.vstack([tried, chosen])
        yield {task: weight * float(np.exp(log)) for (task, weight), log in zip(own.items(), chosen, strict=True)}


def _try(
    config: TrainConfig,
    weights: dict[str, float],
    options: Searched.Options,
    decode_progress: DecodeProgress | None,
    device: str,
) -> WeightsTrial:
    recipe = config.recipe
    changes = {
        "steps": max(FEWEST_STEPS, round(options.share * recipe.steps)),
        "evaluate_every": None,
        "loss_weights": weights,
        "weighting": WeightingConfig(),
    }
    short = config.model_copy(update={"recipe": recipe.model_copy(update=changes)})
    model, split, held_out = prepare_judgement(short, decode_progress)
    model.to(resolve_device(device))
    loader = make_loader(short, model, split)
    try:
        fit(
            model.network,
            model.tasks,
            loader,
            short.recipe,
            normalisation=model.normalisation,
            teacher=None if recipe.teacher is None else load_teacher(recipe.teacher, model),
            device=device,
            seed=short.seed,
        )
    except TrainingError:
        return WeightsTrial(weights, None, {})
    metrics = evaluate(model, held_out, config.protocol, batch_size=recipe.eval_batch_size)
    value = accuracy(metrics["tasks"], higher_is_better=metrics["higher_is_better"])
    return WeightsTrial(weights, value, metrics["tasks"])
