"""What is left to do in a run's folder: all, the rest, nothing, or to lengthen the run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from ednas.data import open_cache, open_dataset
from ednas.exceptions import ConfigError, DataError
from ednas.files import recover
from ednas.mtl.weighting.searched import SEARCHED
from ednas.runs import RunFolder
from ednas.training.checkpoint import read_metrics
from ednas.training.config import TrainConfig, difference, load_config
from ednas.training.find_sharing import with_found_sharing
from ednas.training.preparation import DecodeProgress
from ednas.training.recipe import AUTO, Recipe


@dataclass(frozen=True)
class Plan:
    """A run that begins, or goes on.

    Attributes:
        config: The run; with the restarts of the one in the folder, and another where it is lengthened.
        done: Steps of the checkpoint in the folder; 0 = there is none.
    """

    config: TrainConfig
    done: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.done >= self.config.recipe.steps

    @property
    def lengthening(self) -> str | None:
        """What a lengthened run does after its last restart, for people; None for one that is not lengthened."""
        recipe = self.config.recipe
        if not recipe.restarts:
            return None
        end = "down to 0 along a cosine" if recipe.schedule == "cosine" else "stays there"
        return (
            f"lengthening {recipe.restarts[-1]} steps to {recipe.steps}: from there the optimizer starts again, the "
            f"learning rate goes up to {recipe.learning_rate:g} in {recipe.warmup_steps} steps, then {end}"
        )


def plan(run: RunFolder, config: TrainConfig, resume: bool) -> Plan:
    """Find out what is left to do.

    A run that more steps are asked of is lengthened: at its former end, schedule and optimizer restart
    (:attr:`~ednas.training.recipe.Recipe.restarts`). One that was broken off reaches that end first.

    Args:
        run: The run's folder.
        config: What is asked for; its restarts are None, or those that the run has or will have. A learning rate that
            is ``auto`` is the one that the run found, and so are weights that are ``searched`` and what tasks share.
        resume: Whether a run there may be gone on with.

    Raises:
        ConfigError: A run is there that may not be touched, is of another configuration, or has more steps than are
            asked for.
        CheckpointError: The checkpoint there is damaged.
    """
    out = run.path
    if run.is_search:
        raise ConfigError(f"{out}: holds a search; choose another folder for a training")
    recover(run.checkpoint.path)
    if not run.is_training:
        return Plan(config)
    finished = run.checkpoint.path.exists()
    if not resume:
        state = "a finished run" if finished else "a run that was broken off"
        raise ConfigError(f"{out}: holds {state}; resume it (--resume), or choose another folder")
    saved = load_config(run.config)
    if config.recipe.learning_rate == AUTO:
        config = config.with_learning_rate(saved.recipe.learning_rate)
    if config.recipe.weighting.name == SEARCHED:
        config = _changed(config, weighting=saved.recipe.weighting, loss_weights=saved.recipe.loss_weights)
    config = with_found_sharing(config, run)
    steps, restarts = saved.recipe.steps, saved.recipe.restarts
    longer = (*(restarts or ()), steps)
    asked = _changed(config, restarts=restarts) if config.recipe.restarts in (None, longer) else config
    found = difference(saved, _changed(asked, steps=steps))
    if found is not None:
        raise ConfigError(f"{out}: holds a run of another configuration ({found}); choose another folder")
    done = read_metrics(run.checkpoint.path).get("steps", steps) if finished else 0
    if asked.recipe.steps == steps:
        return Plan(asked, done)
    if asked.recipe.steps < steps:
        raise ConfigError(
            f"{out}: holds a run of {steps} steps, {asked.recipe.steps} are asked for; it can be lengthened, not "
            "shortened: ask for more steps, or choose another folder"
        )
    return Plan(_changed(asked, restarts=longer), done)


def check_same_data(run: RunFolder, config: TrainConfig, decode_progress: DecodeProgress | None) -> None:
    """Refuse to go on with a finished run whose data have changed: what it measured is not what is measured now.

    Data that are no longer there cannot have been mixed with others, and are not looked for.

    Args:
        run: The run's folder, with a checkpoint.
        config: The run.
        decode_progress: Called with samples done and in all while data that are not cached are decoded.

    Raises:
        ConfigError: The content of a split differs from that of the training.
        CheckpointError: The checkpoint is damaged.
    """
    metrics = read_metrics(run.checkpoint.path)
    digests = {"train": metrics.get("trained_on", {}).get("digest"), metrics.get("split"): metrics.get("digest")}
    for split, digest in digests.items():
        if not (split and digest):  # written by an earlier version
            continue
        with suppress(DataError):
            dataset = open_dataset(config.data, split, **config.data_options)
            if open_cache(dataset, tuple(metrics["input_size"]), progress=decode_progress).digest != digest:
                raise ConfigError(
                    f"{run.path}: the split '{split}' of {config.data} has changed since this run was trained; "
                    "choose another folder, or bring the data back"
                )


def _changed(config: TrainConfig, **values: object) -> TrainConfig:
    recipe: Recipe = config.recipe.model_copy(update=values)
    return config.model_copy(update={"recipe": recipe})
