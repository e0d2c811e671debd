"""What the paper claims, as statements about rows of a table that trainings decide.

A statement is judged over pairs of trainings from one seed, by a test that it names, at 5 % on either side: it *holds*
where so clear a difference would come about by chance in fewer than one of twenty repetitions, it *does not hold* where
as clear a difference to the other side would, and it is *undecided* otherwise, and with fewer trainings than were asked
for.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Literal

from ednas.exceptions import CheckpointError, ConfigError
from ednas.metrics import ModelMetrics, direction
from ednas.scoring import compare

Outcome = Literal["holds", "does not hold", "undecided"]
Reading = Literal["printed", "counted"]
"""How an ambiguous point of the paper is read: as it is printed, or as other numbers of the paper say it must be."""

LEVEL = 0.05
"""Probability of a one-sided test below which it decides."""

DELTA = "delta"
"""What :func:`quantity` calls the overall gain; ``delta.depth`` is that of a task, ``depth.rel_err`` a metric."""

TIMES = "times the latency"

SHARE = "_percent"
"""How names of quantities end that are shares, whose differences are points of percent."""


@dataclass(frozen=True)
class Verdict:
    """What trainings say of a claim.

    Attributes:
        outcome: The verdict.
        test: Name of the test.
        p_value: Of the claim's side: how probable so clear a difference is if there is none; None where nothing could
            be tested.
        effect: What was found, as :attr:`Claim.effect` says; None where nothing was measured.
        runs: Trainings of each row.
        wanted: How many there should be.
    """

    outcome: Outcome
    test: str
    p_value: float | None
    effect: float | None
    runs: int
    wanted: int


@dataclass(frozen=True)
class Measured:
    """A row's trainings, and what their gains are relative to.

    Attributes:
        metrics: The row, with the values of each seed.
        baseline: The row that gains are relative to.
    """

    metrics: ModelMetrics
    baseline: ModelMetrics


@dataclass(frozen=True)
class Claim(ABC):
    """A statement of the paper about two rows of a table.

    Attributes:
        text: In words.
        row: Key of the row that it speaks for.
        than: Key of the row that this is compared with.
        by: The quantity, as :func:`quantity` names it.
        printed: What the paper has for it.
        reading: The reading that it belongs to; None = to both.
    """

    test: ClassVar[str]
    """Name of the test."""

    text: str
    row: str
    than: str
    by: str = DELTA
    printed: str = ""
    reading: Reading | None = None

    @property
    @abstractmethod
    def effect(self) -> str:
        """What :attr:`Verdict.effect` is, with its unit."""

    @abstractmethod
    def judge(self, measured: Mapping[str, Measured], wanted: int) -> Verdict:
        """Judge it.

        Args:
            measured: The rows' trainings, by key.
            wanted: How many each should have.
        """

    def _decide(self, p_value: float | None, effect: float | None, runs: int, wanted: int) -> Verdict:
        outcome: Outcome = "undecided"
        if p_value is not None and runs >= wanted:
            outcome = "holds" if p_value < LEVEL else "does not hold" if p_value > 1 - LEVEL else "undecided"
        return Verdict(outcome, self.test, p_value, effect, runs, wanted)


class Better(Claim):
    """One row is better than another: Student's paired t-test of a quantity's differences."""

    test = "paired t-test"

    @property
    def effect(self) -> str:
        """The mean difference, positive where the row is better."""
        return "% better" if self._is_relative else "points of Δ" if self.by.startswith(DELTA) else "points"

    @property
    def _is_relative(self) -> bool:
        return not self.by.startswith(DELTA) and not self.by.endswith(SHARE)

    def judge(self, measured: Mapping[str, Measured], wanted: int) -> Verdict:
        """See :meth:`Claim.judge`."""
        ours, theirs = _paired(quantity(measured[self.row], self.by), quantity(measured[self.than], self.by))
        if not ours:
            return self._decide(None, None, 0, wanted)
        differences = [mine - other for mine, other in zip(ours, theirs, strict=True)]
        effect: float | None = statistics.mean(differences)
        if self._is_relative:
            mean = abs(statistics.mean(theirs))
            effect = 100 * statistics.mean(differences) / mean if mean else None
        return self._decide(_t_test(differences), effect, len(ours), wanted)


@dataclass(frozen=True)
class AtMost(Claim):
    """The latency of one row is at most so many times that of another, in every round of a measurement.

    Attributes:
        factor: How many times.
        rounds: Rounds that decide, where it is not the table's number: an estimate has one.
    """

    test = "ratio in every round"

    factor: float = 1.0
    rounds: int | None = None

    @property
    def effect(self) -> str:
        """The mean ratio."""
        return TIMES

    def judge(self, measured: Mapping[str, Measured], wanted: int) -> Verdict:
        """See :meth:`Claim.judge`; where rounds do not agree, nothing is decided."""
        needed = self.rounds or wanted
        ours, theirs = _paired(*(_values(measured[row].metrics, self.by) for row in (self.row, self.than)))
        ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
        if not ratios:
            return Verdict("undecided", self.test, None, None, 0, needed)
        outcome: Outcome = "undecided"
        if len(ratios) >= needed and max(ratios) <= self.factor:
            outcome = "holds"
        elif len(ratios) >= needed and min(ratios) > self.factor:
            outcome = "does not hold"
        return Verdict(outcome, self.test, None, statistics.mean(ratios), len(ratios), needed)


class Steadier(Claim):
    """A metric spreads less over seeds in one row than in another: Pitman and Morgan's test of paired variances.

    Logarithms are compared, whose standard deviation is the relative one, as Table 1 prints it.
    """

    test = "Pitman-Morgan test of logarithms"

    @property
    def effect(self) -> str:
        """The relative standard deviation's change."""
        return "% of spread"

    def judge(self, measured: Mapping[str, Measured], wanted: int) -> Verdict:
        """See :meth:`Claim.judge`."""
        pairs = _paired(*(_values(measured[row].metrics, self.by) for row in (self.row, self.than)))
        if len(pairs[0]) < 3 or min(map(min, pairs)) <= 0:  # the test has two degrees of freedom fewer
            return self._decide(None, None, len(pairs[0]), wanted)
        ours, theirs = ([math.log(value) for value in values] for values in pairs)
        spread, other = statistics.stdev(ours), statistics.stdev(theirs)
        effect = 100 * (spread / other - 1) if other else None
        return self._decide(_pitman_morgan(ours, theirs), effect, len(ours), wanted)


def quantity(row: Measured, by: str) -> dict[int, float]:
    """Return a quantity of each training of a row, by its seed; higher is better.

    Args:
        row: The row.
        by: ``delta`` (Eq. 12, over the baseline's mean), ``delta.TASK`` (Eq. 11) or ``TASK.METRIC``.
    """
    if by.startswith(DELTA):
        return _gains(row, by.removeprefix(DELTA).removeprefix("."))
    sign = 1 if direction(by.partition(".")[2], row.metrics.higher_is_better) else -1
    return {seed: sign * value for seed, value in _values(row.metrics, by).items()}


def check_tests() -> None:
    """Make sure that there is what computes the tests.

    Raises:
        ConfigError: SciPy is missing.
    """
    if find_spec("scipy") is None:
        raise ConfigError('reproduce: its tests need SciPy: pip install "ednas[reproduce]"')


def _gains(row: Measured, task: str) -> dict[int, float]:
    """Return the gain of each training, overall or of a task; none where a baseline of 0 leaves nothing to compare."""
    metrics = row.metrics
    gains: dict[int, float] = {}
    for seed, values in metrics.by_seed.items():
        own = ModelMetrics(metrics.name, metrics.protocol, values, metrics.higher_is_better)
        with suppress(CheckpointError):
            gain = compare(row.baseline, [own]).models[0]
            gains[seed] = gain.tasks[task].delta if task else gain.delta
    return gains


def _values(metrics: ModelMetrics, name: str) -> dict[int, float]:
    task, _, metric = name.partition(".")
    found = {seed: values.get(task, {}).get(metric) for seed, values in metrics.by_seed.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _paired(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """Return the values of the seeds that both have."""
    seeds = sorted(first.keys() & second.keys())
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


def _t_test(differences: Sequence[float]) -> float | None:
    """Return how probable differences are that are on average at least as far above 0, if the mean is 0."""
    from scipy.stats import ttest_1samp

    if len(differences) < 2:
        return None
    if statistics.pstdev(differences) < 1e-12 * max(map(abs, differences)):  # all alike: certain, but for none at all
        return 0.0 if differences[0] > 0 else 1.0
    if not any(differences):
        return None
    return float(ttest_1samp(differences, 0.0, alternative="greater").pvalue)


def _pitman_morgan(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return how probable it is that the first spread so much less than the second, if both spread alike.

    The sum and the difference of two quantities are correlated just where one of them spreads more (Pitman 1939, Morgan
    1939).
    """
    from scipy.stats import pearsonr

    sums = [a + b for a, b in zip(first, second, strict=True)]
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if len(set(sums)) < 2 or len(set(differences)) < 2:
        return None
    return float(pearsonr(sums, differences, alternative="greater").pvalue)
