"""What tasks share is learned before a run, once, and kept."""

from __future__ import annotations

import json

import pytest
import torch
from helpers.small_training import small_architecture, with_recipe

from ednas.exceptions import ConfigError
from ednas.nn.sharing import LearnedSharing, make_sharing
from ednas.runs import RunFolder
from ednas.search import SearchConfig, run_search
from ednas.training import find_sharing as module
from ednas.training import load_checkpoint, load_config, train, train_runs
from ednas.training.find_sharing import FEWEST_STEPS, find_sharing, learned_sharing, undecided

WAYS = ("adashare", "den", "branching(tree=learned)")


def shared(config, sharing):
    return config.model_copy(update={"sharing": sharing})


@pytest.mark.parametrize("sharing", ["hard", "mtan", "branching", "adashare(policy=segmentation:1|depth:1)"])
def test_what_is_known_is_not_learned(config, sharing):
    if sharing.startswith("adashare"):
        sharing = sharing.replace(":1", ":" + 16 * "1")
    assert learned_sharing(shared(config, sharing)) is None
    assert learned_sharing(shared(config, "adashare").model_copy(update={"tasks": ("depth",)})) is None


@pytest.mark.slow
@pytest.mark.parametrize("sharing", WAYS)
def test_a_run_learns_what_is_shared_and_is_trained_by_it(config, tmp_path, sharing):
    said, out = [], RunFolder(tmp_path)
    result = train(shared(config, sharing), tmp_path, device="cpu", announce=said.append)
    found = json.loads(out.sharing_found.read_text())
    assert found["asked"] == sharing
    own = load_config(out.config).load_architecture().sharing
    assert own == found["sharing"] != sharing
    trained = load_checkpoint(result.checkpoint).network.sharing
    assert trained is None or not isinstance(trained, LearnedSharing) or trained.is_settled
    assert f"in {FEWEST_STEPS} steps" in said[0]
    assert sum("left" in line for line in said) == 10
    assert said[11] == f"sharing {own}"
    assert not out.sharing_search.exists()
    before = out.sharing_found.stat().st_mtime_ns
    assert train(shared(config, sharing), tmp_path, device="cpu", resume=True).metrics == result.metrics
    assert out.sharing_found.stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"another configuration \(recipe.learning_rate"):
        train(with_recipe(shared(config, sharing), learning_rate=1e-3), tmp_path, device="cpu", resume=True)


@pytest.mark.slow
def test_a_learning_that_was_ended_goes_on(config, tmp_path, monkeypatch):
    own = shared(config, "adashare")
    expected = find_sharing(own, RunFolder(tmp_path / "whole"), device="cpu")

    class Ended(Exception):
        pass

    def end(line):
        if "step 14" in line:
            raise Ended

    run = RunFolder(tmp_path / "ended")
    with pytest.raises(Ended):
        find_sharing(own, run, device="cpu", announce=end)
    assert not run.sharing_found.exists()
    steps, fit = [], module.fit

    def counted(*args, **options):
        result = fit(*args, **options)
        steps.append(result.resumed_at)
        return result

    monkeypatch.setattr(module, "fit", counted)
    assert find_sharing(own, run, device="cpu") == expected
    assert steps == [14]
    find_sharing(with_recipe(own, learning_rate=1e-3), run, device="cpu")  # another run's is no good
    assert len(steps) == 2


def test_units_learn_by_held_out_data_and_weights_by_the_rest(config):
    sharing = learned_sharing(shared(config, "adashare(warm_up=0.5)"))

    class Source:
        def __init__(self, name):
            self.name = name

        def batch(self, step):
            return {self.name: torch.tensor(step)}

    turns = module._Turns(sharing, 8, Source("held out"), Source("rest"))
    assert [(step, next(iter(batch)), int(next(iter(batch.values())))) for step, batch in turns.stream(3, 8)] == [
        (3, "rest", 3), (4, "rest", 4), (5, "held out", 5), (6, "rest", 6), (7, "held out", 7),
    ]  # fmt: skip


def test_choices_that_hardly_differ_are_undecided(config):
    sharing = make_sharing(small_architecture().with_parts(sharing="adashare"), config.tasks)
    assert undecided(sharing) == 1
    with torch.no_grad():
        sharing.units[0][:8, 0] = 0.5  # 0.62 and 0.38
        sharing.units[1][:4, 1] = 0.3  # 0.57 and 0.43
    assert undecided(sharing) == 24 / 32


@pytest.mark.slow
def test_it_is_said_where_a_pattern_is_almost_chance(config, tmp_path):
    said = []
    find_sharing(shared(config, "adashare"), RunFolder(tmp_path), device="cpu", announce=said.append)
    assert "this is almost chance: 100% of the choices are undecided" in said[-1]
    assert json.loads(RunFolder(tmp_path).sharing_found.read_text())["undecided"] == 1
    sure, said = shared(config, "adashare(warm_up=0,sparsity=1000,rate=50)"), []
    find_sharing(sure, RunFolder(tmp_path / "sure"), device="cpu", announce=said.append)
    assert "chance" not in "".join(said)


@pytest.mark.slow
def test_every_seed_learns_its_own(config, tmp_path):
    train_runs(shared(config, "den"), tmp_path, 2, device="cpu")
    assert all((tmp_path / f"seed_{seed}" / "find_sharing.json").is_file() for seed in (0, 1))


def test_a_search_of_networks_and_several_devices_refuse_it(config, tmp_path):
    with pytest.raises(ConfigError, match="learned on one device"):
        train(shared(config, "adashare"), tmp_path, devices=2, device="cpu")
    search = SearchConfig(training=shared(config, "adashare"), target_latency_ms="none", trials=2)
    with pytest.raises(ConfigError, match="leaves open what is shared"):
        run_search(search, tmp_path / "search")
