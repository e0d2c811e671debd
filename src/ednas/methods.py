"""Ways to share and to weigh tasks beside each other: every combination trained from several seeds, and compared."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from ednas.arch.parts import HARD
from ednas.config import StrictModel, parse, read_yaml
from ednas.data import open_dataset
from ednas.durations import show_seconds
from ednas.exceptions import ConfigError
from ednas.files import exclusive, read_json, write_json
from ednas.hw.sources import load_source
from ednas.metrics import TaskValues, load_metrics, merge_metrics
from ednas.mtl.weighting import WeightingConfig
from ednas.nn import MultiTaskNetwork
from ednas.plugins import load_plugins
from ednas.report.comparison import ModelCost, cost_of, mean_cost, save_comparison, tabulate
from ednas.report.content import ComparisonTable
from ednas.report.pictures import paint_predictions, save_pictures
from ednas.runs import RunFolder
from ednas.scoring import paired_p_values
from ednas.training import TrainConfig, load_checkpoint, train, train_runs
from ednas.training.config import difference
from ednas.training.recipe import AUTO, check_size

if TYPE_CHECKING:
    from ednas.training import Callback

SINGLE_TASK = "single-task"
"""The baseline: every task by a network of its own, trained alone."""

SECONDS = "seconds.json"
"""File of a training with the processor seconds that each of its processes took."""


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

    def seeded(self, seed: int) -> Method:
        """Return one of its trainings."""
        config = self.config.model_copy(update={"seed": seed})
        return replace(self, name=f"{self.name}, seed {seed}", config=config)


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
        jobs = [method.seeded(seed) for seed in seeds for method in (*methods, *alone)]
        waiting = sum(not _is_trained(job, run) for job in jobs)
        say = _Countdown(len(jobs), waiting, announce or (lambda _: None))
        if workers == 1:
            for job in jobs:
                trained = _train(job, run, device, callbacks(job.name) if callbacks else ())
                say(job.name, trained)
        else:
            _train_in_processes(jobs, run, device, workers, say)
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


class _Countdown:
    """Says of every training that is done how many are left, and about how long these take.

    Args:
        jobs: How many there are.
        waiting: How many of them have not been done before.
        say: Called with a line.
    """

    def __init__(self, jobs: int, waiting: int, say: Callable[[str], None]) -> None:
        self._jobs = jobs
        self._waiting = waiting
        self._say = say
        self._done = 0
        self._trained = 0
        self._begin = time.monotonic()

    def __call__(self, name: str, trained: bool) -> None:
        """Take note of a training that is done; one that had been done before says nothing of how long others take."""
        self._done += 1
        self._trained += trained
        if trained:
            left = self._waiting - self._trained
            seconds = (time.monotonic() - self._begin) / self._trained * left
            end = f", about {show_seconds(seconds)} left" if left else ""
            self._say(f"{name}: done, {self._done} of {self._jobs}{end}")


def _is_trained(method: Method, run: RunFolder) -> bool:
    return RunFolder(run.trained / method.folder).seed(method.config.seed).checkpoint.metrics.is_file()


def _train(method: Method, run: RunFolder, device: str, callbacks: Sequence[Callback] = ()) -> bool:
    """Train once, or go on with a training; add its processor seconds to those that are known.

    Returns:
        Whether there was anything to do.
    """
    folder = RunFolder(run.trained / method.folder).seed(method.config.seed)
    is_finished, before = _is_trained(method, run), time.process_time()
    try:
        train(method.config, folder.path, resume=True, callbacks=callbacks, device=device)
    finally:
        if not is_finished and folder.path.is_dir():
            file = folder.path / SECONDS
            known = read_json(file) if file.is_file() else []
            write_json(file, [*known, time.process_time() - before])
    return not is_finished


def _train_in_processes(
    jobs: Sequence[Method], run: RunFolder, device: str, workers: int, say: Callable[[str, bool], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_use_one_thread) as pool:
        futures = {pool.submit(_train, job, run, device): job.name for job in jobs}
        try:
            for future in as_completed(futures):
                say(futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _compare(
    config: MethodsConfig, run: RunFolder, alone: Sequence[Method], methods: Sequence[Method]
) -> tuple[ComparisonTable, list[TaskValues]]:
    source = load_source(config.target)

    def seeds(method: Method) -> list[RunFolder]:
        folder = RunFolder(run.trained / method.folder)
        return [folder.seed(config.training.seed + number) for number in range(config.runs)]

    known: dict[str, ModelCost] = {}

    def cost(method: Method) -> ModelCost:
        costs, size = [], config.latency_input_size
        for seed in seeds(method):  # what is learned to be shared may be another from each
            model = load_checkpoint(seed.checkpoint.path)
            key = f"{model.architecture.fingerprint()} {','.join(model.tasks)}"
            if key not in known:
                known[key] = cost_of(model, source, size or model.input_size)
            # A process that was killed has left no seconds.
            seconds = sum(read_json(seed.path / SECONDS)) if (seed.path / SECONDS).is_file() else None
            costs.append(replace(known[key], training_seconds=seconds))
        return mean_cost(costs)

    baseline = merge_metrics([load_metrics(run.trained / method.folder) for method in alone], SINGLE_TASK)
    results = [load_metrics(run.trained / method.folder, method.name) for method in methods]
    first, *others = map(cost, alone)
    costs = {SINGLE_TASK: sum(others, first), **{method.name: cost(method) for method in methods}}
    table = tabulate(baseline, results, costs=costs)
    save_comparison(table, run.comparison)
    if config.pictures:
        named = [*((SINGLE_TASK, method) for method in alone), *((method.name, method) for method in methods)]
        models = [(name, load_checkpoint(seeds(method)[0].checkpoint.path)) for name, method in named]
        data = open_dataset(config.training.data, "val", **config.training.data_options)
        save_pictures(paint_predictions(models, config.training.tasks, data, config.pictures), run.predictions)
    return table, [paired_p_values(baseline, result) for result in results]
