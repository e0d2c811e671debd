"""Conflicts between gradients: worked out by hand, and how TorchJD's solvers are asked."""

from __future__ import annotations

import sys

import pytest
import torch
from helpers.weightings import jacobian_at, make, run

from ednas.exceptions import ConfigError

NAMES = ("pcgrad", "cagrad", "imtl", "aligned", "upgrad", "nash")
LOSSES = torch.ones(2)


def weigh(name, gradients, **options):
    gradients = torch.as_tensor(gradients, dtype=torch.float64)
    return make(name, len(gradients), **options).weigh(gradients @ gradients.T, torch.ones(len(gradients)), 0).double()


def test_pcgrad_projects_each_gradient_onto_the_others_normal_plane():
    first, second = torch.tensor([1.0, 0.0]).double(), torch.tensor([-1.0, 1.0]).double()
    expected = (first - (first @ second) / (second @ second) * second) + (
        second - (second @ first) / (first @ first) * first
    )
    gradients = torch.stack([first, second])
    torch.testing.assert_close(weigh("pcgrad", gradients) @ gradients, expected)


def test_pcgrad_leaves_gradients_that_agree_as_they_are():
    assert weigh("pcgrad", [[1.0, 0.0], [0.5, 1.0]]).tolist() == [1, 1]


def test_imtl_has_equal_projections_on_all_gradients():
    gradients = jacobian_at(0, 3).double()
    direction = weigh("imtl", gradients) @ gradients
    projections = gradients @ direction / gradients.norm(dim=1)
    torch.testing.assert_close(projections, projections.mean().expand(3), rtol=1e-4, atol=1e-5)


def test_aligned_makes_gradients_orthogonal_and_equally_long():
    gradients = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    found = weigh("aligned", gradients)
    assert (found @ gradients.double()).tolist() == pytest.approx([0.5, 0.5, 0.0])


@pytest.mark.parametrize("name", ["upgrad", "cagrad"])
def test_no_task_loses_where_gradients_conflict(name):
    gradients = torch.tensor([[1.0, 0.1], [-0.9, 0.2]], dtype=torch.float64)
    assert (gradients @ (weigh(name, gradients) @ gradients) > -1e-3).all()


def test_cagrad_without_freedom_is_the_mean():
    assert weigh("cagrad", jacobian_at(0, 3), c=0.0).tolist() == pytest.approx([1 / 3] * 3, abs=1e-6)


@pytest.mark.parametrize("tasks", [2, 3])
def test_nash_solves_the_game(tasks):
    """Weights times what each task gains are the same for all, and the sum is no longer than allowed."""
    gradients = jacobian_at(0, tasks).double()
    free = weigh("nash", gradients, max_norm=0.0)
    shares = free * (gradients @ (free @ gradients))
    torch.testing.assert_close(shares, shares.mean().expand(tasks), rtol=0.01, atol=0)
    assert (weigh("nash", gradients, max_norm=0.5) @ gradients).norm() == pytest.approx(0.5)


def test_nash_plays_every_so_many_steps():
    weights = run(make("nash", 2, every=3, max_norm=0.0), stop=6)
    assert len(weights.unique(dim=0)) == 2
    assert torch.equal(weights[0], weights[2])


def test_pcgrad_depends_on_seed_and_step_alone():
    assert torch.equal(run(make("pcgrad", 3, seed=3)), run(make("pcgrad", 3, seed=3)))


@pytest.mark.parametrize("name", NAMES)
def test_without_the_library_it_is_one_line(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(ConfigError, match=r'pip install "ednas\[mtl\]"') as error:
        make(name, 2)
    assert "\n" not in str(error.value)
