"""The configuration: complete, checked, and the same after a round trip through YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ednas.arch import load_architecture
from ednas.config import parse
from ednas.exceptions import ConfigError
from ednas.search.config import CHANGEABLE, SearchConfig, load_search_config, with_chosen, with_given
from ednas.training import TrainConfig
from ednas.training.recipe import RECIPES, recipe

STREETS = TrainConfig(data="streets", recipe=RECIPES["proxy"])


def test_defaults_are_the_papers() -> None:
    config = SearchConfig(training=STREETS)
    assert (config.trials, config.training.recipe, config.controller.name) == (2000, RECIPES["proxy"], "evolution")
    papers = {"population_size": 50, "tournament_size": 10, "mutations": 1, "initial_mutations": None}
    assert config.controller.options == papers
    assert (config.reward.mode, config.reward.p, config.reward.q) == ("mnasnet", 0.0, -0.07)
    assert config.target_latency_ms == "baseline"


def test_yaml_round_trip(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "training": {
            "data": "streets",
            "data_options": {"count": 8, "size": [32, 64]},
            "tasks": ["depth"],
            "recipe": {"name": "mini", "steps": 3, "task_options": {"depth": {"loss": "jared"}}},
            "seed": 5,
        },
        "space": {"kernel_sizes": [3], "input_sizes": [[64, 128], [96, 192]], "stages": {3: {"kinds": ["ibn"]}}},
        "target_latency_ms": 7.5,
        "latency_input_size": [128, 256],
        "limits": {"energy_mj": 1.2, "params": "0.8*baseline"},
        "objectives": ["accuracy", "energy_mj"],
        "prune_factor": None,
        "reward": {"mode": "hard", "weights": {"depth": {"rel_err": 2.0}}},
        "controller": {"options": {"population_size": 12}},
    }
    config = parse(SearchConfig, values, "here")
    config.save(tmp_path / "config.yaml")
    assert load_search_config(tmp_path / "config.yaml") == config
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written.keys() == SearchConfig.model_fields.keys()  # nothing is left to defaults of another version


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trails": 3}, "unknown key 'trails'; did you mean 'trials'?"),
        ({"space": {"kernel_size": [3]}}, "did you mean 'kernel_sizes'?"),
        ({"trials": 0}, "'trials'"),
        ({"workers": 0}, "'workers'"),
        ({"executor": "threads"}, "'executor'"),
        ({"ray_address": "auto"}, "ray_address is for searches through Ray; add executor: ray"),
        ({"executor": "process", "gpus_per_trial": 1}, "gpus_per_trial is for searches through Ray"),
        ({"executor": "ray", "gpus_per_trial": 1.5}, "a part of one GPU, like 0.25, or a whole number of them"),
        ({"executor": "ray", "gpus_per_trial": -1}, "'gpus_per_trial'"),
        ({"executor": "ray", "device": "cuda"}, "device: cuda needs gpus_per_trial above 0"),
        ({"target_latency_ms": 0}, "'target_latency_ms': must be above 0"),
        ({"target_latency_ms": -1}, "'target_latency_ms': write a number of at least 0, baseline, or a multiple like"),
        ({"target_latency_ms": "base"}, "'target_latency_ms': write a number"),
        ({"target_latency_ms": True}, "'target_latency_ms': write a number"),
        ({"limits": {"energy": 1}}, "'limits': unknown quantity 'energy'; did you mean 'energy_mj'?"),
        ({"limits": {"energy_mj": float("nan")}}, "'limits.energy_mj': write a number"),
        ({"limits": {"energy_mj": None}}, "'limits.energy_mj': write a number"),
        ({"limits": {"energy_mj": "-2 * baseline"}}, "'limits.energy_mj': write a number"),
        ({"limits": {"energy_mj": "baseline * 2"}}, "'limits.energy_mj': write a number"),
        ({"limits": [1]}, "'limits'"),
        ({"limits": {"accuracy": 0.5}}, "'limits': accuracy is what the search maximises; limit a cost: latency_ms, "),
        ({"limits": {"latency_ms": 1}, "target_latency_ms": 1}, "two names of the same; give one of them"),
        ({"data": "streets"}, "data is a key of the training; write it under training:"),
        ({"prune_factor": 0.5}, "'prune_factor'"),
        ({"objectives": ["accuracy", "latency"]}, "unknown quantity 'latency'; did you mean 'latency_ms'?"),
        ({"objectives": ["accuracy", "accuracy"]}, "'objectives': an objective is named twice"),
        ({"objectives": ["accuracy"]}, "'objectives': name accuracy and one quantity at least"),
        ({"objectives": ["latency_ms", "energy_mj"]}, "'objectives': name accuracy"),
        ({"controller": {"name": "evolutoin"}}, "did you mean 'evolution'?"),
        ({"controller": {"options": {"tournament_size": 60}}}, "tournament_size is above population_size 50"),
        ({"reward": {"mode": "soft"}}, "'reward.mode'"),
        ({"reward": {"by": "loss"}}, "'reward.by'"),
        ({"final_tasks": ["depth", "depth"]}, "'final_tasks': name one task at least, and each once"),
        (
            {"reward": {"by": "training_loss"}, "evaluator": {"name": "supernet"}},
            "'supernet' tells no training losses",
        ),
        ({"reward": {"by": "training_loss"}, "repeats": 4}, "repeats: candidates are not judged as finalists are"),
        ({"finalists_longer": 4, "repeats": 4}, "repeats: candidates are not judged as finalists are"),
        ({"finalists_longer": 0.5}, "'finalists_longer'"),
        ({"finalists_input_size": [64, 9]}, "'finalists_input_size': height and width must be from 32 to 8192 pixels"),
        ({"finalists_input_size": [64, 128], "repeats": 4}, "repeats: candidates are not judged as finalists are"),
        ({"filter": {"name": "proxy"}}, "filter: proxy trains what it judges"),
        ({"filter": {"name": "zero_cst"}}, "did you mean 'zero_cost'?"),
        ({"filter": {"share": 0.5}}, "'filter.name'"),
        ({"filter": {"name": "zero_cost", "share": 1}}, "'filter.share'"),
        ({"filter": {"name": "zero_cost", "options": {"scores": ["nas"]}}}, "filter.options: .*scores"),
        (
            {"filter": {"name": "zero_cost"}, "evaluator": {"name": "supernet"}},
            "filter: is there to save trainings, but evaluator 'supernet' does not train each candidate",
        ),
        ({"training": {"data": "streets", "recipe": "prxy"}}, "did you mean 'proxy'?"),
        ({"training": {"data": "streets", "tsks": []}}, "unknown key 'training.tsks'; did you mean 'tasks'?"),
        ({"training": {"data": "streets", "recipe": {"learning_rate": "auto"}}}, "write what `ednas train --find-lr`"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parse(SearchConfig, {"training": {"data": "streets"}, **values}, "search.yaml")
    assert str(error.value).startswith("search.yaml: ")
    assert "\n" not in str(error.value)


def test_where_candidates_are_trained_is_not_what_a_search_is() -> None:
    near = SearchConfig(training=STREETS)
    far = SearchConfig(
        training=STREETS,
        executor="ray",
        ray_address="head:6379",
        gpus_per_trial=0.25,
        workers=8,
        threads=4,
        device="cuda",
    )
    assert near.identity() == far.identity()


def test_the_target_latency_is_one_of_the_limits() -> None:
    def config(**values: Any) -> SearchConfig:
        return SearchConfig(training=STREETS, **values)

    assert config().all_limits() == {"latency_ms": "baseline"}
    assert config(limits={"latency_ms": 5}) == config(target_latency_ms=5)
    assert config(limits={"energy_mj": 1}).all_limits() == {"latency_ms": "baseline", "energy_mj": 1.0}
    for nothing in (None, "none"):
        assert config(limits={"energy_mj": 1}, target_latency_ms=nothing).all_limits() == {"energy_mj": 1.0}
    assert config(limits={"latency_ms": None}).all_limits() == {}


def test_objectives_are_accuracy_latency_and_what_is_limited_unless_they_are_named() -> None:
    assert SearchConfig(training=STREETS).all_objectives() == ("accuracy", "latency_ms")
    limited = SearchConfig(training=STREETS, limits={"energy_mj": 1, "params": 5})
    assert limited.all_objectives() == ("accuracy", "latency_ms", "energy_mj", "params")
    named = SearchConfig(training=STREETS, limits={"energy_mj": 1}, objectives=("macs", "accuracy"))
    assert named.all_objectives() == ("macs", "accuracy")


def test_the_default_recipe_is_the_proxy_recipe() -> None:
    assert SearchConfig.model_validate({"training": {"data": "streets"}}).training.recipe == RECIPES["proxy"]
    assert SearchConfig(training=TrainConfig(data="streets")).training.recipe == RECIPES["proxy"]
    chosen = TrainConfig(data="streets", recipe=RECIPES["mini"])
    assert SearchConfig(training=chosen).training.recipe == RECIPES["mini"]


def test_a_recipe_without_a_name_changes_the_proxy_recipe() -> None:
    config = parse(SearchConfig, {"training": {"data": "streets", "recipe": {"learning_rate": 0.01}}}, "here")
    assert config.training.recipe == recipe("proxy", learning_rate=0.01)


def test_a_candidates_training_has_everything_but_the_architecture_from_the_search() -> None:
    config = SearchConfig(training=TrainConfig(data="streets", tasks=("depth",), seed=3, protocol="adashare"))
    training = config.train_config(load_architecture("nas_depth"), recipe=recipe("full"))
    assert training.load_architecture().fingerprint() == load_architecture("nas_depth").fingerprint()
    assert (training.data, training.tasks, training.seed, training.protocol) == ("streets", ("depth",), 3, "adashare")
    assert training.recipe == recipe("full")


def test_only_how_far_and_how_fast_may_change_in_a_resumed_search() -> None:
    config = SearchConfig(training=STREETS)
    changed = config.model_copy(update={"trials": 5, "workers": 7, "threads": 2, "timeout_s": 9.0, "device": "cpu"})
    assert changed.identity() == config.identity()
    known = (SearchConfig.model_fields.keys() | TrainConfig.model_fields.keys()) - {"training"} - CHANGEABLE
    assert config.identity().keys() == known
    other = config.model_copy(update={"training": config.training.model_copy(update={"seed": 1})})
    assert other.identity() != config.identity()


def test_an_identity_holds_the_configuration_but_for_what_may_change() -> None:
    config = SearchConfig(training=STREETS, limits={"params": 5}, target="cpu_generic", trials=7)
    again = parse(SearchConfig, SearchConfig.from_identity(config.identity() | {"heads": {"depth": 1}}), "study.db")
    assert again == config.model_copy(update={"trials": again.trials})


def test_standalone_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert SearchConfig(training=STREETS, target="my.yaml").standalone().target == str(tmp_path / "my.yaml")
    assert SearchConfig(training=STREETS).standalone().target == "coral_usb"


def test_what_is_given_wins_and_limits_are_added() -> None:
    values = {"trials": 5, "limits": {"params": 3, "macs": 4}}
    given = {"trials": 6, "seed": None, "limits": {"macs": "5", "latency_ms": "2"}}
    expected = {"trials": 6, "limits": {"params": 3, "macs": "5"}, "target_latency_ms": "2"}
    assert with_given(values, given) == expected
    assert with_given({"limits": 7}, {"limits": {"macs": "5"}}) == {"limits": {"macs": "5"}}


@pytest.mark.parametrize(
    ("own", "name", "found"),
    [
        ({}, None, {"name": "evolution", "options": {"b": 9}}),
        ({}, "ppo", {"name": "ppo", "options": {"b": 9}}),
        ({"controller": {"name": "x", "options": {"a": 1, "b": 2}}}, None, {"name": "x", "options": {"a": 1, "b": 9}}),
        ({"controller": {"name": "x", "options": {"a": 1}}}, "x", {"name": "x", "options": {"a": 1, "b": 9}}),
        ({"controller": {"name": "x", "options": {"a": 1}}}, "ppo", {"name": "ppo", "options": {"b": 9}}),
        ({"controller": {"options": {"a": 1}}}, "evolution", {"name": "evolution", "options": {"a": 1, "b": 9}}),
        ({"controller": {"options": 3}}, "ppo", {"name": "ppo", "options": {"b": 9}}),
        ({"controller": {"options": 3}}, None, {"options": 3}),
        ({"controller": 3}, "ppo", 3),
    ],
)
def test_another_controller_and_its_options(own: dict[str, Any], name: str | None, found: Any) -> None:
    assert with_chosen(own, "controller", name, {"b": 9}) == {"controller": found}
    assert with_chosen(own, "controller", None, {}) == own
