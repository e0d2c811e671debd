"""How far a search's judgements can be trusted: do candidates differ more than one candidate does by chance?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ednas.exceptions import TrainingError
from ednas.search.executors import Executor, Job
from ednas.search.objective import Objective
from ednas.search.trial import Trial, TrialState


@dataclass(frozen=True)
class Noise:
    """Spread of the accuracy (Eq. 6) between candidates and between seeds.

    Attributes:
        candidates: Standard deviation over all candidates, which were judged by one seed.
        seeds: Standard deviation of one candidate's accuracy between seeds, from candidates judged by two.
        judged: How many candidates there are.
        repeated: How many of them were judged twice.
    """

    candidates: float
    seeds: float
    judged: int
    repeated: int

    @property
    def ratio(self) -> float:
        """How many times further candidates differ than seeds do; at 1 a search chooses by chance."""
        return self.candidates / self.seeds if self.seeds else math.inf

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``noise.json``."""
        return {**asdict(self), "ratio": self.ratio if math.isfinite(self.ratio) else None}


def measure_noise(
    trials: Sequence[Trial], executor: Executor, objective: Objective, *, seed: int, repeats: int
) -> Noise | None:
    """Judge a few candidates again, by another seed.

    They are spread evenly over the ranking: the best ones alone were lucky the first time, and would look noisier than
    they are.

    Args:
        trials: Of the search.
        executor: Evaluates.
        objective: Gives the accuracy.
        seed: Other than the search's.
        repeats: How many candidates.

    Returns:
        The spread; None where fewer than two candidates could be judged twice.
    """
    done = sorted(
        (trial for trial in trials if trial.state is TrialState.DONE and trial.accuracy is not None),
        key=lambda trial: (trial.accuracy, trial.number),
    )
    count = min(repeats, len(done))
    if count < 2:
        return None
    chosen = [done[index * (len(done) - 1) // (count - 1)] for index in range(count)]
    again = _evaluate(chosen, executor, objective, seed)
    pairs = [(trial.accuracy, again[trial.number]) for trial in chosen if trial.number in again]
    if len(pairs) < 2:
        return None
    # Of two draws from one distribution, half the squared difference estimates the variance.
    variance = statistics.mean((first - second) ** 2 / 2 for first, second in pairs if first is not None)
    candidates = statistics.stdev(trial.accuracy for trial in done if trial.accuracy is not None)
    return Noise(candidates, math.sqrt(variance), len(done), len(pairs))


def _evaluate(trials: Sequence[Trial], executor: Executor, objective: Objective, seed: int) -> dict[int, float]:
    """Return the accuracies of the candidates whose evaluation succeeds, by number."""
    found: dict[int, float] = {}
    waiting, running = list(trials), 0
    with executor:
        while waiting or running:
            while waiting and running < executor.workers:
                trial = waiting.pop(0)
                executor.submit(Job(trial.number, trial.architecture, seed))
                running += 1
            outcome = executor.wait()
            running -= 1
            if outcome.evaluation is not None:
                try:
                    found[outcome.number] = objective.accuracy(outcome.evaluation)
                except TrainingError:
                    continue
    return found
