"""Train once, ship many: for each of several devices, the network of a supernet that fits it best.

A search on each device judges networks by cutting them out of the supernet, so that nothing is trained and what was
judged for one device is known to all. Each winner then starts from the supernet's weights, learns for a few hundred
steps, is measured on the validation split and exported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ednas.config import StrictModel
from ednas.exceptions import ConfigError
from ednas.export.run import ExportConfig, Exported, export_model
from ednas.hw.targets.files import target_names
from ednas.report.tables.specialised import DeviceRow
from ednas.runs import RunFolder
from ednas.search.config import SearchConfig, load_search_config, with_given
from ednas.search.controllers import ControllerConfig
from ednas.search.evaluators.setting import EvaluatorConfig
from ednas.search.progress import SearchCallback
from ednas.search.run import run_search
from ednas.training import Recipe, load_checkpoint, train
from ednas.training.supernet.file import FILE

if TYPE_CHECKING:
    from ednas.search.results import SearchResult
    from ednas.training import Callback, TrainResult

NEAR_BASE = {"population_size": 32, "tournament_size": 8, "mutations": 2, "initial_mutations": 8}
"""How the search begins: with variants of the base network, which people have tuned."""


class SpecialiseConfig(StrictModel):
    """What is made of a supernet.

    Attributes:
        targets: The devices, as ``--target`` of a search names them.
        limits: What a network must not exceed on each, by quantity, as in a search; ``baseline`` is the base network's
            on the same device.
        trials: Networks that are judged for each device.
        steps: Steps by which each winner is fine-tuned.
        rate: Learning rate of that, as a share of the supernet's.
        export: Whether winners are exported, as int8 LiteRT models.
    """

    targets: tuple[str, ...] = Field(min_length=1)
    limits: Mapping[str, Any] = Field(default_factory=lambda: {"latency_ms": "baseline"})
    trials: int = Field(default=200, ge=1)
    steps: int = Field(default=200, ge=1)
    rate: float = Field(default=0.25, gt=0, le=1)
    export: bool = True


@dataclass(frozen=True)
class Specialised:
    """What one device got.

    Attributes:
        target: The device.
        folder: Where its search, its training and its model are.
        result: What the search found; its metrics are the supernet's, on held-out training images.
        metrics: ``metrics.json`` of the fine-tuned winner, on the validation split.
        exported: Its model; None where none was asked for.
    """

    target: str
    folder: RunFolder
    result: SearchResult
    metrics: Mapping[str, Any]
    exported: Exported | None

    @property
    def row(self) -> DeviceRow:
        """What a table says of it."""
        base = self.result.baseline
        return DeviceRow(
            self.target,
            self.result.best.cost["latency_ms"],
            None if base is None else base.latency_ms,
            len(self.result.pareto),
            self.metrics["tasks"],
            self.metrics["higher_is_better"],
            None if self.exported is None else self.exported.model,
        )


def specialise(
    supernet: Path | str,
    out: Path | str,
    config: SpecialiseConfig,
    *,
    search_callbacks: Sequence[SearchCallback] = (),
    training_callbacks: Callable[[str], Sequence[Callback]] | None = None,
) -> Iterator[Specialised]:
    """Search, fine-tune and export for one device after the other; what was finished in ``out`` is kept.

    Args:
        supernet: Folder of a search whose evaluator trained a supernet.
        out: A folder for each device is made in it.
        config: For which devices, within which limits.
        search_callbacks: Those of the searches.
        training_callbacks: Makes the callbacks of a fine-tuning from the device's name.

    Yields:
        What each device got, as soon as it is there.

    Raises:
        ConfigError: The folder holds no supernet, or a device or limit is wrong, or two devices would share a folder.
        EdnasError: As a search, a training and an export; what was finished is kept.
    """
    source, folder = load_supernet_search(supernet)
    places = [Path(out) / re.sub(r"[^\w.-]+", "_", Path(target).name) for target in config.targets]
    if len(set(places)) < len(places):
        raise ConfigError(f"targets: {', '.join(config.targets)} would share a folder; give each device once")
    for target, place in zip(config.targets, places, strict=True):
        search = _search_on(source, folder, target, config)
        run = RunFolder(place)
        result = run_search(search, place, resume=run.is_search, callbacks=search_callbacks)
        trained = RunFolder(place / "trained")
        training = train(
            search.train_config(result.architecture, recipe=_finetuning(source.training.recipe, folder, config)),
            trained.path,
            resume=trained.path.exists(),
            device=search.device,
            callbacks=training_callbacks(target) if training_callbacks else (),
        )
        exported = _export(training, place / "model", search) if config.export else None
        yield Specialised(target, run, result, training.metrics, exported)


def load_supernet_search(run: Path | str) -> tuple[SearchConfig, Path]:
    """Return the configuration of a search, and the folder of the supernet that it trained.

    Raises:
        ConfigError: It trained none, or not to its end.
    """
    found = RunFolder(run)
    folder = found.evaluator / "supernet"
    if not (folder / FILE).is_file():
        raise ConfigError(
            f"{run}: holds no trained supernet; give the folder of a search with --evaluator supernet or stack, whose "
            "supernet is finished"
        )
    return load_search_config(found.config), folder


def _search_on(source: SearchConfig, folder: Path, target: str, config: SpecialiseConfig) -> SearchConfig:
    """Return the search on one device."""
    changes = {
        "target": target,
        "target_latency_ms": None,
        "limits": config.limits,
        "prune_factor": 1.0,
        "initial": ("baseline",),
        "evaluator": EvaluatorConfig(name="supernet", options={"folder": str(folder.absolute())}),
        "controller": ControllerConfig(options=NEAR_BASE),
        "trials": config.trials,
        "finalists": 0,
        "repeats": 0,
    }
    values = {name: getattr(source, name) for name in SearchConfig.model_fields if name not in changes}
    return SearchConfig.model_validate(with_given(values, changes))


def _finetuning(recipe: Recipe, supernet: Path, config: SpecialiseConfig) -> Recipe:
    """Return how a winner goes on from the supernet."""
    if not isinstance(recipe.learning_rate, float):
        raise ConfigError("recipe: the supernet's learning rate is no number")
    changes = {
        "init": str(supernet.absolute()),
        "steps": config.steps,
        "warmup_steps": min(recipe.warmup_steps, config.steps // 10),
        "learning_rate": config.rate * recipe.learning_rate,
        "evaluate_every": None,
        "restarts": None,
    }
    return recipe.model_copy(update=changes)


def _export(training: TrainResult, out: Path, search: SearchConfig) -> Exported:
    """Export a winner, with the operators that its device runs looked at where its list is known."""
    own = search.training
    config = ExportConfig(
        int8=True,
        calibration=own.data,
        data=own.data,
        data_options=own.data_options,
        protocol=own.protocol,
        targets=(search.target,) if search.target in target_names() else (),
    )
    model = load_checkpoint(training.checkpoint)
    return export_model(model, out, config, name=out.parent.name, record=training.metrics)
