"""What an untrained candidate would score, learned from few real trainings.

A cheap score of a candidate (what it costs, how it is built, what a supernet says) ranks candidates badly by itself and
well once it is calibrated on a few dozen real trainings: ridge regression finds what each of these features is worth,
and a Gaussian process over the candidates' genes learns what the features leave over. Its standard deviation says how
far a prediction can be trusted, and which candidate would be worth most to train next.

NumPy alone, a few hundred numbers: a fit takes milliseconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

PENALTIES = tuple(10.0**power for power in np.arange(-3, 3.5, 0.5))
"""Ridge penalties that are tried, for standardised features and targets."""

LENGTHS = (0.1, 0.2, 0.4, 0.8)
"""Shares of differing genes over which two candidates' residuals lose most of what they have in common."""

NOISES = (0.2, 0.5, 0.8, 0.95)
"""Shares of the residuals' variance that are chance, and no candidate's own."""

MIN_ANCHORS = 8
"""With fewer trainings nothing is fitted: every candidate is predicted their mean."""


@dataclass(frozen=True)
class Ridge:
    """A linear model of standardised features.

    Attributes:
        means: Of the features, ``(D,)``.
        scales: Their standard deviations; features that do not vary have an infinite one, and count for nothing.
        weights: Of the standardised features, ``(D,)``.
        offset: The targets' mean.
        left_out: What the model predicts of each target when it is fitted without it, ``(N,)``.
    """

    means: Vector
    scales: Vector
    weights: Vector
    offset: float
    left_out: Vector

    def predict(self, features: Matrix) -> Vector:
        """Return predictions ``(M,)`` for features ``(M, D)``."""
        predicted: Vector = (features - self.means) / self.scales @ self.weights + self.offset
        return predicted


def fit_ridge(features: Matrix, targets: Vector) -> Ridge:
    """Fit a ridge regression whose penalty has the least error on targets that are left out, one at a time.

    Args:
        features: ``(N, D)``, finite.
        targets: ``(N,)``.
    """
    means, scales = features.mean(0), features.std(0)
    scales = np.where(scales > 1e-9 * (1 + np.abs(means)), scales, np.inf)
    offset = float(targets.mean())
    x, y = (features - means) / scales, targets - offset
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    spread = max(float(y.std()), 1e-12)
    best: tuple[float, Vector, Vector] | None = None
    for penalty in PENALTIES:
        shrink = singular**2 / (singular**2 + penalty * len(y) / 10)
        fitted = left @ (shrink * (left.T @ y))
        # The mean is fitted too, and takes 1 / N of each target.
        leverage = np.minimum((left**2) @ shrink + 1 / len(y), 1 - 1e-6)
        errors = (y - fitted) / (1 - leverage)
        loss = float(np.mean((errors / spread) ** 2))
        if best is None or loss < best[0]:
            inverse = np.where(singular > 1e-12, shrink / np.maximum(singular, 1e-12), 0.0)
            best = loss, right.T @ (inverse * (left.T @ y)), targets - errors
    assert best is not None
    return Ridge(means, scales, best[1], offset, best[2])


@dataclass(frozen=True)
class GaussianProcess:
    """Residuals that candidates with alike genes share.

    Attributes:
        genes: Of the candidates that were trained, ``(N, G)``.
        length: Over which share of differing genes a covariance falls to 1 / e.
        variance: Of a residual that is the candidate's own.
        noise: Variance that is chance.
        solved: Inverse covariance times the residuals, ``(N,)``.
        factor: Cholesky factor of the covariance, ``(N, N)``.
    """

    genes: npt.NDArray[np.int64]
    length: float
    variance: float
    noise: float
    solved: Vector
    factor: Matrix

    def predict(self, genes: npt.NDArray[np.int64]) -> tuple[Vector, Vector]:
        """Return means and standard deviations ``(M,)`` of what candidates with these genes ``(M, G)`` would score."""
        between = self.variance * np.exp(-distances(genes, self.genes) / self.length)
        explained = np.linalg.solve(self.factor, between.T)
        rest = np.maximum(self.variance - (explained**2).sum(0), 0.0)
        return between @ self.solved, np.sqrt(rest)


def distances(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Matrix:
    """Return the share of genes in which candidates ``(N, G)`` and ``(M, G)`` differ, ``(N, M)``."""
    differing: Matrix = np.stack([(second != row).mean(1) for row in first]).astype(np.float64)
    return differing


def fit_process(genes: npt.NDArray[np.int64], residuals: Vector) -> GaussianProcess:
    """Fit a Gaussian process with the length and the noise under which the residuals are likeliest.

    Args:
        genes: ``(N, G)``.
        residuals: ``(N,)``, of mean about 0.
    """
    apart = distances(genes, genes)
    total = max(float(np.mean(residuals**2)), 1e-12)
    best: tuple[float, GaussianProcess] | None = None
    for length, share in itertools.product(LENGTHS, NOISES):
        variance, noise = total * (1 - share), total * share
        factor = np.linalg.cholesky(variance * np.exp(-apart / length) + noise * np.eye(len(residuals))).astype(
            np.float64
        )
        half = np.linalg.solve(factor, residuals)
        likelihood = -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
        if best is None or likelihood > best[0]:
            solved = np.linalg.solve(factor.T, half)
            best = likelihood, GaussianProcess(genes, length, variance, noise, solved, factor)
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class Prediction:
    """What candidates would score.

    Attributes:
        means: ``(M,)``.
        deviations: Standard deviations, chance of a training's seed not included, ``(M,)``.
    """

    means: Vector
    deviations: Vector


@dataclass(frozen=True)
class Predictor:
    """Predicts one number of candidates from their features and genes.

    Attributes:
        ridge: What features say.
        process: What genes say of the rest; None where too few trainings are known.
    """

    ridge: Ridge
    process: GaussianProcess | None

    def predict(self, features: Matrix, genes: npt.NDArray[np.int64]) -> Prediction:
        """Predict candidates.

        Args:
            features: ``(M, D)``, as in :func:`fit`.
            genes: ``(M, G)``.
        """
        means = self.ridge.predict(features)
        if self.process is None:
            return Prediction(means, np.full(len(means), math.inf))
        more, deviations = self.process.predict(genes)
        return Prediction(means + more, deviations)


def fit(features: Matrix, genes: npt.NDArray[np.int64], targets: Sequence[float] | Vector) -> Predictor:
    """Learn from candidates that were trained.

    Args:
        features: ``(N, D)``, finite.
        genes: ``(N, G)``.
        targets: What they score, ``(N,)``; logarithms of errors and accuracies, so that ratios count.
    """
    y = np.array(targets, dtype=np.float64)
    if len(y) < MIN_ANCHORS:
        size = features.shape[1]
        mean = float(y.mean()) if len(y) else 0.0
        return Predictor(Ridge(np.zeros(size), np.full(size, np.inf), np.zeros(size), mean, y), None)
    ridge = fit_ridge(features, y)
    # Residuals of targets that were left out: those of the fit are smaller than what a new candidate will show.
    return Predictor(ridge, fit_process(genes, y - ridge.left_out))
