"""How a supernet is trained: by the loop that trains a network, some networks a step."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ednas.arch import SearchSpace
from ednas.data.loader import BatchLoader
from ednas.exceptions import CheckpointError
from ednas.nn import MultiTaskNetwork
from ednas.nn.supernet import Supernet
from ednas.runs import RunFolder
from ednas.seeding import derive_seed
from ednas.training.callbacks import Callback
from ednas.training.config import TrainConfig
from ednas.training.device import make_fabric
from ednas.training.init import initialise, load_weights
from ednas.training.loop import fit
from ednas.training.model import Model
from ednas.training.preparation import prepare_judgement
from ednas.training.supernet.file import FILE, SupernetNotes, TrainedSupernet
from ednas.training.tensors import write_tensors


def train_supernet(
    config: TrainConfig,
    space: SearchSpace,
    networks: Sequence[str],
    folder: Path,
    *,
    steps: int,
    at_once: int,
    every_step: Sequence[str] = (),
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train a supernet, or go on with one that was broken off; the same arguments give the same weights.

    Args:
        config: How single networks are trained: data, tasks, and the recipe; ``init`` starts the networks of the space
            that the supernet is made of.
        space: Of what is cut out of it.
        networks: Text forms of those that take turns.
        folder: Where the weights are, and on the way the state that it resumes from.
        steps: Steps of the optimizer, in place of the recipe's.
        at_once: Networks that a step trains, each on a batch of the recipe's size.
        every_step: Those among them that each step trains; the others take turns in what is left.
        device: Where to train.
        callbacks: Called as :func:`ednas.training.fit` does.

    Raises:
        TrainingError: A loss is not finite.
        CheckpointError: What is in the folder is damaged or another supernet's.
        EdnasError: The configuration or the data are wrong, or the folder cannot be written.
    """
    changes = {"steps": steps, "batch_size": at_once * config.recipe.batch_size, "evaluate_every": None}
    recipe = config.recipe.model_copy(update={**changes, "restarts": None})
    model, split, _ = prepare_judgement(config)
    identity = {
        "space": space.fingerprint(),
        "data": split.digest,
        "tasks": list(config.tasks),
        # Without defaults, so that what is added to recipes later leaves it as it is.
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "seed": config.seed,
        "networks": hashlib.sha256("\n".join([*networks, *every_step]).encode()).hexdigest()[:16],
    }
    if (folder / FILE).is_file():
        _check(folder, identity)
        return
    began = time.process_time()
    fabric = make_fabric(device, recipe.precision)
    supernet = Supernet(
        space,
        model.network.channels,
        networks,
        at_once=at_once,
        every_step=every_step,
        seed=config.seed,
        start=_starter(config, model),
    ).to(fabric.device)
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
        seed=config.seed,
    )
    notes = SupernetNotes(
        identity=identity,
        cpu_seconds=time.process_time() - began,
        heads=model.network.channels,
        targets={name: model.targets[task.target] for name, task in model.tasks.items()},
        normalisation=model.normalisation,
    )
    write_tensors(folder / FILE, supernet.state_dict(), notes.model_dump(mode="json"))
    RunFolder(folder).state.unlink(missing_ok=True)


def _starter(config: TrainConfig, model: Model) -> Callable[[MultiTaskNetwork], None] | None:
    """Return what gives a network of the space its first weights; None where that is chance."""
    if config.recipe.init is None:
        return None
    weights = load_weights(config.recipe.init, model.architecture)

    def start(network: MultiTaskNetwork) -> None:
        initialise(replace(model, network=network, architecture=network.architecture), weights)

    return start


def _check(folder: Path, identity: Mapping[str, Any]) -> None:
    """Refuse a supernet that is not the one that would be trained."""
    known = TrainedSupernet.load(folder).notes.identity
    for key, value in identity.items():
        if known.get(key) != value:
            raise CheckpointError(
                f"{folder / FILE}: is another supernet ({key} was {known.get(key)!r:.60}, is {value!r:.60}); choose "
                "another folder or delete the file"
            )
