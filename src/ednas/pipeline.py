"""The main job from end to end: search, train the winner and its baselines under one recipe, compare, report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ednas.arch import Architecture
from ednas.config import StrictModel, parse, read_yaml
from ednas.data import open_dataset
from ednas.exceptions import ConfigError
from ednas.hw.sources import load_source
from ednas.metrics import ModelMetrics, merge_metrics
from ednas.report.comparison import ModelCost, cost_of, save_comparison, tabulate
from ednas.report.content import ComparisonTable
from ednas.report.pictures import paint_predictions, save_pictures
from ednas.runs import RunFolder
from ednas.search.config import SearchConfig
from ednas.search.progress import SearchCallback
from ednas.search.run import run_search
from ednas.training import Recipe, TrainConfig, load_checkpoint, train_runs
from ednas.training.config import difference

if TYPE_CHECKING:
    from ednas.training import Callback, TrainRunsResult

SINGLE_TASK, MULTI_TASK, FOUND = "single-task base", "multi-task base", "found"

_log = logging.getLogger(__name__)


class StudyConfig(StrictModel):
    """The main job.

    Attributes:
        search: The search.
        recipe: How the winner and the baselines are trained in the end.
        runs: Seeds of each final training; means and standard deviations are over these.
        pictures: Validation samples whose predictions the report shows.
    """

    search: SearchConfig
    recipe: Recipe
    runs: int = Field(default=1, ge=1)
    pictures: int = Field(default=4, ge=0)


@dataclass(frozen=True)
class Final:
    """One of the final trainings.

    Attributes:
        name: For tables.
        folder: Below the run's ``checkpoints/``.
        architecture: What is trained.
        tasks: What it learns.
    """

    name: str
    folder: str
    architecture: Architecture
    tasks: tuple[str, ...]


def run_study(
    config: StudyConfig,
    out: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    search_callbacks: Sequence[SearchCallback] = (),
    training_callbacks: Callable[[str], Sequence[Callback]] | None = None,
) -> ComparisonTable:
    """Search, train, compare; writes all that :func:`ednas.report.collect.collect` reads.

    Every stage that is finished in ``out`` is kept when resumed.

    Args:
        config: The whole job.
        out: The run's folder.
        resume: Go on with what is in ``out``.
        device: Where to train.
        search_callbacks: Those of the search.
        training_callbacks: Makes the callbacks of a final training from its name.

    Returns:
        The single-task base, the multi-task base and the found network, with metrics, gains and costs.

    Raises:
        ConfigError: The final trainings in ``out`` are by another recipe.
        EdnasError: As the search and the training; what was finished is kept.
    """
    run = RunFolder(out)
    if resume:
        _check_recipe(config, run.job)
    result = run_search(config.search, out, resume=resume, callbacks=search_callbacks)
    config.save(run.job)
    finals = _finals(config.search, result.architecture)
    trained: dict[str, TrainRunsResult] = {}
    for final in finals:
        callbacks = training_callbacks(final.name) if training_callbacks else ()
        trained[final.folder] = train_runs(
            config.search.train_config(final.architecture, tasks=final.tasks, recipe=config.recipe),
            run.trained / final.folder,
            config.runs,
            resume=resume or (run.trained / final.folder).exists(),
            callbacks=lambda _, given=callbacks: given,  # type: ignore[misc]
            device=device,
        )
    table = _compare(config.search, finals, trained)
    save_comparison(table, run.comparison)
    if config.pictures:
        models = [(final.name, load_checkpoint(trained[final.folder].runs[0].checkpoint)) for final in finals]
        data = open_dataset(config.search.training.data, "val", **config.search.training.data_options)
        tasks = config.search.learned_in_the_end
        save_pictures(paint_predictions(models, tasks, data, config.pictures), run.predictions)
    return table


def _check_recipe(config: StudyConfig, file: Path) -> None:
    """Refuse another recipe: more steps would lengthen the networks that are finished, and train the others at once."""
    if not file.is_file():
        return
    stored = parse(StudyConfig, read_yaml(file), str(file)).recipe
    trainings = [TrainConfig(data=config.search.training.data, recipe=recipe) for recipe in (stored, config.recipe)]
    if found := difference(*trainings):
        raise ConfigError(f"{file}: the final networks are trained by another recipe ({found}); choose another folder")


def _finals(config: SearchConfig, found: Architecture) -> list[Final]:
    base, tasks = config.training.load_architecture(), config.learned_in_the_end
    single = [Final(SINGLE_TASK, f"base_{task}", base, (task,)) for task in tasks]
    return [*single, Final(MULTI_TASK, "base", base, tasks), Final(FOUND, "found", found, tasks)]


def _compare(config: SearchConfig, finals: Sequence[Final], trained: Mapping[str, TrainRunsResult]) -> ComparisonTable:
    source = load_source(config.target)
    metrics: dict[str, list[ModelMetrics]] = {}
    spread: dict[str, dict[str, dict[str, float]]] = {}
    costs: dict[str, ModelCost] = {}
    for final in finals:
        result = trained[final.folder]
        own = ModelMetrics(
            final.name,
            result.metrics["protocol"],
            result.metrics["tasks"],
            result.metrics["higher_is_better"],
            result.metrics.get("units", {}),  # a finished run of an earlier version has none
        )
        metrics.setdefault(final.name, []).append(own)
        spread.setdefault(final.name, {}).update(
            {
                task: {name: value["std"] for name, value in values.items()}
                for task, values in result.summary["tasks"].items()
            }
        )
        model = load_checkpoint(result.runs[0].checkpoint)
        size = config.latency_input_size or model.input_size  # as the search's, else the two cannot be compared
        cost = cost_of(model, source, size)
        costs[final.name] = costs[final.name] + cost if final.name in costs else cost
    merged = {name: merge_metrics(parts, name) for name, parts in metrics.items()}
    models = [merged[MULTI_TASK], merged[FOUND]]
    return tabulate(merged[SINGLE_TASK], models, costs=costs, spread=spread)
