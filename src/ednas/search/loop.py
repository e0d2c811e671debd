"""The search itself: ask, cost first, evaluate, tell."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ednas.arch import Architecture, SearchSpace
from ednas.exceptions import EdnasError, StudyError, TrainingError
from ednas.search.controllers.base import Controller, replay
from ednas.search.executors import Attempts, Executor, Job, Outcome
from ednas.search.objective import CostModel, Objective
from ednas.search.progress import SearchCallback
from ednas.search.study import Study
from ednas.search.trial import Trial, TrialState

_log = logging.getLogger(__name__)

HOPELESS_FAILURES = 5
"""The search stops when this many trials failed and none succeeded."""

HOPELESS_PRUNED = 10_000
"""The search stops when this many candidates in a row cost too much."""


def take_all(architecture: Architecture) -> str:  # noqa: ARG001
    """Find every candidate worth an evaluation."""
    return ""


@dataclass(frozen=True)
class Search:
    """One search, put together.

    Attributes:
        space: Where candidates come from.
        cost: What a candidate costs.
        objective: What is maximised.
        study: Where everything is kept.
        controller: Fresh; the study's history is replayed to it.
        executor: Where candidates are evaluated.
        trials: How many candidates to evaluate; pruned ones do not count.
        seed: Of every evaluation.
        callbacks: Called as it goes on.
        refuse: Says why a candidate that is cheap enough is not worth an evaluation; empty if it is.
    """

    space: SearchSpace
    cost: CostModel
    objective: Objective
    study: Study
    controller: Controller
    executor: Executor
    trials: int
    seed: int = 0
    callbacks: tuple[SearchCallback, ...] = ()
    refuse: Callable[[Architecture], str] = take_all
    _ended: Counter[TrialState] = field(default_factory=Counter, init=False)

    def run(self) -> str:
        """Go on where the study stands, until the trials are done or the space is exhausted.

        Returns:
            Why it ended.

        Raises:
            StudyError: All of the first trials failed; no candidate is cheap enough; or the study's history is not this
                search's.
            EdnasError: The study cannot be written; or data or disk fail, which is no candidate's fault: the trials in
                hand are evaluated when the search is resumed.
        """
        history = self.study.trials()
        replay(self.controller, history, self.study.retried())
        interrupted = deque(trial for trial in history if trial.state is TrialState.RUNNING)
        self._ended.update(trial.state for trial in history if trial.state is not TrialState.RUNNING)
        for callback in self.callbacks:
            callback.on_start(history, self.trials, self.objective.limits)
        running: dict[int, Trial] = {}
        with Attempts(self.executor) as executor:
            while True:
                while len(running) < executor.workers:
                    trial = interrupted.popleft() if interrupted else self._next(len(running))
                    if trial is None:
                        break
                    running[trial.number] = trial
                    executor.submit(Job(trial.number, trial.architecture, self.seed))
                if not running:
                    break
                outcome = executor.wait()
                if outcome.fault == "environment":
                    raise EdnasError(
                        f"trial {outcome.number} could not be evaluated: {outcome.error}; put that right and resume "
                        "the search: what was evaluated is kept"
                    )
                self._tell(self._finish(running.pop(outcome.number), outcome))
        reason = "all trials are done" if self._is_complete() else "every network of the space was tried"
        for callback in self.callbacks:
            callback.on_end(reason)
        return reason

    def _next(self, running: int) -> Trial | None:
        """Ask until a candidate deserves an evaluation; None when there is nothing left to do."""
        for _ in range(HOPELESS_PRUNED):
            if self._is_complete(running) or (proposal := self.controller.ask()) is None:
                return None
            architecture = self.space.decode(proposal.genes)
            cost: Mapping[str, float] = {}
            state, error = TrialState.RUNNING, ""
            try:
                cost = self.cost(architecture)
                error = self.objective.hopeless(cost)
            except EdnasError as problem:
                state, error = TrialState.FAILED, str(problem)
            else:
                if error := error or self.refuse(architecture):
                    state = TrialState.PRUNED
            told = self.controller.told
            trial = self.study.add(proposal, architecture, cost, asked_after=told, state=state, error=error)
            if state is TrialState.RUNNING:
                self._notify(trial)
                return trial
            self._tell(trial)
        raise StudyError(f"{HOPELESS_PRUNED} candidates in a row were not worth an evaluation; the last one: {error}")

    def _finish(self, trial: Trial, outcome: Outcome) -> Trial:
        """Score what came back and store it."""
        if outcome.evaluation is None:
            if outcome.details:
                _log.warning("trial %d failed:\n%s", trial.number, outcome.details)
            return self.study.finish(trial, TrialState.FAILED, error=outcome.error, seconds=outcome.seconds)
        metrics, seconds = outcome.evaluation.tasks, outcome.seconds
        try:
            accuracy, reward = self.objective.score(outcome.evaluation, trial.cost)
        except TrainingError as error:  # NaN, for example
            return self.study.finish(trial, TrialState.FAILED, metrics=metrics, error=str(error), seconds=seconds)
        if remark := outcome.evaluation.remark:
            _log.warning("trial %d: %s", trial.number, remark)
        return self.study.finish(
            trial,
            TrialState.DONE,
            metrics=metrics,
            accuracy=accuracy,
            reward=reward,
            error="; ".join(filter(None, (remark, outcome.evaluation.note))),
            seconds=seconds,
        )

    def _tell(self, trial: Trial) -> None:
        self.controller.tell(trial)
        self._notify(trial)
        self._ended[trial.state] += 1
        failed = self._ended[TrialState.FAILED]
        if trial.state is TrialState.FAILED and not self._ended[TrialState.DONE] and failed >= HOPELESS_FAILURES:
            raise StudyError(f"all {failed} trials failed; the last one: {trial.error}")

    def _notify(self, trial: Trial) -> None:
        for callback in self.callbacks:
            callback.on_trial(trial)

    def _is_complete(self, running: int = 0) -> bool:
        return running + self._ended[TrialState.DONE] + self._ended[TrialState.FAILED] >= self.trials
