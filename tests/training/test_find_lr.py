import json
import math

import numpy as np
import pytest
import torch
from helpers.small_training import Batches
from torch import nn

from ednas.exceptions import ConfigError, TrainingError
from ednas.training import find_learning_rate, fit, load_checkpoint, load_config, run, train, train_runs
from ednas.training.find_lr import HIGHEST, LOWEST, STEPS, RangeTest, judge, range_test
from ednas.training.recipe import Recipe

RATES = np.geomspace(1e-6, 1.0, 100)
CURVATURE = 100.0
STABLE = 2 / CURVATURE
"""Above it gradient descent on a parabola of this curvature diverges."""


class Stop(Exception):
    pass


class Parabola(nn.Module):
    """Forgets the image: its output is its one weight, 1 in the beginning."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image):
        return {"height": self.weight}


class Height:
    target = "depth"

    def loss(self, output, target):
        return 0.5 * CURVATURE * output**2 + 0 * target.mean()


def descend(change=None, **options):
    """Test the parabola by gradient descent."""
    recipe = Recipe(steps=1000, optimizer="SGD", weight_decay=0, **options)
    return range_test(Parabola(), {"height": Height()}, Batches(change), recipe, device="cpu")


def automatic(config, **values):
    changes = {"learning_rate": "auto", "steps": 40, "batch_size": 6, **values}
    return config.model_copy(update={"recipe": config.recipe.model_copy(update=changes)})


def weights(folder):
    return load_checkpoint(folder).network.state_dict()


def stop_at_four(report):
    if report.step >= 4:
        raise Stop


@pytest.fixture
def tests_made(monkeypatch):
    """Configurations that were tested, in place of the range test, which suggests 0.003."""
    made = []

    def note(config, **_):
        made.append(config)
        return RangeTest(0.003, (1e-6, 0.003), (4.0, 2.0), (4.0, 2.0))

    monkeypatch.setattr(run, "find_learning_rate", note)
    return made


def test_the_curve_is_that_of_gradient_descent():
    found = descend()
    weight, losses = 1.0, []
    for rate in found.rates:
        losses.append(0.5 * CURVATURE * weight**2)
        weight *= 1 - rate * CURVATURE
    before = int(np.argmin(losses))  # there the weight is almost 0, and what is left of it is rounding
    assert before > 60
    assert found.losses[:before] == pytest.approx(losses[:before], rel=1e-3, abs=1e-9)
    assert found.rates == pytest.approx(np.geomspace(LOWEST, HIGHEST, STEPS)[: len(found.rates)])


def test_the_suggestion_is_below_the_stable_limit_and_the_test_ends_above_it():
    found = descend()
    assert STABLE < found.rates[-1] < HIGHEST
    assert found.rates[int(np.argmin(found.losses)) - 1] < STABLE  # the last step that made it smaller
    assert STABLE / 100 < found.suggestion < STABLE / 2
    parabola = Parabola()
    recipe = Recipe(steps=100, optimizer="SGD", weight_decay=0, learning_rate=found.suggestion)
    fit(parabola, {"height": Height()}, Batches(), recipe, device="cpu")
    assert abs(parabola.weight.item()) < 0.5


def test_weights_of_losses_clipping_and_optimizer_are_the_recipes():
    assert descend(loss_weights={"height": 2.0}).losses[0] == CURVATURE
    assert len(descend(grad_clip=0.1).losses) == STEPS  # a clipped step is never longer than 0.1, far from diverging
    assert descend(optimizer_options={"momentum": 0.9}).suggestion < descend().suggestion


@pytest.mark.slow
def test_the_encoders_share_of_the_rate_counts(build, short):
    model = build(("depth",))
    before = {name: tensor.clone() for name, tensor in model.network.named_parameters()}
    recipe = short.model_copy(update={"steps": 20, "encoder_rate": 0.0, "weight_decay": 0.0})
    range_test(model.network, model.tasks, Batches(repeat=True), recipe, device="cpu")
    changed = {name for name, tensor in model.network.named_parameters() if not torch.equal(tensor, before[name])}
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("middle", [1e-4, 1e-3, 1e-2])
def test_most_of_a_noisy_fall_is_done_at_the_suggestion(middle, seed):
    """The curve falls by a logistic function of the rate's logarithm, and rises at the end."""
    fall = 1 / (1 + (RATES / middle) ** -1.5)
    noise = np.random.default_rng(seed).normal(0, 0.1, 100)
    found = judge(RATES, 4 - 3 * fall + noise + np.where(100 * middle < RATES, 1, 0))
    expected = middle * 9 ** (1 / 1.5)  # where nine tenths of the fall are done
    assert expected / 2 < found.suggestion < expected * 2


@pytest.mark.parametrize("seed", range(5))
def test_a_loss_that_does_not_fall_gives_no_suggestion(seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, 100)
    for losses in (np.full(100, 2.0), 2 + noise, 2 + noise + RATES):
        with pytest.raises(TrainingError, match="no learning rate at which the loss falls"):
            judge(RATES, losses)


def test_a_loss_that_is_not_finite_ends_the_test():
    def spoil(step, batch):
        if step >= first:
            batch["depth"] *= math.nan

    first = 75
    assert descend(spoil).losses == descend().losses[:75]
    first = 3
    with pytest.raises(TrainingError, match="step 4: the loss of task 'height' is nan"):
        descend(spoil)


@pytest.mark.slow
def test_a_run_at_the_rate_found_is_the_run_at_that_number(config, tmp_path):
    test = find_learning_rate(automatic(config))
    result = train(automatic(config), tmp_path / "found", logs=False)
    assert json.loads((tmp_path / "found" / "find_lr.json").read_text()) == test.to_dict()
    assert load_config(tmp_path / "found" / "config.yaml").recipe.learning_rate == test.suggestion
    assert f"learning rate {test.suggestion:g}, found by a range test" in (tmp_path / "found" / "log.txt").read_text()
    given = train(automatic(config, learning_rate=test.suggestion), tmp_path / "given", logs=False)
    assert given.metrics == result.metrics
    ours, theirs = weights(tmp_path / "found"), weights(tmp_path / "given")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
def test_a_resumed_run_keeps_its_rate(config, tmp_path, tests_made):
    config = automatic(config, steps=6)
    whole = train(config, tmp_path / "whole", logs=False)
    with pytest.raises(Stop):
        train(config, tmp_path / "broken", callbacks=[stop_at_four], logs=False)
    assert len(tests_made) == 2
    with pytest.raises(ConfigError, match="broken off; resume it"):
        train(config, tmp_path / "broken")
    with pytest.raises(ConfigError, match="another configuration .recipe.learning_rate: 0.003 and 0.5"):
        train(automatic(config, steps=6, learning_rate=0.5), tmp_path / "broken", resume=True)
    for _ in ("broken off", "finished"):
        assert train(config, tmp_path / "broken", resume=True, logs=False).metrics == whole.metrics
    assert len(tests_made) == 2
    ours, theirs = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
def test_several_runs_share_the_rate_that_the_first_found(config, tmp_path, tests_made):
    config = automatic(config, steps=1)
    train_runs(config, tmp_path, 2, logs=False)
    train_runs(config, tmp_path, 3, resume=True, logs=False)
    saved = [load_config(tmp_path / f"seed_{seed}" / "config.yaml") for seed in range(3)]
    assert [(found.seed, found.recipe.learning_rate) for found in saved] == [(0, 0.003), (1, 0.003), (2, 0.003)]
    assert [made.seed for made in tests_made] == [0]


def test_mistakes_are_one_line(config, build, tmp_path):
    with pytest.raises(ConfigError, match="recipe.steps: 19: a range test needs 20 at least"):
        train(automatic(config, steps=19), tmp_path / "run")
    with pytest.raises(ConfigError, match="needs one device"):
        train(automatic(config), tmp_path / "run", devices=2)
    model = build(("depth",))
    with pytest.raises(ConfigError, match="'auto' is for whole runs"):
        fit(model.network, model.tasks, Batches(), automatic(config).recipe, device="cpu")
