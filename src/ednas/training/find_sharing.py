"""Learns what tasks share, where their way to share leaves that open, before a run: of its own, and kept beside it.

Weights learn on the training split but for a part, on which the pattern learns; the validation split is not opened.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ednas.data.augment import Batch
from ednas.data.loader import BatchLoader, prefetch
from ednas.durations import show_seconds
from ednas.files import read_json, write_json
from ednas.mtl.weighting import WeightingConfig
from ednas.mtl.weighting.searched import SEARCHED
from ednas.nn.sharing import LearnedSharing, make_sharing, settled_text
from ednas.runs import RunFolder
from ednas.training.callbacks import StepReport
from ednas.training.config import TrainConfig
from ednas.training.loop import fit
from ednas.training.preparation import DecodeProgress, make_loader, prepare_judgement
from ednas.training.recipe import Recipe
from ednas.training.teacher import load_teacher

FEWEST_STEPS = 20
"""Of a learning."""

CLEAR = 0.2
"""By how much the most probable of the choices must exceed the next one, to be called decided."""

UNDECIDED = 0.5
"""Of which share of undecided choices on it is said that a pattern is almost chance."""

REPORTS = 10
"""How often it says how far it is."""

_log = logging.getLogger(__name__)


def learned_sharing(config: TrainConfig) -> LearnedSharing | None:
    """Return the way to share of a run's network, where its pattern has to be learned.

    Raises:
        ArchitectureError: The architecture is wrong.
    """
    architecture = config.load_architecture()
    if not architecture.sharing or len(config.tasks) < 2:
        return None
    with torch.device("meta"):  # only to be asked
        sharing = make_sharing(architecture, config.tasks)
    return sharing if isinstance(sharing, LearnedSharing) and not sharing.is_settled else None


def find_sharing(
    config: TrainConfig,
    run: RunFolder,
    *,
    decode_progress: DecodeProgress | None = None,
    device: str = "auto",
    announce: Callable[[str], None] | None = None,
) -> TrainConfig:
    """Learn the pattern of a run's way to share; write ``find_sharing.json``. One that was ended goes on.

    Args:
        config: The run, whose way to share has a pattern to be learned (:func:`learned_sharing`).
        run: Its folder.
        decode_progress: Called with samples done and in all while the dataset is decoded.
        device: Where to train.
        announce: Called with a line now and then, and with what was found.

    Returns:
        The same run with the pattern that was found.

    Raises:
        TrainingError: The loss became NaN or infinite.
        EdnasError: As :func:`ednas.training.prepare_judgement`.
    """
    asked = config.load_architecture().sharing
    identity = config.standalone().model_dump(mode="json")
    known = _known(run)
    if known.get("config") == identity:
        return with_found_sharing(config, run)

    def say(line: str) -> None:
        _log.info("%s", line)
        if announce is not None:
            announce(line)

    model, split, held_out = prepare_judgement(config, decode_progress)
    sharing = model.network.sharing
    assert isinstance(sharing, LearnedSharing)
    recipe = _shortened(config.recipe, sharing.share)
    short = config.model_copy(update={"recipe": recipe})
    loader = _Turns(sharing, recipe.steps, make_loader(short, model, held_out), make_loader(short, model, split))
    say(f"sharing {asked}: what is shared is learned first, in {recipe.steps:,} steps")
    folder = run.sharing_search
    folder.mkdir(parents=True, exist_ok=True)
    fit(
        model.network,
        model.tasks,
        loader,
        recipe,
        normalisation=model.normalisation,
        teacher=None if recipe.teacher is None else load_teacher(recipe.teacher, model),
        device=device,
        callbacks=[_teller(say)],
        checkpoint_folder=folder,
        resume=True,
        identity={"config": identity, "data": split.digest},
        seed=config.seed,
    )
    found, open_share = settled_text(model.architecture, sharing.pattern()), undecided(sharing)
    write_json(run.sharing_found, {"config": identity, "asked": asked, "sharing": found, "undecided": open_share})
    shutil.rmtree(folder, ignore_errors=True)
    say(f"sharing {found}")
    if open_share > UNDECIDED:
        say(
            f"sharing: this is almost chance: {open_share:.0%} of the choices are undecided (the best two differ by "
            f"less than {CLEAR:g}); learn longer (share, or more steps)"
        )
    return with_found_sharing(config, run)


def undecided(sharing: LearnedSharing) -> float:
    """Return the share of a pattern's choices whose two most probable ones differ by less than :data:`CLEAR`."""
    margins = [logits.detach().softmax(1).topk(2, 1).values.diff(dim=1).abs().flatten() for logits in sharing.units]
    return float((torch.cat(margins) < CLEAR).float().mean())


def with_found_sharing(config: TrainConfig, run: RunFolder) -> TrainConfig:
    """Return the same run with the pattern that was found in its folder, where that was looked for; or as it is."""
    known, architecture = _known(run), config.load_architecture()
    if known.get("asked") != architecture.sharing or not isinstance(known.get("sharing"), str):
        return config
    found = architecture.with_parts(sharing=known["sharing"])
    return config.model_copy(update={"architecture": found.to_dict(), "sharing": None})


def _known(run: RunFolder) -> dict[str, Any]:
    """Return what was found in a run's folder; empty where nothing was."""
    value = read_json(run.sharing_found) if run.sharing_found.is_file() else {}
    return value if isinstance(value, dict) else {}


def _shortened(recipe: Recipe, share: float) -> Recipe:
    steps = max(FEWEST_STEPS, round(share * recipe.steps))
    weighting = WeightingConfig() if recipe.weighting.name == SEARCHED else recipe.weighting
    changes = {
        "steps": steps,
        "evaluate_every": None,
        "restarts": None,
        "weighting": weighting,
        "log_every": max(1, steps // REPORTS),
    }
    return recipe.model_copy(update=changes)


class _Turns:
    """Gives each step a batch of the data that it learns from.

    Args:
        sharing: Says which steps move its units.
        steps: Steps in all.
        units: Where the units' batches come from.
        weights: Where the others come from.
    """

    def __init__(self, sharing: LearnedSharing, steps: int, units: BatchLoader, weights: BatchLoader) -> None:
        self._sharing = sharing
        self._steps = steps
        self._units = units
        self._weights = weights

    def stream(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """Yield ``(step, batch)`` for the steps from ``start`` to before ``stop``."""
        return prefetch(self._batch, start, stop)

    def _batch(self, step: int) -> Batch:
        loader = self._units if self._sharing.moves_units(step, self._steps) else self._weights
        return loader.batch(step)


def _teller(say: Callable[[str], None]) -> Callable[[StepReport], None]:
    def tell(report: StepReport) -> None:
        left = show_seconds(report.eta_seconds)
        say(f"sharing: step {report.step:,} of {report.steps:,}, loss {report.loss:.3f}, {left} left")

    return tell
