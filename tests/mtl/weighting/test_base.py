"""What holds for every weighting, and how one is found by name."""

from __future__ import annotations

import pytest
import torch
from helpers.weightings import STEPS, advance, make, run

from ednas.exceptions import ConfigError
from ednas.mtl.weighting import LossWeighting, WeightingConfig, register_weighting, weighting_names
from ednas.mtl.weighting.base import Learned
from ednas.mtl.weighting.fixed import Fixed
from ednas.mtl.weighting.searched import SEARCHED

OURS = tuple(name for name in weighting_names() if name != SEARCHED)


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("name", OURS)
class TestEvery:
    def test_weights_are_finite_numbers_of_all_tasks(self, name, tasks):
        weights = run(make(name, tasks))
        assert weights.shape == (STEPS, tasks)
        assert weights.dtype == torch.float32
        assert weights.isfinite().all()
        assert not weights.requires_grad

    def test_a_run_that_was_broken_off_goes_on_exactly(self, name, tasks):
        expected = run(make(name, tasks))
        first = make(name, tasks)
        for stop in (1, 5):
            run(first, 0 if stop == 1 else 1, stop)
            other = make(name, tasks)
            other.load_state_dict(first.state_dict())
            assert torch.equal(run(other, stop), expected[stop:])

    def test_torchs_own_random_numbers_are_left_alone(self, name, tasks):
        weighting = make(name, tasks)
        before = torch.get_rng_state()
        advance(weighting, 0)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_saved_state_holds_numbers_alone(self, name, tasks):
        assert all(isinstance(value, torch.Tensor) for value in make(name, tasks).state_dict().values())


@pytest.mark.parametrize("name", OURS)
def test_of_one_task_there_is_nothing_to_weigh(name):
    assert isinstance(make(name, 1), Fixed)


class TestConfig:
    def test_options_are_completed(self):
        assert WeightingConfig(name="dwa").complete().options == {"temperature": 2.0, "window": 100}
        assert WeightingConfig().complete() == WeightingConfig()

    def test_unknown_names_come_with_the_nearest(self):
        with pytest.raises(ConfigError, match="unknown weighting 'uncertainity'; did you mean 'uncertainty'"):
            WeightingConfig(name="uncertainity").complete()
        with pytest.raises(ConfigError, match="did you mean 'temperature'"):
            WeightingConfig(name="dwa", options={"temprature": 2}).complete()
        with pytest.raises(ConfigError, match="temperature"):
            WeightingConfig(name="dwa", options={"temperature": 0}).make(2)

    def test_one_of_a_users_own_is_known_by_its_name(self):
        @register_weighting("test_first_alone")
        class FirstAlone(LossWeighting):
            def weigh(self, losses, step):
                return torch.nn.functional.one_hot(torch.tensor(0), self.tasks).to(losses)

        assert "test_first_alone" in weighting_names()
        assert run(make("test_first_alone", 3), 0, 1).tolist() == [[1, 0, 0]]
        with pytest.raises(ConfigError, match="exists already"):
            register_weighting("test_first_alone")(Fixed)


def test_without_a_label_a_task_keeps_its_last_loss():
    weighting = make("log_sum", 2)
    assert weighting.remember(torch.tensor([0.5, 0.0])).tolist() == [0.5, 1.0]
    assert weighting.remember(torch.tensor([0.25, 2.0])).tolist() == [0.25, 2.0]
    assert weighting.remember(torch.tensor([0.0, 0.0])).tolist() == [0.25, 2.0]


def test_a_vector_is_learned_as_by_adam():
    start, target = torch.tensor([0.5, -0.2]), torch.tensor([1.0, 1.0])
    ours, theirs = Learned(start.clone(), 0.1, 0.01), torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([theirs], 0.1, weight_decay=0.01)
    for _ in range(5):
        ours.learn(ours.values.detach() - target)
        theirs.grad = theirs.detach() - target
        adam.step()
    assert torch.equal(ours.values, theirs)
