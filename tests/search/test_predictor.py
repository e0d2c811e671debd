"""The predictor, against the definitions of what it computes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ednas.search import predictor
from ednas.search.agreement import kendall
from ednas.search.predictor import distances, fit, fit_process, fit_ridge


def linear_data(count: int = 40, noise: float = 0.1, seed: int = 0):
    """Candidates with ten genes of 0 to 2, three features, a target of features and one gene."""
    rng = np.random.default_rng(seed)
    genes = rng.integers(0, 3, (count, 10))
    features = rng.normal(size=(count, 3)) * [1, 10, 0.1] + [0, 5, 100]
    own = features @ [1.0, -0.1, 0.0] + 0.8 * (genes[:, 0] == 1)
    return features, genes, own + noise * rng.normal(size=count), own


@pytest.mark.parametrize("penalty", predictor.PENALTIES)
def test_left_out_predictions_are_those_of_fits_without_the_candidate(monkeypatch, penalty):
    monkeypatch.setattr(predictor, "PENALTIES", (penalty,))
    features, _, targets, _ = linear_data(20)
    found = fit_ridge(features, targets)
    x = (features - features.mean(0)) / features.std(0)
    for row in range(len(targets)):
        rest = np.arange(len(targets)) != row
        a = np.hstack([np.ones((rest.sum(), 1)), x[rest]])
        ridge = np.diag([0.0, 1, 1, 1]) * penalty * len(targets) / 10
        weights = np.linalg.solve(a.T @ a + ridge, a.T @ targets[rest])
        assert found.left_out[row] == pytest.approx(weights @ [1, *x[row]], abs=1e-9)
    a = np.hstack([np.ones((len(x), 1)), x])
    weights = np.linalg.solve(a.T @ a + np.diag([0.0, 1, 1, 1]) * penalty * len(x) / 10, a.T @ targets)
    assert found.predict(features) == pytest.approx(a @ weights)


def test_the_process_is_the_textbooks():
    _, genes, residuals, _ = linear_data(15)
    residuals = residuals - residuals.mean()
    found = fit_process(genes, residuals)
    new = np.random.default_rng(1).integers(0, 3, (4, 10))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return found.variance * np.exp(-(a[:, None] != b[None]).mean(2) / found.length)

    inverse = np.linalg.inv(kernel(genes, genes) + found.noise * np.eye(15))
    means, deviations = found.predict(new)
    assert means == pytest.approx(kernel(new, genes) @ inverse @ residuals)
    variances = found.variance - np.diag(kernel(new, genes) @ inverse @ kernel(genes, new))
    assert deviations == pytest.approx(np.sqrt(variances))
    assert distances(new, genes) == pytest.approx((new[:, None] != genes[None]).mean(2))


def test_a_known_candidate_is_surer_than_a_strange_one():
    features, genes, targets, _ = linear_data(30)
    found = fit(features, genes, targets)
    known = found.predict(features[:1], genes[:1]).deviations[0]
    strange = found.predict(features[:1], genes[:1] + 7).deviations[0]
    assert known < strange


def test_what_was_not_seen_is_ranked_by_features_and_genes():
    features, genes, targets, _ = linear_data(60)
    found = fit(features, genes, targets)
    new_features, new_genes, _, truth = linear_data(60, seed=1)
    assert kendall(found.predict(new_features, new_genes).means, truth) > 0.75


def test_predictions_do_not_depend_on_the_units_of_the_features():
    features, genes, targets, _ = linear_data(30)
    scaled = features * [1e3, 1e-3, 1] + [5, 0, 0]
    first, second = (fit(x, genes, targets).predict(x, genes).means for x in (features, scaled))
    assert first == pytest.approx(second)


def test_features_that_never_vary_count_for_nothing():
    features, genes, targets, _ = linear_data(30)
    constant = np.hstack([features, np.full((30, 1), 3.0)])
    changed = constant.copy()
    changed[:, 3] = 4
    found = fit(constant, genes, targets)
    assert found.predict(changed, genes).means == pytest.approx(found.predict(constant, genes).means)


def test_few_trainings_predict_their_mean_and_say_that_nothing_is_known():
    features, genes, targets, _ = linear_data(5)
    prediction = fit(features, genes, targets).predict(features, genes)
    assert prediction.means == pytest.approx([targets.mean()] * 5)
    assert all(map(math.isinf, prediction.deviations))
    assert fit(features[:0], genes[:0], []).predict(features, genes).means == pytest.approx([0] * 5)


def test_targets_that_are_all_alike_are_predicted_so():
    features, genes, _, _ = linear_data(12)
    prediction = fit(features, genes, np.full(12, 2.0)).predict(features, genes)
    assert prediction.means == pytest.approx([2.0] * 12)
