"""How far a search's judgements can be trusted: do candidates differ more than one candidate does by chance?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ednas.search.trial import Judgement, Trial


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


def spread_evenly(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Return ``count`` scored trials that are spread evenly over the ranking.

    The best ones alone were lucky the first time, and would look noisier than they are.
    """
    done = sorted(
        (trial for trial in trials if trial.scored and trial.accuracy is not None),
        key=lambda trial: (trial.accuracy, trial.number),
    )
    count = min(count, len(done))
    return [] if count < 2 else [done[index * (len(done) - 1) // (count - 1)] for index in range(count)]


def measure_noise(
    trials: Sequence[Trial], chosen: Sequence[Trial], judgements: Mapping[int, Judgement]
) -> Noise | None:
    """Compare the spread of all candidates with that of those that were judged by another seed too.

    Args:
        trials: Of the search.
        chosen: From :func:`spread_evenly`.
        judgements: By another seed.

    Returns:
        The spread; None where fewer than two candidates were judged twice.
    """
    pairs = [
        (trial.accuracy or 0.0, judgements[trial.number].accuracy) for trial in chosen if trial.number in judgements
    ]
    if len(pairs) < 2:
        return None
    # Of two draws from one distribution, half the squared difference estimates the variance.
    variance = statistics.mean((first - second) ** 2 / 2 for first, second in pairs)
    judged = [trial.accuracy for trial in trials if trial.scored and trial.accuracy is not None]
    return Noise(statistics.stdev(judged), math.sqrt(variance), len(judged), len(pairs))
