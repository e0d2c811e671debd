import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.exceptions import ConfigError
from ednas.tasks import loss_preset
from ednas.training import MAX_LEARNING_RATE, RECIPES, Recipe, TrainConfig, recipe
from ednas.training.recipe import with_recipe


def test_papers_recipes():
    assert (recipe("proxy").steps, recipe("full").steps) == (5_000, 20_000)
    for name in ("proxy", "full"):
        found = recipe(name)
        assert (found.learning_rate, found.batch_size, found.weight_decay) == (3e-4, 16, 1e-4)
        assert found.augment is not None
        assert (found.augment.scale, found.augment.mirror) == ((0.5, 1.5), 0.5)
        assert (found.optimizer, found.schedule, found.ema_decay) == ("Adam", "cosine", None)
    assert recipe("full", learning_rate=MAX_LEARNING_RATE, augment={"crop": (224, 224)}).augment.scale == (0.5, 1.5)


def test_overrides_change_only_what_they_name():
    changed = recipe("mini", steps=7)
    assert changed == RECIPES["mini"].model_copy(update={"steps": 7})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: recipe("miny"), "did you mean 'mini'"),
        (lambda: recipe("mini", stpes=3), "unknown key 'stpes'; did you mean 'steps'"),
        (lambda: recipe("mini", batch_size=1), "batch_size"),
        (lambda: recipe("mini", learning_rate=float("nan")), "learning_rate"),
        (lambda: recipe("mini", input_size=(8, 8)), "32"),
        (lambda: recipe("mini", loss_preset="cityscapes_jard"), "did you mean 'cityscapes_jared'"),
        (lambda: recipe("mini", augment={"miror": 1}), "augment.miror"),
        (lambda: recipe("mini", loss_weights={"dpeth": 1}).task_weights(("depth",)), "did you mean 'depth'"),
        (lambda: recipe("mini", loss_weights={"depth": 0}).task_weights(("depth",)), "nothing would be learned"),
        (lambda: recipe("mini", depth_loss="jared"), "unknown key 'depth_loss'"),
        (lambda: recipe("mini", task_options={"depth": 3}), "task_options.depth"),
        (lambda: recipe("mini", task_options={"dpeth": {}}).options_of(("depth",)), "did you mean 'depth'"),
    ],
)
def test_mistakes_are_named(call, said):
    with pytest.raises(ConfigError) as error:
        call()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given(steps=st.integers(1, 500), warmup=st.integers(0, 100), rate=st.floats(1e-6, 1.0))
def test_learning_rate_rises_then_falls_along_a_cosine(steps, warmup, rate):
    schedule = Recipe(steps=steps, warmup_steps=warmup, learning_rate=rate)
    rates = [schedule.learning_rate_at(step) for step in range(steps)]
    assert all(0 < value <= rate for value in rates)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    if steps > warmup:
        assert rates[warmup] == rate
        middle = warmup + (steps - warmup) // 2
        expected = rate * (1 + math.cos(math.pi * (middle - warmup) / (steps - warmup))) / 2
        assert rates[middle] == pytest.approx(expected)


def test_the_schedule_begins_anew_at_every_restart():
    whole = Recipe(steps=30, restarts=(10, 12), warmup_steps=3)
    parts = [Recipe(steps=steps, warmup_steps=3) for steps in (10, 2, 18)]
    expected = [part.learning_rate_at(step) for part in parts for step in range(part.steps)]
    assert [whole.learning_rate_at(step) for step in range(30)] == expected
    for wrong in ((30,), (10, 10), (12, 10)):
        with pytest.raises(ConfigError, match="restarts: must rise"):
            recipe("mini", steps=30, restarts=wrong)


def test_preset_gives_weights_and_the_depth_loss():
    chosen = recipe("full", loss_preset="nyuv2_jared")
    assert chosen.task_weights(("segmentation", "depth", "normals")) == dict(loss_preset("nyuv2_jared").task_weights)
    assert chosen.options_of(("depth",)) == {"depth": {"loss": "jared", "abs_weight": 0.999, "rel_weight": 0.001}}
    assert chosen.options_of(("segmentation",)) == {}


def test_own_weights_go_before_the_presets_and_one_is_the_default():
    own = {"loss_weights": {"depth": 2}, "task_options": {"depth": {"loss": "l1"}}}
    chosen = recipe("full", loss_preset="cityscapes_jared", **own)
    assert chosen.task_weights(("segmentation", "depth", "normals")) == {"segmentation": 0.5, "depth": 2, "normals": 1}
    assert chosen.options_of(("depth",)) == {"depth": {"loss": "l1"}}


def test_options_change_what_they_name_unless_they_name_a_loss():
    for base in ({"loss_preset": "cityscapes_jared"}, {"name": "finetune"}):
        values = {"name": "mini", **base, "task_options": {"depth": {"max_inverse": 9}}}
        jared = recipe(values.pop("name"), **values).options_of(("segmentation", "depth"))
        assert jared == {"depth": {"loss": "jared", "abs_weight": 0.95, "rel_weight": 0.05, "max_inverse": 9}}
    labels = {"segmentation": {"class_weights": "frequency"}}
    other = recipe("finetune", task_options={**labels, "depth": {"loss": "berhu"}})
    assert other.options_of(("depth", "segmentation")) == {"depth": {"loss": "berhu"}, **labels}
    again = TrainConfig.model_validate({"data": "streets", "recipe": other.model_dump(mode="json")})
    assert again.recipe == other


def test_weights_of_other_tasks_are_passed_over():
    assert recipe("mini", loss_weights={"normals": 40}).task_weights(("depth",)) == {"depth": 1.0}


@pytest.mark.parametrize(
    ("own", "name", "steps", "found"),
    [
        ({}, None, None, {}),
        ({}, None, 3, {"recipe": {"name": "mini", "steps": 3}}),
        ({"recipe": "full"}, None, None, {"recipe": "full"}),
        ({"recipe": "full"}, None, 3, {"recipe": {"name": "full", "steps": 3}}),
        ({"recipe": {"name": "full", "steps": 2, "batch_size": 4}}, None, 3,
         {"recipe": {"name": "full", "steps": 3, "batch_size": 4}}),
        ({"recipe": {"name": "full", "steps": 2}}, "proxy", 3, {"recipe": {"name": "proxy", "steps": 3}}),
        ({"recipe": 5}, None, 3, {"recipe": 5}),
    ],
)  # fmt: skip
def test_a_configurations_recipe_is_changed(own, name, steps, found):
    values = {"data": "streets", **own}
    assert with_recipe(values, name, {"steps": steps}, default="mini") == {"data": "streets", **found}
    assert values == {"data": "streets", **own}


def test_another_recipe_must_exist():
    with pytest.raises(ConfigError, match="did you mean 'mini'"):
        with_recipe({}, "miny", {"steps": 3}, default="mini")
