"""The search for weights of losses."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from helpers.small_training import with_recipe

from ednas.exceptions import ConfigError, TrainingError
from ednas.mtl.weighting import WeightingConfig
from ednas.runs import RunFolder
from ednas.search import SearchConfig
from ednas.training import find_weights as module
from ednas.training import load_config, train, train_runs


def searched(config, **options):
    weighting = WeightingConfig(name="searched", options={"trials": 3, **options}).complete()
    return with_recipe(config, weighting=weighting, loss_weights={"depth": 0.5})


@pytest.fixture
def tried(monkeypatch):
    """Stands in for the trainings: the more depth counts, the better; and remembers them."""
    found = []

    def try_(config, weights, options, decode_progress, device):
        found.append(weights)
        return module.WeightsTrial(weights, weights["depth"], {"depth": {"rel_err": 0.1}})

    monkeypatch.setattr(module, "_try", try_)
    return found


def test_the_best_weights_are_taken_and_fixed(config, tmp_path, tried):
    found = module.find_weights(searched(config), RunFolder(tmp_path))
    assert tried[0] == {"segmentation": 1.0, "depth": 0.5}
    assert found.recipe.loss_weights == max(tried, key=lambda own: own["depth"])
    assert found.recipe.weighting == WeightingConfig()
    for weights in tried:
        assert math.prod(weights.values()) == pytest.approx(0.5)
        assert all(1 / 3 <= weights[task] / tried[0][task] <= 3 for task in weights)


def test_weights_are_tried_far_from_one_another(config, tmp_path, tried):
    module.find_weights(searched(config, trials=5), RunFolder(tmp_path))
    logs = [math.log(own["depth"] / 0.5, 3) for own in tried]  # the part of the range that they reach
    assert min(logs) < -0.7
    assert max(logs) > 0.7
    assert min(b - a for a, b in pairwise(sorted(logs))) > 0.25
    module.find_weights(searched(config, trials=3), RunFolder(tmp_path / "fewer"))
    assert tried[5:] == tried[:3]


def test_a_search_that_was_ended_goes_on_and_another_one_does_not(config, tmp_path, tried):
    run = RunFolder(tmp_path)
    module.find_weights(searched(config, trials=2), run)
    content = json.loads(run.weights_search.read_text())
    content["config"]["recipe"]["weighting"]["options"]["trials"] = 3  # as if it had been ended before the third
    run.weights_search.write_text(json.dumps(content))
    module.find_weights(searched(config), run)
    assert len(tried) == 3
    module.find_weights(with_recipe(searched(config), learning_rate=1e-3), run)
    assert len(tried) == 6


def test_what_diverges_is_not_chosen(config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_try", lambda config, weights, *rest: module.WeightsTrial(weights, None, {}))
    with pytest.raises(TrainingError, match="every training diverged"):
        module.find_weights(searched(config), RunFolder(tmp_path))


@pytest.mark.slow
def test_a_run_finds_its_weights_once(config, tmp_path):
    said = []
    config = searched(config, trials=2)
    result = train(config, tmp_path, device="cpu", announce=said.append)
    trials = json.loads(RunFolder(tmp_path).weights_search.read_text())["trials"]
    assert trials[0]["weights"] == {"segmentation": 1.0, "depth": 0.5}
    best = max(trials, key=lambda trial: trial["accuracy"])
    own = load_config(RunFolder(tmp_path).config).recipe
    assert (own.loss_weights, own.weighting.name) == (best["weights"], "fixed")
    assert sum("weights" in line for line in said) == 2
    before = RunFolder(tmp_path).weights_search.stat().st_mtime_ns
    assert train(config, tmp_path, device="cpu", resume=True).metrics == result.metrics
    assert RunFolder(tmp_path).weights_search.stat().st_mtime_ns == before


@pytest.mark.slow
def test_every_seed_finds_its_own_and_a_single_task_none(config, tmp_path):
    config = searched(config, trials=2)
    train_runs(config, tmp_path / "runs", 2, device="cpu")
    assert all((tmp_path / "runs" / f"seed_{seed}" / "find_weights.json").is_file() for seed in (0, 1))
    alone = config.model_copy(update={"tasks": ("depth",)})
    train(alone, tmp_path / "alone", device="cpu")
    assert not (tmp_path / "alone" / "find_weights.json").exists()


def test_a_search_of_networks_and_several_devices_refuse_it(config, tmp_path):
    with pytest.raises(ValueError, match="weighting 'searched' is for one network"):
        SearchConfig(training=searched(config))
    with pytest.raises(ConfigError, match="needs one device"):
        train(searched(config), tmp_path, devices=2, device="cpu")
