"""What a search found: the best architecture, and the Pareto set of accuracy and costs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.arch import Architecture
from ednas.exceptions import StudyError
from ednas.files import write_json
from ednas.runs import RunFolder
from ednas.search.objective import Objective
from ednas.search.quantities import ACCURACY
from ednas.search.trial import Judgement, Trial

if TYPE_CHECKING:
    from ednas.search.config import SearchConfig


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search.

    Attributes:
        limits: What was to be met, by quantity.
        objectives: What the Pareto set is drawn over.
        best: The trial with the highest reward among those that meet all limits; if none does, among all. Where
            finalists were judged twice it is the best of these, with the means of both accuracies and rewards.
        pareto: Trials that no other beats in all objectives, in the order of :func:`pareto`.
        heads: Output channels by task of the networks whose costs these are; empty if unknown.
        input_size: ``(height, width)`` of these networks, where the architecture does not say; None if unknown.
        baseline: The base network's trial, where it was judged as a candidate; with means, if it was judged twice.
        judged_twice: Whether ``best`` was.
    """

    limits: Mapping[str, float]
    objectives: tuple[str, ...]
    best: Trial
    pareto: tuple[Trial, ...]
    heads: Mapping[str, int] = field(default_factory=dict)
    input_size: tuple[int, int] | None = None
    baseline: Trial | None = None
    judged_twice: bool = False

    @property
    def target_ms(self) -> float | None:
        """The target latency in milliseconds; None if latency was not limited."""
        return self.limits.get("latency_ms")

    @property
    def feasible(self) -> bool:
        """Whether the best trial meets all limits."""
        return self.best.meets(self.limits)

    def head(self) -> dict[str, Any]:
        """Return what was asked for, as it is written into every result file."""
        return {"target_ms": self.target_ms, "limits": dict(self.limits), "objectives": list(self.objectives)}

    @property
    def architecture(self) -> Architecture:
        """The best architecture; its name says which trial it was."""
        return _architecture(self.best)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``ednas search --json`` prints."""
        best = {
            "trial": self.best.number,
            "latency_ms": self.best.latency_ms,
            "cost": dict(self.best.cost),
            "reward": self.best.reward,
            "accuracy": self.best.accuracy,
            **self.costed(self.best),
            "architecture": self.architecture.to_dict(),
        }
        return {**self.head(), "feasible": self.feasible, "best": best}

    def costed(self, trial: Trial) -> dict[str, Any]:
        """Return which network a trial's costs are of: ``input_size`` and ``heads``, as far as they are known."""
        size = _architecture(trial).input_size or self.input_size
        return {key: value for key, value in (("input_size", size), ("heads", dict(self.heads))) if value}


def pareto(trials: Iterable[Trial], objectives: Sequence[str] = Objective.objectives) -> tuple[Trial, ...]:
    """Return the trials that no other beats: none is at least as good in all objectives, and better in one of them.

    Trials that are not done are left out; of equal ones the first found stays.

    Args:
        trials: The trials.
        objectives: ``accuracy`` (higher is better) and quantities (lower is better).

    Returns:
        The trials in the order of the costs among the objectives, the lowest first. With two objectives, accuracy rises
        with the cost.
    """
    costs_first = sorted(objectives, key=lambda name: name == ACCURACY)
    points = sorted(
        ((point(trial, costs_first), trial) for trial in _scored(trials)), key=lambda p: (p[0], p[1].number)
    )
    front: list[tuple[tuple[float, ...], Trial]] = []
    # In this order a trial can only be beaten by one before it; and if by any, then by one of the front. Of two
    # objectives it is the last one of the front, of more most often one of the last.
    for own, trial in points:
        if not any(all(map(float.__le__, other, own)) for other, _ in reversed(front)):
            front.append((own, trial))
    return tuple(trial for _, trial in front)


def point(trial: Trial, objectives: Sequence[str]) -> tuple[float, ...]:
    """Return a done trial's objectives as numbers of which lower is better.

    Args:
        trial: The trial.
        objectives: As :func:`pareto`.
    """
    return tuple(float(-(trial.accuracy or 0.0) if name == ACCURACY else trial.cost[name]) for name in objectives)


def best(trials: Iterable[Trial], limits: Mapping[str, float]) -> Trial | None:
    """Return the trial with the highest reward among those that meet all limits, else among all.

    Of equal ones the faster, then the earlier one. None if no trial is done.
    """
    scored = _scored(trials)
    feasible = [trial for trial in scored if trial.meets(limits)]
    return min(feasible or scored, key=lambda t: (-(t.reward or 0.0), t.cost["latency_ms"], t.number), default=None)


def find_trial(trials: Iterable[Trial], architecture: Architecture) -> Trial | None:
    """Return the trial that judged a network; None if there is none."""
    fingerprint = architecture.fingerprint()
    return next((trial for trial in _scored(trials) if trial.fingerprint == fingerprint), None)


def summarise(
    trials: Sequence[Trial],
    limits: Mapping[str, float],
    objectives: Sequence[str] = Objective.objectives,
    *,
    heads: Mapping[str, int] | None = None,
    input_size: tuple[int, int] | None = None,
    base: Architecture | None = None,
    judged: Sequence[Trial] = (),
) -> SearchResult:
    """Return what the trials found.

    Args:
        trials: The trials.
        limits: What was to be met, by quantity.
        objectives: What the Pareto set is drawn over.
        heads: Output channels by task of the networks whose costs are known.
        input_size: ``(height, width)`` of these networks.
        base: The base network.
        judged: The finalists, as :func:`judged_again` returns them.

    Raises:
        StudyError: No trial is done.
    """
    winner = best(judged, limits) or best(trials, limits)
    if winner is None:
        failed = [trial for trial in trials if trial.error]
        reason = f"; the last reason: {failed[-1].error}" if failed else ""
        raise StudyError(f"the search has no result yet, none of its {len(trials)} trials is done{reason}")
    return SearchResult(
        limits,
        tuple(objectives),
        winner,
        pareto(trials, objectives),
        heads or {},
        input_size,
        None if base is None else find_trial([*judged, *trials], base),
        judged_twice=bool(judged),
    )


def judged_again(
    trials: Sequence[Trial], judgements: Mapping[int, Judgement], identity: Mapping[str, Any]
) -> list[Trial]:
    """Return the trials that were trained in the end, with the accuracy and the reward that they have then.

    Where they had been judged alike before, by another seed, these are the means of both; another judgement, by a
    supernet or a shorter training for example, counts no longer.

    Args:
        trials: The trials.
        judgements: By number.
        identity: Of the search, which says how its trials were judged.
    """
    share = 0.5 if judged_alike(identity) else 0.0
    return [
        replace(
            trial,
            accuracy=share * (trial.accuracy or 0.0) + (1 - share) * judgements[trial.number].accuracy,
            reward=share * (trial.reward or 0.0) + (1 - share) * judgements[trial.number].reward,
        )
        for trial in _scored(trials)
        if trial.number in judgements
    ]


def judged_alike(identity: Mapping[str, Any]) -> bool:
    """Whether a search's candidates were judged as its finalists are, so that the two judgements can be compared."""
    return bool(identity.get("judged alike", True))


def next_command(folder: Path, config: SearchConfig) -> str:
    """Return how the network of a search is trained in full, as it is typed."""
    training = config.training
    options = [
        *(f"--data-option {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in training.data_options.items()),
        *(f"--plugin {shlex.quote(plugin)}" for plugin in training.plugins),
    ]
    words = ["ednas train", shlex.quote(str(RunFolder(folder).best)), "--data", shlex.quote(training.data), *options]
    tasks = ",".join(config.learned_in_the_end)
    return " ".join([*words, "--tasks", tasks, "--out", shlex.quote(str(folder / "trained"))])


def write_results(result: SearchResult, folder: Path | str) -> None:
    """Write ``best.json`` (an architecture file with the trial's figures beside it) and ``pareto.json``.

    ``input_size`` and ``heads`` beside each architecture are those that its costs are for.

    Raises:
        EdnasError: The folder cannot be written.
    """
    run = RunFolder(folder)
    write_json(run.best, {**result.head(), "feasible": result.feasible, **_entry(result.best, result)})
    trials = [_entry(trial, result) for trial in result.pareto]
    write_json(run.pareto, {**result.head(), "trials": trials})


def _entry(trial: Trial, result: SearchResult) -> dict[str, Any]:
    values = asdict(trial)
    kept = ("reward", "accuracy", "cost", "metrics", "genes", "fingerprint", "seconds")
    return {
        "trial": trial.number,
        "latency_ms": trial.latency_ms,
        **{key: values[key] for key in kept},
        **result.costed(trial),
        "architecture": _architecture(trial).to_dict(),
    }


def _architecture(trial: Trial) -> Architecture:
    architecture: Architecture = Architecture.from_text(trial.architecture, name=f"trial_{trial.number}")
    return architecture


def _scored(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.scored]
