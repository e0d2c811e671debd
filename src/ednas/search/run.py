"""A search from its configuration to its folder: what the command ``ednas search`` does."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ednas.arch import Architecture, SearchSpace
from ednas.arch.space import Genes
from ednas.exceptions import ArchitectureError, ConfigError, EdnasError, StudyError
from ednas.files import write_json
from ednas.plugins import load_plugins
from ednas.runs import RunFolder
from ednas.search.again import SecondJudge, finalists
from ednas.search.evaluators.base import Evaluation, Evaluator
from ednas.search.evaluators.proxy import MODULES, ProxyEvaluator
from ednas.search.executors import Executor, InlineExecutor, ProcessExecutor, RayExecutor
from ednas.search.executors.ray import check_ray
from ednas.search.loop import Search
from ednas.search.noise import measure_noise, spread_evenly
from ednas.search.objective import CostModel, Objective, check_feasible
from ednas.search.progress import SearchCallback
from ednas.search.quantities import ACCURACY, resolve
from ednas.search.results import SearchResult, find_trial, summarise, write_results
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Judgement, Trial

if TYPE_CHECKING:
    from ednas.data.cache import CachedSplit
    from ednas.hw.sources import Source
    from ednas.search.config import SearchConfig
    from ednas.search.controllers import Controller
    from ednas.training.model import Model

REMEMBERED = 4096
"""Networks whose costs are kept: no candidate is proposed twice, but the base network is asked for often."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeviceCost:
    """What a candidate costs on a device: a :data:`~ednas.search.objective.CostModel`.

    Attributes:
        source: Where the costs come from: the simulator of a target, a compiler, a device.
        heads: Output channels by task.
        input_size: ``(height, width)`` on the device, where the architecture does not say.
    """

    source: Source
    heads: Mapping[str, int]
    input_size: tuple[int, int]

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        """Return the costs, and the network's counts; what the source does not know is absent.

        Raises:
            TargetError: The device cannot run the network.
        """
        from ednas.hw import counts

        size = architecture.input_size or self.input_size
        cost = self.source.network_cost(architecture, self.heads, size)
        params, macs = counts(architecture, self.heads, size)
        return {**cost.quantities(), "params": params, "macs": macs}


def run_search(
    config: SearchConfig,
    out: Path | str,
    *,
    evaluator: Evaluator | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    callbacks: Sequence[SearchCallback] = (),
    decode_progress: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """Search, and write the run's folder: ``config.yaml``, ``study.db``, ``best.json``, ``pareto.json``.

    And ``trivial.json``, the ``metrics.json`` of no network: of the mean training label of each pixel; and with
    ``repeats`` ``noise.json``, how much of the difference between candidates is chance.

    Ctrl-C, SIGTERM, a crash or a power failure at any moment leaves a folder that can be resumed, and the resumed
    search proposes what the uninterrupted one would have.

    Args:
        config: What to search, for which device, and how.
        out: The run's folder.
        evaluator: What judges candidates; None = the short training of ``config.training``. One of your own is not
            compared with the mean training label, and its metrics need not be those of the tasks. It must be picklable,
            unless ``config.executor`` is ``inline``; a search is resumed with one of the same class.
        resume: Go on with the search in ``out``, if there is one.
        retry_failed: Evaluate its candidates that failed anew, first of all: what they lacked, memory for example, may
            be there now.
        callbacks: Called as it goes on, for example a :class:`~ednas.search.progress.SearchProgress`.
        decode_progress: Called with samples done and in all while the dataset is decoded.

    Returns:
        The best trial and the Pareto set.

    Raises:
        ConfigError: The configuration is wrong, the device's model does not know what is limited or an objective, or no
            network of the space meets the limits.
        StudyError: ``out`` holds a search and ``resume`` is false, or another search; or all trials fail.
        EdnasError: Data, device or architecture are wrong, or the folder cannot be written.
    """
    config, folder = config.standalone(), RunFolder(out)
    if folder.is_training:  # whose configuration would be replaced
        raise ConfigError(f"{out}: holds a training; choose another folder for a search")
    if config.executor == "ray":  # before the data are decoded
        check_ray(config.ray_address)
    load_plugins(config.training.plugins)
    config = config.model_copy(update={"controller": config.controller.complete()})  # which a plugin may have brought
    begun = _begin(config, evaluator, _stored_identity(folder.study) if resume else {}, decode_progress)
    objective, judge = begun.objective, begun.judge
    with Study(folder.study, begun.identity, resume=resume) as study:
        config.save(folder.config)
        if retry_failed:
            _log.info("%d candidates that failed are evaluated anew", study.retry_failed())
        trivial = None
        if evaluator is None:
            trivial = _tell_trivial(_trivial(config, begun), folder, callbacks)
        run = Search(
            space=begun.space,
            cost=begun.cost,
            objective=objective,
            study=study,
            controller=begun.controller,
            executor=_executor(config, judge),
            trials=config.trials,
            seed=config.training.seed,
            callbacks=tuple(callbacks),
        )
        outcome = partial(
            summarise,
            limits=objective.limits,
            objectives=objective.objectives,
            heads=begun.heads,
            input_size=begun.input_size,
            base=begun.space.base,
        )
        try:
            with _ended_by_sigterm():
                run.run()
        except BaseException:
            # Also of what an interrupted search has found so far; a full disk must not hide why it was.
            with suppress(EdnasError):
                write_results(outcome(study.trials()), folder.path)
            raise
        trials = study.trials()
        _warn_if_worthless(trials, trivial)
        write_results(outcome(trials), folder.path)
        again = SecondJudge(study, _executor(config, judge), objective, config.training.seed + 1, callbacks)
        with _ended_by_sigterm():
            judgements = _judge_again(again, trials, config, begun.space.base, folder)
        result = outcome(trials, judgements=judgements)
        write_results(result, folder.path)
        return result


@dataclass(frozen=True)
class _Begun:
    """What a search settles before its first candidate.

    Attributes:
        space: What may be proposed.
        cost: What a candidate costs.
        objective: What is searched for, its limits as numbers.
        controller: What proposes.
        judge: What judges.
        heads: Output channels by task.
        input_size: ``(height, width)`` on the device, where an architecture does not say.
        model: The base network, untrained.
        train: What candidates are trained on.
        held_out: What they are judged on.
        identity: What must not change when the search is resumed.
    """

    space: SearchSpace
    cost: CostModel
    objective: Objective
    controller: Controller
    judge: Evaluator
    heads: Mapping[str, int]
    input_size: tuple[int, int]
    model: Model
    train: CachedSplit
    held_out: CachedSplit
    identity: dict[str, Any]


def _begin(
    config: SearchConfig,
    evaluator: Evaluator | None,
    stored: Mapping[str, Any],
    decode_progress: Callable[[int, int], None] | None,
) -> _Begun:
    """Settle what can be known before the first candidate; ``stored`` is the identity of a search to be resumed."""
    from ednas.hw.sources import load_source
    from ednas.training import prepare_judgement

    source, base = load_source(config.target), config.training.load_architecture()
    space = SearchSpace(base, config.space)
    training = config.train_config(base)
    model, train_split, held_out = prepare_judgement(training, decode_progress)
    if evaluator is None:
        _check_weights(config, model)
    heads = {name: task.channels for name, task in model.tasks.items()}
    size = config.latency_input_size or model.input_size
    cost: CostModel = lru_cache(REMEMBERED)(DeviceCost(source, heads, size))
    initial = _initial_genes(config, space)
    # What is measured is never the same twice: a resumed search goes on with the limits that it began with.
    baseline = (source.target is None and stored.get("baseline")) or dict(cost(base))
    objective = _objective(config, baseline)
    if not stored:
        _check_limits(config, space, cost, objective.limits)
    identity = {
        **config.identity(),
        "target_latency_ms": objective.limits.get("latency_ms"),
        "limits": {name: objective.limits[name] for name in config.limits},
        "baseline": baseline,
        "heads": heads,
        "input_size": list(size),
        "target definition": source.definition(),
        "space fingerprint": space.fingerprint(),
        "data digest": train_split.digest,
        "evaluator": None if evaluator is None else type(evaluator).__qualname__,
    }
    sizes = [len(decision.candidates) for decision in space.decisions]
    return _Begun(
        space=space,
        cost=cost,
        objective=objective,
        controller=config.controller.make(sizes, config.training.seed, objective.limits, initial),
        judge=evaluator or ProxyEvaluator(training, config.device, train_split.digest),
        heads=heads,
        input_size=size,
        model=model,
        train=train_split,
        held_out=held_out,
        identity=identity,
    )


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which schedulers end a job, unwind the search as Ctrl-C does, instead of ending it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    ended = False

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except SystemExit as error:
        if ended:  # Ray, where it waits, puts an exit code of its own in the place of any
            error.code = 128 + signal.SIGTERM
        raise
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def _initial_genes(config: SearchConfig, space: SearchSpace) -> list[Genes]:
    try:
        return [space.encode(architecture) for architecture in config.load_initial()]
    except ArchitectureError as error:
        raise ConfigError(f"initial: {error}; leave that network out, or widen the space") from None


def _judge_again(
    judge: SecondJudge, trials: Sequence[Trial], config: SearchConfig, base: Architecture, folder: RunFolder
) -> dict[int, Judgement]:
    """Judge the finalists by another seed, and others to measure the noise; return the finalists' judgements."""
    first = _finalists(trials, judge.objective, config.finalists, base)
    chosen = spread_evenly(trials, config.repeats)
    judgements = judge.judge([*first, *chosen])
    if noise := measure_noise(trials, chosen, judgements):
        write_json(folder.noise, noise.to_json())
        for callback in judge.callbacks:
            callback.on_noise(noise)
    numbers = {trial.number for trial in first}
    return {number: found for number, found in judgements.items() if number in numbers}


def _finalists(trials: Sequence[Trial], objective: Objective, count: int, base: Architecture) -> list[Trial]:
    """Return the best trials, and that of the base network, which they are compared with."""
    found = finalists(trials, objective.limits, count)
    judged_base = find_trial(trials, base) if found else None
    return found if judged_base is None else [*found, judged_base]


def _trivial(config: SearchConfig, begun: _Begun) -> dict[str, Any]:
    """Return ``trivial.json``; its accuracy is None unless every task has a trivial prediction."""
    from ednas.training.trivial import measure_trivial

    tasks, protocol = begun.model.tasks, config.training.protocol
    measured = measure_trivial(tasks, begun.train, begun.held_out, protocol)
    metrics = [task.metrics(protocol).higher_is_better for task in tasks.values()]
    directions = {name: higher for task in metrics for name, higher in task.items()}
    is_complete = measured["tasks"].keys() == tasks.keys()
    accuracy = begun.objective.accuracy(Evaluation(measured["tasks"], directions)) if is_complete else None
    return {"protocol": protocol, **measured, "higher_is_better": directions, "accuracy": accuracy}


def _tell_trivial(trivial: Mapping[str, Any], folder: RunFolder, callbacks: Sequence[SearchCallback]) -> float | None:
    """Write ``trivial.json`` and tell its accuracy, if there is one; return that."""
    if trivial["tasks"]:
        write_json(folder.trivial, trivial)
    accuracy: float | None = trivial["accuracy"]
    if accuracy is not None:
        for callback in callbacks:
            callback.on_trivial(accuracy)
    return accuracy


def _warn_if_worthless(trials: Sequence[Trial], trivial: float | None) -> None:
    highest = max((trial.accuracy for trial in trials if trial.accuracy is not None), default=0.0)
    if trivial is not None and highest <= trivial:
        _log.warning(
            "no candidate (accuracy %.4f at most) is better than the mean training label of each pixel (%.4f); "
            "train them longer, or check the data", highest, trivial,
        )  # fmt: skip


def _stored_identity(path: Path) -> dict[str, Any]:
    """Return the identity of the search that is to be resumed; empty if there is none."""
    try:
        with StudyReader(path) as study:
            return study.identity
    except StudyError:  # no search yet, or one whose damage is reported when it is opened for writing
        return {}


def _executor(config: SearchConfig, evaluator: Evaluator) -> Executor:
    if config.executor == "inline":
        return InlineExecutor(evaluator)
    threads, timeout_s = config.threads, config.timeout_s
    if config.executor == "process":
        return ProcessExecutor(
            evaluator, workers=config.workers or 1, threads=threads, timeout_s=timeout_s, preload=MODULES
        )
    return RayExecutor(
        evaluator,
        address=config.ray_address,
        workers=config.workers,
        threads=threads,
        gpus=config.gpus_per_trial,
        timeout_s=timeout_s,
        preload=MODULES,
    )


def _objective(config: SearchConfig, baseline: Mapping[str, float]) -> Objective:
    """Return what is searched for, with limits as numbers; ``baseline`` is what the base network costs."""
    limits, objectives = config.all_limits(), config.all_objectives()
    for name in (*limits, *objectives):
        if name not in (ACCURACY, *baseline):
            raise ConfigError(
                f"{'limits' if name in limits else 'objectives'}: {config.target} does not model {name}; leave it out, "
                f"or choose a target that does ({config.target} models {', '.join(baseline)})"
            )
    resolved = {name: resolve(limit, baseline[name]) for name, limit in limits.items()}
    return Objective(resolved, config.reward, config.prune_factor, objectives)


def _check_limits(config: SearchConfig, space: SearchSpace, cost: CostModel, limits: Mapping[str, float]) -> None:
    """Find limits that nothing in the space meets now, not after a night."""
    try:
        start = space.encode(space.base)
    except ArchitectureError:  # the base need not be in the space
        start = None
    check_feasible(space, cost, limits, start, config.target)


def _check_weights(config: SearchConfig, model: Model) -> None:
    """Find a misspelt weight or reference now, not after the first training."""
    metrics = {name: task.metrics(config.training.protocol).higher_is_better for name, task in model.tasks.items()}
    for key, values in (("weights", config.reward.weights), ("reference", config.reward.reference)):
        for task, named in values.items():
            known = metrics.get(task, {})
            for metric in named:
                if metric not in known:
                    have = ", ".join(known) or f"no task '{task}' is searched for"
                    raise ConfigError(f"reward.{key}: '{task}.{metric}' is not measured; there is {have}")
