"""What a search found: the best architecture and the Pareto set of latency and accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ednas.arch import Architecture
from ednas.exceptions import StudyError
from ednas.files import write_json
from ednas.search.trial import Trial


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search.

    Attributes:
        target_ms: The target latency, milliseconds.
        best: The trial with the highest reward among those that meet the target; if none does, among all.
        pareto: Trials that no other beats in both latency and accuracy, the fastest first.
    """

    target_ms: float
    best: Trial
    pareto: tuple[Trial, ...]

    @property
    def feasible(self) -> bool:
        """Whether the best trial meets the target latency."""
        return _latency(self.best) <= self.target_ms

    @property
    def architecture(self) -> Architecture:
        """The best architecture; its name says which trial it was."""
        return _architecture(self.best)


def pareto(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return the trials that no other beats: none is at least as fast and as accurate, and better in one of the two.

    Trials that are not done are left out; of equal ones the first found stays.

    Returns:
        The fastest first; accuracy rises with latency.
    """
    front: list[Trial] = []
    for trial in sorted(_scored(trials), key=lambda t: (_latency(t), -_accuracy(t), t.number)):
        if not front or _accuracy(trial) > _accuracy(front[-1]):
            front.append(trial)
    return tuple(front)


def best(trials: Iterable[Trial], target_ms: float) -> Trial | None:
    """Return the trial with the highest reward among those that meet the target latency, else among all.

    Of equal ones the faster, then the earlier one. None if no trial is done.
    """
    scored = _scored(trials)
    feasible = [trial for trial in scored if _latency(trial) <= target_ms]
    return min(feasible or scored, key=lambda t: (-(t.reward or 0.0), _latency(t), t.number), default=None)


def summarise(trials: Sequence[Trial], target_ms: float) -> SearchResult:
    """Return what the trials found.

    Raises:
        StudyError: No trial is done.
    """
    winner = best(trials, target_ms)
    if winner is None:
        failed = [trial for trial in trials if trial.error]
        reason = f"; the last reason: {failed[-1].error}" if failed else ""
        raise StudyError(f"the search has no result yet, none of its {len(trials)} trials is done{reason}")
    return SearchResult(target_ms, winner, pareto(trials))


def write_results(result: SearchResult, folder: Path) -> None:
    """Write ``best.json`` (an architecture file with the trial's figures beside it) and ``pareto.json``.

    Raises:
        EdnasError: The folder cannot be written.
    """
    head = {"target_ms": result.target_ms}
    write_json(folder / "best.json", {**head, "feasible": result.feasible, **_entry(result.best)})
    write_json(folder / "pareto.json", {**head, "trials": [_entry(trial) for trial in result.pareto]})


def _entry(trial: Trial) -> dict[str, Any]:
    values = asdict(trial)
    kept = ("reward", "accuracy", "cost", "metrics", "genes", "fingerprint", "seconds")
    return {
        "trial": trial.number,
        "latency_ms": trial.latency_ms,
        **{key: values[key] for key in kept},
        "architecture": _architecture(trial).to_dict(),
    }


def _architecture(trial: Trial) -> Architecture:
    architecture: Architecture = Architecture.from_text(trial.architecture, name=f"trial_{trial.number}")
    return architecture


def _scored(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.scored]


def _latency(trial: Trial) -> float:
    return trial.cost["latency_ms"]


def _accuracy(trial: Trial) -> float:
    return trial.accuracy or 0.0
