"""Proximal policy optimisation (Schulman et al., 2017), the controller of MnasNet (Tan et al., CVPR 2019).

MnasNet's policy is a recurrent network that chooses one value after the other. Here it is the one of TuNAS (Bender et
al., CVPR 2020): a softmax over the candidates of each decision, all independent. It has a few hundred numbers, and
gradients that are written down below.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ednas.config import StrictModel, parse
from ednas.scoring import violation
from ednas.search.controllers.base import MAX_ATTEMPTS, Controller, Proposal, register_controller
from ednas.search.trial import Trial

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """What one update of the policy learns from.

    Attributes:
        genes: (trials, decisions), the chosen candidates.
        log_odds: (trials, decisions), their log probabilities under the policies that they were asked of.
        advantages: (trials,), how much better than expected each was.
    """

    genes: npt.NDArray[np.int64]
    log_odds: Array
    advantages: Array


def log_softmax(logits: Array) -> Array:
    """Return log probabilities of (decisions, candidates) logits; a candidate that does not exist has -inf."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def chosen(log_probabilities: Array, genes: npt.NDArray[np.int64]) -> Array:
    """Return the log probabilities of chosen candidates, in the shape of the genes: (..., decisions)."""
    return np.asarray(log_probabilities[np.arange(genes.shape[-1]), genes])


def gradient(logits: Array, batch: Batch, clip: float, entropy: float) -> Array:
    """Return the gradient of PPO's objective by the logits.

    The objective is, summed over the decisions, the mean over the batch of ``min(r * A, clip(r, 1 - clip, 1 + clip) *
    A)`` and ``entropy`` times the policy's entropy, in nats. A is the trial's advantage, r how many times as probable
    the policy makes the choice as the one that made it: each decision is an action of its own, as each step of
    MnasNet's recurrent policy is.
    """
    log_p = np.where(np.isfinite(logits), log_softmax(logits), 0.0)
    p = np.where(np.isfinite(logits), np.exp(log_p), 0.0)
    ratios = np.exp(chosen(log_p, batch.genes) - batch.log_odds)
    advantages = batch.advantages[:, None]
    is_free = np.where(advantages > 0, ratios < 1 + clip, ratios > 1 - clip)
    pulls = (advantages * ratios * is_free)[:, :, None]
    one_hot = batch.genes[:, :, None] == np.arange(logits.shape[1])
    surprise = log_p - (p * log_p).sum(axis=1, keepdims=True)
    return np.asarray((pulls * (one_hot - p)).mean(axis=0) - entropy * p * surprise)


@dataclass
class Adam:
    """Adam (Kingma and Ba, 2015), uphill, with its usual constants.

    Attributes:
        learning_rate: How far a value moves in one step, at first.
        steps: How many there were.
        mean: Moving average of the gradients.
        square: Moving average of their squares.
    """

    learning_rate: float
    steps: int = 0
    mean: Array = field(default_factory=lambda: np.zeros(()))
    square: Array = field(default_factory=lambda: np.zeros(()))

    def step(self, values: Array, slope: Array) -> Array:
        """Return the values after a step along their gradient."""
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * slope
        self.square = 0.999 * self.square + 0.001 * slope**2
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        return np.asarray(values + self.learning_rate * mean / (np.sqrt(square) + 1e-8))


@register_controller("ppo")
class PPO(Controller):
    """A distribution over the space that moves to where rewards are high.

    Candidates are drawn from it, each decision by itself; what was proposed before is drawn again, with a growing share
    of the decisions at random. When ``batch_size`` results have come, Adam climbs the clipped objective for ``epochs``
    steps (:func:`gradient`). A result that was asked of an earlier policy, with several trials in flight, is weighed by
    that one.

    The advantage of a result is its reward less the moving average of the batches before it. A candidate that was
    pruned for its cost has no reward: it counts as ``1 + v / (1 + v)`` root mean squares of the batch's other
    advantages below that average, where v is how far it is above the limits (:func:`ednas.scoring.violation`). So the
    policy learns to stay within what is trained, and in which direction that lies, whatever the scale of the rewards.
    Then the advantages are divided by their root mean square.

    Args:
        sizes: Number of candidates of each decision.
        seed: The search's seed.
        **options: Those of :class:`Options`.

    Raises:
        ConfigError: An option is unknown or out of range.
    """

    class Options(StrictModel):
        """Settings of the policy and of how it learns.

        Attributes:
            batch_size: Results that the policy is updated by, pruned ones among them.
            epochs: Steps of Adam for each batch.
            learning_rate: Of Adam.
            clip: How far the probability of a choice may move in one update, as a share, before it is pulled no more.
            entropy: Weight of the policy's entropy in nats, which keeps it from settling too early.
            baseline_decay: What the average of the rewards keeps of its value at each batch.
        """

        batch_size: int = Field(default=8, ge=1)
        epochs: int = Field(default=8, ge=1)
        learning_rate: float = Field(default=0.05, gt=0, le=1)
        clip: float = Field(default=0.2, gt=0, allow_inf_nan=False)
        entropy: float = Field(default=0.03, ge=0, allow_inf_nan=False)
        baseline_decay: float = Field(default=0.5, ge=0, lt=1)

    def __init__(self, sizes: Sequence[int], seed: int = 0, **options: Any) -> None:
        super().__init__(sizes, seed)
        self._options = parse(self.Options, options, "controller")
        absent = np.arange(max(self.sizes, default=1)) >= np.array(self.sizes)[:, None]
        self._logits: Array = np.where(absent, -np.inf, 0.0)
        self._adam = Adam(self._options.learning_rate)
        self._batch: list[Trial] = []
        self._baseline = math.nan
        self._policies = [log_softmax(self._logits)]
        self._policies_made = [0]  # how many trials had been told when each came

    @property
    def probabilities(self) -> tuple[tuple[float, ...], ...]:
        """The policy: the probability of each candidate of each decision."""
        rows = np.exp(self._policies[-1]).tolist()
        return tuple(tuple(row[:size]) for row, size in zip(rows, self.sizes, strict=True))

    def _propose(self, rng: random.Random, attempt: int) -> Proposal:
        share = attempt / MAX_ATTEMPTS
        return Proposal(
            tuple(
                rng.randrange(len(weights)) if rng.random() < share else rng.choices(range(len(weights)), weights)[0]
                for weights in self.probabilities
            )
        )

    def _learn(self, trial: Trial) -> None:
        self._batch.append(trial)
        if len(self._batch) == self._options.batch_size:
            self._update(self._batch)
            self._batch = []

    def _update(self, trials: Sequence[Trial]) -> None:
        genes = np.array([trial.genes for trial in trials])
        asked_of = [bisect_right(self._policies_made, trial.asked_after) - 1 for trial in trials]
        odds = [chosen(self._policies[policy], row) for policy, row in zip(asked_of, genes, strict=True)]
        batch = Batch(genes, np.array(odds), self._advantages(trials))
        for _ in range(self._options.epochs):
            slope = gradient(self._logits, batch, self._options.clip, self._options.entropy)
            self._logits = self._adam.step(self._logits, slope)
        self._policies.append(log_softmax(self._logits))
        self._policies_made.append(self.told)

    def _advantages(self, trials: Sequence[Trial]) -> Array:
        """Return the advantages of a batch, and move the average of the rewards."""
        rewards = np.array([trial.reward for trial in trials if trial.reward is not None])
        mean = float(rewards.mean()) if rewards.size else self._baseline
        baseline, decay = mean if math.isnan(self._baseline) else self._baseline, self._options.baseline_decay
        self._baseline = decay * baseline + (1 - decay) * mean
        unit = _root_mean_square(rewards - baseline)
        advantages = np.array([-unit * self._penalty(t) if t.reward is None else t.reward - baseline for t in trials])
        return np.asarray(advantages / _root_mean_square(advantages))

    def _penalty(self, trial: Trial) -> float:
        excess = violation(trial.cost, self.limits)
        return 1 + excess / (1 + excess)


def _root_mean_square(values: Array) -> float:
    """Return the root mean square; 1 of no values, and of zeros."""
    return (math.sqrt(float(np.mean(values**2))) if values.size else 0.0) or 1.0
