"""Candidates that are judged once more, by another seed: the best ones, of which one may only have been lucky."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ednas.exceptions import EdnasError, TrainingError
from ednas.search.executors import Attempts, Executor, Job
from ednas.search.objective import Objective
from ednas.search.progress import SearchCallback
from ednas.search.study import Study
from ednas.search.trial import Judgement, Trial

_log = logging.getLogger(__name__)


def finalists(trials: Sequence[Trial], limits: Mapping[str, float], count: int) -> list[Trial]:
    """Return the ``count`` trials with the highest rewards among those that meet all limits, the best first."""
    scored = [trial for trial in trials if trial.scored and trial.meets(limits)]
    return sorted(scored, key=lambda trial: (-(trial.reward or 0.0), trial.number))[:count]


@dataclass(frozen=True)
class SecondJudge:
    """Judges trials of a study again.

    Attributes:
        study: Keeps what is judged; what it holds already is not judged again.
        executor: Evaluates.
        objective: Gives accuracy and reward.
        seed: Other than the search's.
        callbacks: Called before each with how many are done and how many there are.
    """

    study: Study
    executor: Executor
    objective: Objective
    seed: int
    callbacks: Sequence[SearchCallback] = ()

    def judge(self, trials: Sequence[Trial]) -> dict[int, Judgement]:
        """Return the second judgements by trial; those of candidates that fail are missing, and it is said why.

        Raises:
            EdnasError: Data or disk fail, or a worker is killed again and again, which is no candidate's fault.
        """
        done = self.study.judgements()
        waiting = list({trial.number: trial for trial in trials if trial.number not in done}.values())
        total = len(waiting)
        running: dict[int, Trial] = {}
        with Attempts(self.executor) as executor:
            while waiting or running:
                while waiting and len(running) < executor.workers:
                    for callback in self.callbacks:
                        callback.on_again(total - len(waiting) - len(running), total)
                    trial = waiting.pop(0)
                    running[trial.number] = trial
                    executor.submit(Job(trial.number, trial.architecture, self.seed))
                outcome = executor.wait()
                trial = running.pop(outcome.number)
                if outcome.fault != "candidate":
                    raise EdnasError(
                        f"trial {trial.number} could not be judged again: {outcome.error}; put that right and resume "
                        "the search: what was judged is kept"
                    )
                try:
                    if outcome.evaluation is None:
                        raise TrainingError(outcome.error)
                    judgement = Judgement(*self.objective.score(outcome.evaluation, trial.cost))
                except TrainingError as error:  # it diverged, for example
                    _log.warning("trial %d failed by another seed, and is out: %s", trial.number, error)
                else:
                    self.study.add_judgement(trial.number, judgement)
        return self.study.judgements()
