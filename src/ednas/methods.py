"""Ways to share and to weigh tasks beside each other: every combination trained from several seeds, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from ednas.arch.parts import HARD
from ednas.config import StrictModel, parse, read_yaml
from ednas.data import open_dataset
from ednas.exceptions import ConfigError
from ednas.files import exclusive
from ednas.hw.sources import load_source
from ednas.metrics import TaskValues, load_metrics, merge_metrics
from ednas.mtl.weighting import WeightingConfig
from ednas.nn import MultiTaskNetwork
from ednas.plugins import load_plugins
from ednas.report.comparison import TrainedCosts, save_comparison, tabulate
from ednas.report.content import ComparisonTable
from ednas.report.pictures import paint_predictions, save_pictures
from ednas.runs import RunFolder
from ednas.scoring import paired_p_values
from ednas.training import TrainConfig, load_checkpoint, train_runs
from ednas.training.config import difference
from ednas.training.jobs import Job, train_jobs
from ednas.training.recipe import AUTO, check_size

if TYPE_CHECKING:
    from ednas.training import Callback

SINGLE_TASK = "single-task"
"""The baseline: every task by a network of its own, trained alone."""


class MethodsConfig(StrictModel):
    """What is compared.

    Attributes:
        training: How each is trained; its own way to share and its weighting do not matter.
        sharing: Ways to share, as architectures name them: ``mtan``, ``branching(at=6)``.
        weighting: Weightings, like ``dwa(window=50)``; every way to share is trained by each.
        runs: Seeds of each training; means and standard deviations are over these.
        target: Device whose latency is estimated, as ``ednas search`` takes it.
        latency_input_size: ``(H, W)`` on that device; None = that of the training.
        pictures: Validation images whose predictions, by the first seed's networks, the report shows.
    """

    training: TrainConfig
    sharing: tuple[str, ...] = (HARD,)
    weighting: tuple[WeightingConfig, ...] = (WeightingConfig(),)
    runs: int = Field(default=3, ge=1)
    target: str = "coral_usb"
    latency_input_size: tuple[int, int] | None = None
    pictures: int = Field(default=3, ge=0)

    @field_validator("latency_input_size")
    @classmethod
    def _is_a_size(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        return check_size(value)

    @field_validator("sharing", "weighting")
    @classmethod
    def _are_distinct(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if not value or len({str(one) for one in value}) < len(value):
            raise ValueError("name one at least, and each once")
        return value


@dataclass(frozen=True)
class Method:
    """One of the rows.

    Attributes:
        name: For tables.
        folder: Below the run's ``checkpoints/``.
        config: How it is trained, from the first seed.
    """

    name: str
    folder: str
    config: TrainConfig

    def job(self, seed: int, trained: Path) -> Job:
        """Return one of its trainings, below a folder."""
        config = self.config.model_copy(update={"seed": seed})
        return Job(f"{self.name}, seed {seed}", config, RunFolder(trained / self.folder).seed(seed).path)


def compare_methods(
    config: MethodsConfig,
    out: Path,
    *,
    workers: int = 1,
    device: str = "auto",
    callbacks: Callable[[str], Sequence[Callback]] | None = None,
    announce: Callable[[str], None] | None = None,
) -> tuple[ComparisonTable, list[TaskValues]]:
    """Train all methods from all seeds, and each task alone; write ``comparison.json`` and ``predictions/``.

    What is finished in ``out`` is kept, and what was broken off goes on.

    Args:
        config: What is compared.
        out: Folder of the whole.
        workers: Trainings at a time, each in a process of its own; 1 = in this one.
        device: Where to train.
        callbacks: Makes the callbacks of a training from its name, where there is one worker.
        announce: Called with a line for every training that is done: how many are left, and for how long.

    Returns:
        The methods against the baseline, with gains and costs; and of each how probable its differences are by chance.

    Raises:
        ConfigError: Fewer than two tasks; a learning rate that has to be found; ``out`` holds a comparison of other
            settings.
        EdnasError: As the trainings; what was finished is kept.
    """
    run = RunFolder(out)
    load_plugins(config.training.plugins)
    alone, methods = [*_alone(config)], [*_methods(config)]
    with exclusive(run.path):
        _check(config, run)
        config.save(run.methods)
        seeds = range(config.training.seed, config.training.seed + config.runs)
        jobs = [method.job(seed, run.trained) for seed in seeds for method in (*methods, *alone)]
        train_jobs(jobs, workers=workers, device=device, callbacks=callbacks, announce=announce)
        for method in (*methods, *alone):  # nothing is left to train: this puts the seeds together
            train_runs(method.config, run.trained / method.folder, config.runs, resume=True, device=device)
        return _compare(config, run, alone, methods)


def _check(config: MethodsConfig, run: RunFolder) -> None:
    training = config.training
    if len(training.tasks) < 2:
        raise ConfigError(f"tasks: {', '.join(training.tasks)}; to share or to weigh, there must be two at least")
    if training.recipe.learning_rate == AUTO:
        raise ConfigError(f"learning_rate '{AUTO}': every method would find its own; give a number")
    load_source(config.target)
    base = training.load_architecture()
    for sharing in config.sharing:  # all of them, before the first is trained
        MultiTaskNetwork(base.with_parts(sharing=sharing), dict.fromkeys(training.tasks, 1))
    if not run.methods.is_file():
        return
    stored = parse(MethodsConfig, read_yaml(run.methods), str(run.methods))
    if found := difference(stored.training, training):
        raise ConfigError(f"{run.methods}: its methods are trained otherwise ({found}); choose another folder")


def _methods(config: MethodsConfig) -> Iterator[Method]:
    for sharing, weighting in product(config.sharing, config.weighting):
        texts = {sharing: len(config.sharing), weighting.text: len(config.weighting)}
        shown = [text for text, choices in texts.items() if choices > 1]
        recipe = config.training.recipe.model_copy(update={"weighting": weighting.complete()})
        training = config.training.model_copy(update={"sharing": sharing, "recipe": recipe})
        yield Method(", ".join(shown or texts), "+".join(texts).replace("/", "_"), training)


def _alone(config: MethodsConfig) -> Iterator[Method]:
    """Each task by itself."""
    for task in config.training.tasks:
        recipe = config.training.recipe.model_copy(update={"weighting": WeightingConfig()})
        training = config.training.model_copy(update={"tasks": (task,), "sharing": None, "recipe": recipe})
        yield Method(f"{task} alone", f"alone_{task}", training)


def _compare(
    config: MethodsConfig, run: RunFolder, alone: Sequence[Method], methods: Sequence[Method]
) -> tuple[ComparisonTable, list[TaskValues]]:
    costs_of = TrainedCosts(load_source(config.target), config.latency_input_size)

    def seeds(method: Method) -> list[RunFolder]:
        folder = RunFolder(run.trained / method.folder)
        return [folder.seed(config.training.seed + number) for number in range(config.runs)]

    baseline = merge_metrics([load_metrics(run.trained / method.folder) for method in alone], SINGLE_TASK)
    results = [load_metrics(run.trained / method.folder, method.name) for method in methods]
    first, *others = [costs_of.mean(seeds(method)) for method in alone]
    costs = {SINGLE_TASK: sum(others, first), **{method.name: costs_of.mean(seeds(method)) for method in methods}}
    table = tabulate(baseline, results, costs=costs)
    save_comparison(table, run.comparison)
    if config.pictures:
        named = [*((SINGLE_TASK, method) for method in alone), *((method.name, method) for method in methods)]
        models = [(name, load_checkpoint(seeds(method)[0].checkpoint.path)) for name, method in named]
        data = open_dataset(config.training.data, "val", **config.training.data_options)
        save_pictures(paint_predictions(models, config.training.tasks, data, config.pictures), run.predictions)
    return table, [paired_p_values(baseline, result) for result in results]
