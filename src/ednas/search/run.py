"""A search from its configuration to its folder: what the command ``ednas search`` does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.arch import Architecture
from ednas.exceptions import ConfigError, EdnasError
from ednas.files import write_json
from ednas.plugins import load_plugins
from ednas.runs import RunFolder
from ednas.search.again import SecondJudge, finalists
from ednas.search.beginning import Begun, begin, begin_finalists, stored_identity
from ednas.search.evaluators.base import Evaluation, Evaluator
from ednas.search.executors.ray import check_ray
from ednas.search.filtering import make_filter
from ednas.search.judging import ended_by_sigterm, make_judge, make_setting, make_trainer
from ednas.search.loop import Search, take_all
from ednas.search.noise import measure_noise, spread_evenly
from ednas.search.objective import METRICS, Objective
from ednas.search.progress import SearchCallback
from ednas.search.results import (
    SearchResult,
    find_trial,
    judged_again,
    summarise,
    write_results,
)
from ednas.search.study import Study
from ednas.search.trial import Judgement, Trial

if TYPE_CHECKING:
    from ednas.search.config import SearchConfig

_log = logging.getLogger(__name__)


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
    # What a plugin may have brought could not be checked before.
    chosen = {"controller": config.controller.complete(), "evaluator": config.evaluator.complete()}
    if config.filter is not None:
        chosen["filter"] = config.filter.complete()
    config = config.model_copy(update=chosen)
    begun = begin(config, evaluator, stored_identity(folder.study) if resume else {}, decode_progress)
    objective = begun.objective
    with Study(folder.study, begun.identity, resume=resume) as study:
        config.save(folder.config)
        with ended_by_sigterm():
            setting = make_setting(config, begun, folder, callbacks)
            judge = evaluator or config.evaluator.make(setting)
            refuse = (
                take_all
                if config.filter is None
                else make_filter(config.filter, setting, folder.filter, begun.identity)
            )
        executor = make_judge(config, begun, judge)
        if evaluator is None and config.evaluator.trains_all and config.bank:
            executor = make_trainer(config, begun, folder)
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
            executor=executor,
            trials=config.trials,
            seed=config.training.seed,
            callbacks=tuple(callbacks),
            refuse=refuse,
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
            with ended_by_sigterm():
                run.run()
        except BaseException:
            # Also of what an interrupted search has found so far; a full disk must not hide why it was.
            with suppress(EdnasError):
                write_results(outcome(study.trials()), folder.path)
            raise
        trials = study.trials()
        _warn_if_worthless(trials, trivial)
        write_results(outcome(trials), folder.path)
        is_same = evaluator is not None or config.judged_alike
        if is_same:
            trainer = executor
        else:
            final = begin_finalists(config, begun, decode_progress)
            trainer = make_trainer(config.for_finalists(), final, folder)
        again = SecondJudge(study, trainer, objective.by_metrics(), config.training.seed + 1, callbacks)
        with ended_by_sigterm():
            judgements = _judge_again(again, trials, config, begun.space.base, folder)
        result = outcome(trials, judged=judged_again(trials, judgements, begun.identity))
        write_results(result, folder.path)
        return result


def _judge_again(
    judge: SecondJudge, trials: Sequence[Trial], config: SearchConfig, base: Architecture, folder: RunFolder
) -> dict[int, Judgement]:
    """Judge the finalists by another seed, and others to measure the noise; return the finalists' judgements."""
    first = _finalists(trials, judge.objective, config.final_judgements, base)
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


def _trivial(config: SearchConfig, begun: Begun) -> dict[str, Any]:
    """Return ``trivial.json``; its accuracy is None unless every task has a trivial prediction, by which one judges."""
    from ednas.training.trivial import measure_trivial

    tasks, protocol = begun.model.tasks, config.training.protocol
    measured = measure_trivial(tasks, begun.train, begun.held_out, protocol)
    metrics = [task.metrics(protocol).higher_is_better for task in tasks.values()]
    directions = {name: higher for task in metrics for name, higher in task.items()}
    is_complete = measured["tasks"].keys() == tasks.keys() and config.reward.by == METRICS
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
