"""Sizes of the re-enactment."""

from __future__ import annotations

import pytest

from ednas.exceptions import ConfigError
from ednas.reproduce.scales import make_scale
from ednas.training import recipe
from ednas.training.config import identity

DATA = {"cityscapes": "streets", "nyuv2": "rooms"}


def test_the_papers_recipe_is_as_printed():
    scale = make_scale("paper", DATA)
    own, full = scale.two_tasks.recipe, recipe("full")
    assert (own.steps, own.optimizer, own.learning_rate, own.schedule) == (20_000, "Adam", 3e-4, "cosine")
    assert (scale.weak_rate, scale.strong_rate) == (3e-4, 1e-2)
    assert (own.batch_size, own.weight_decay) == (full.batch_size, full.weight_decay)
    assert (own.augment.crop, scale.three_tasks.recipe.augment.crop) == ((224, 224), (321, 321))
    search = scale.search(("depth",))
    assert (search.trials, search.training.recipe.steps) == (2000, 5000)
    assert (search.controller.name, search.controller.options["population_size"]) == ("evolution", 50)
    assert search.final_tasks == ("segmentation", "depth")


def test_low_and_high_rates_are_as_far_apart_as_in_the_paper():
    paper = make_scale("paper", DATA)
    for name in ("mini", "gpu"):
        scale = make_scale(name, DATA)
        assert scale.weak_rate / scale.strong_rate == pytest.approx(paper.weak_rate / paper.strong_rate)
        assert scale.two_tasks.recipe.learning_rate == scale.strong_rate


def test_mini_needs_no_data_of_the_users():
    scale = make_scale("mini", {})
    assert (scale.two_tasks.data, scale.three_tasks.data) == ("streets", "rooms")
    assert make_scale("mini", {"nyuv2": "my.yaml"}).three_tasks.data == "my.yaml"


def test_only_data_that_a_table_needs_have_to_be_given():
    scale = make_scale("gpu", {"nyuv2": "rooms"})
    assert scale.three_tasks.config().data == "rooms"
    with pytest.raises(
        ConfigError, match="cityscapes is needed: give its folder or dataset.yaml by --data cityscapes=PATH"
    ):
        scale.two_tasks.config()


def test_steps_and_data_are_kept_to_be_said_again():
    scale = make_scale("mini", {"nyuv2": "/home/somebody/my.yaml"}, steps=7)
    assert (scale.name, scale.options) == ("mini", "--data nyuv2=my.yaml --steps 7")
    assert (scale.two_tasks.recipe.steps, scale.three_tasks.recipe.steps) == (7, 7)
    assert scale.budget == make_scale("mini", {}).budget


def test_losses_are_spelled_out_so_that_equal_trainings_are_known():
    problem = make_scale("mini", {}).two_tasks
    jared, table9 = problem.config(preset="cityscapes_jared"), problem.config(preset="table9_950_050")
    assert identity(jared) == identity(table9)
    assert jared.recipe.loss_weights == {"segmentation": 0.5, "depth": 1.0}
    assert identity(problem.config(preset="cityscapes_mt")) != identity(problem.config(preset="table9_l1"))
    alone = problem.config(tasks=("depth",))
    assert (alone.recipe.loss_weights, alone.recipe.task_options) == ({"depth": 1.0}, {})


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("minni", {}, "scale 'minni': did you mean 'mini'"),
        ("mini", {"cityscape": "x"}, "data 'cityscape': did you mean 'cityscapes'"),
    ],
)
def test_mistakes(name, data, said):
    with pytest.raises(ConfigError, match=said):
        make_scale(name, data)
