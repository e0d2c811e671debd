"""Candidates that are judged once more, by another seed: the best ones, of which one may only have been lucky."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ednas.exceptions import EdnasError, TrainingError
from ednas.search.executors import Executor, Job
from ednas.search.objective import Objective
from ednas.search.progress import SearchCallback
from ednas.search.study import Study
from ednas.search.trial import Judgement, Trial


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
        callbacks: Told how many are done, and how many there are to do, before each.
    """

    study: Study
    executor: Executor
    objective: Objective
    seed: int
    callbacks: Sequence[SearchCallback] = ()

    def judge(self, trials: Sequence[Trial]) -> dict[int, Judgement]:
        """Return the second judgements by trial; those that fail are missing.

        Raises:
            EdnasError: Data or disk fail.
        """
        done = self.study.judgements()
        waiting = list({trial.number: trial for trial in trials if trial.number not in done}.values())
        total = len(waiting)
        running: dict[int, Trial] = {}
        with self.executor:
            while waiting or running:
                while waiting and len(running) < self.executor.workers:
                    for callback in self.callbacks:
                        callback.on_again(total - len(waiting) - len(running), total)
                    trial = waiting.pop(0)
                    running[trial.number] = trial
                    self.executor.submit(Job(trial.number, trial.architecture, self.seed))
                outcome = self.executor.wait()
                trial = running.pop(outcome.number)
                if outcome.fault == "environment":
                    raise EdnasError(f"trial {trial.number} could not be judged again: {outcome.error}; resume then")
                if outcome.evaluation is not None:
                    try:
                        judgement = Judgement(*self.objective.score(outcome.evaluation, trial.cost))
                    except TrainingError:  # NaN, for example
                        continue
                    self.study.add_judgement(trial.number, judgement)
        return self.study.judgements()
