"""Methods beside each other: trained once, gone on with, compared with single tasks."""

from __future__ import annotations

import dataclasses
import json

import pytest
from helpers.small_training import SIZE, Stop, small_architecture, write_dataset

from ednas.exceptions import ArchitectureError, ConfigError
from ednas.hw import estimate, load_target
from ednas.methods import MethodsConfig, compare_methods
from ednas.metrics import load_metrics
from ednas.mtl.sharing.adashare import AdaShare
from ednas.report.comparison import load_comparison
from ednas.training import Recipe, TrainConfig, load_config

TASKS = ("segmentation", "depth")


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    training = TrainConfig(
        architecture=small_architecture().to_dict(),
        data=str(write_dataset(tmp_path / "data")),
        tasks=TASKS,
        recipe=Recipe(steps=3, batch_size=4, learning_rate=1e-2, input_size=SIZE, log_every=1),
    )
    return MethodsConfig.model_validate(
        {"training": training, "sharing": ["hard", "mtan"], "weighting": ["fixed", "dwa(window=2)"], "runs": 2,
         "latency_input_size": [128, 256]}
    )  # fmt: skip


def trained(out):
    """When each training was finished."""
    return {
        str(file.relative_to(out)): file.stat().st_mtime_ns for file in out.glob("checkpoints/*/seed_*/config.yaml")
    }


@pytest.mark.slow
def test_every_combination_is_trained_and_compared_with_single_tasks(config, tmp_path):
    out, said = tmp_path / "out", []
    table, chances = compare_methods(config, out, device="cpu", announce=said.append)
    names = ["hard, fixed", "hard, dwa(window=2)", "mtan, fixed", "mtan, dwa(window=2)"]
    assert [row.name for row in table.models] == ["single-task", *names]
    assert (table.baseline, len(chances)) == ("single-task", 4)
    assert len(said) == len(trained(out)) == 2 * (4 + len(TASKS))
    assert said[0].startswith("hard, fixed, seed 0: done, 1 of 12, about ")
    assert said[-1] == "depth alone, seed 1: done, 12 of 12"
    recipe = load_config(out / "checkpoints" / "mtan+dwa(window=2)" / "seed_1" / "config.yaml")
    assert (recipe.load_architecture().sharing, recipe.recipe.weighting.options["window"], recipe.seed) == (
        "mtan",
        2,
        1,
    )
    single, hard, *_, mtan = table.models
    alone = [load_metrics(out / "checkpoints" / f"alone_{task}") for task in TASKS]
    assert {task: dict(values) for own in alone for task, values in own.tasks.items()} == single.values
    assert single.latency_ms == pytest.approx(
        sum(estimate(small_architecture(), {task: channels}, (128, 256), load_target("coral_usb")).latency_ms
            for task, channels in (("segmentation", 4), ("depth", 1)))
    )  # fmt: skip
    assert hard.params < mtan.params < single.params + mtan.params
    assert (single.params_shared, single.runs, hard.runs) == (0, len(TASKS), 1)
    assert 0 < hard.params_shared < hard.params
    samples = json.loads((out / "predictions" / "index.json").read_text())["samples"]
    assert len(samples) == 3
    assert [*samples[0]["tasks"]["depth"]["predictions"]] == ["single-task", *names]
    assert all(row.training_seconds > 0 for row in table.models)
    assert load_comparison(out / "comparison.json") == table


@pytest.mark.slow
def test_what_is_finished_is_kept_and_more_is_added(config, tmp_path):
    out = tmp_path / "out"
    few = config.model_copy(update={"sharing": ("hard",), "runs": 1})

    def broken_off(name):
        def stop(report):
            raise Stop

        return [stop] if name == "hard, dwa(window=2), seed 0" or name == "dwa(window=2), seed 0" else []

    with pytest.raises(Stop):
        compare_methods(few, out, device="cpu", callbacks=broken_off)
    first = trained(out)
    compare_methods(few, out, device="cpu")
    compare_methods(config, out, device="cpu")
    again = trained(out)
    finished = {name: when for name, when in first.items() if "dwa" not in name}
    assert finished
    assert {name: again[name] for name in finished} == finished
    assert len(again) == 12
    seconds = json.loads((out / "checkpoints" / "hard+dwa(window=2)" / "seed_0" / "seconds.json").read_text())
    assert len(seconds) == 2  # that of the process that was broken off counts, too
    other = config.training.model_copy(update={"recipe": config.training.recipe.model_copy(update={"steps": 4})})
    with pytest.raises(ConfigError, match=r"methods.yaml: its methods are trained otherwise \(recipe.steps: 3 and 4\)"):
        compare_methods(config.model_copy(update={"training": other}), out)


@pytest.mark.slow
def test_trainings_in_processes_are_the_same(config, tmp_path):
    one = config.model_copy(update={"weighting": config.weighting[:1], "runs": 1})
    found = [compare_methods(one, tmp_path / str(workers), workers=workers, device="cpu")[0] for workers in (1, 2)]
    first, second = ([dataclasses.replace(row, training_seconds=None) for row in table.models] for table in found)
    assert first == second


def test_nothing_is_trained_before_all_is_known(config, tmp_path):
    out = tmp_path / "out"
    for changes, error, said in (
        ({"sharing": ("hard", "mtann")}, ArchitectureError, "did you mean 'mtan'"),
        ({"training": config.training.model_copy(update={"tasks": ("depth",)})}, ConfigError, "two at least"),
    ):
        with pytest.raises(error, match=said):
            compare_methods(config.model_copy(update=changes), out)
    assert not trained(out)
    values = config.model_dump(mode="json")
    for key, wrong in (("weighting", ["dwa", "dwa"]), ("sharing", []), ("weighting", ["dwa)"])):
        with pytest.raises(ValueError, match="each once|names no weighting"):
            MethodsConfig.model_validate({**values, key: wrong})
    auto = config.training.recipe.model_copy(update={"learning_rate": "auto"})
    training = config.training.model_copy(update={"recipe": auto})
    with pytest.raises(ConfigError, match="give a number"):
        compare_methods(config.model_copy(update={"training": training}), out)


@pytest.mark.slow
def test_costs_are_means_over_what_each_seed_learned_to_share(config, tmp_path, monkeypatch):
    patterns = iter(["1" * 16, "1" * 8 + "0" * 7 + "1"])

    def pattern(self):
        way = next(patterns)
        return {"policy": "|".join(f"{task}:{way}" for task in TASKS)}

    monkeypatch.setattr(AdaShare, "pattern", pattern)
    own = config.model_copy(update={"sharing": ("adashare",), "weighting": config.weighting[:1], "pictures": 0})
    table, _ = compare_methods(own, tmp_path / "out", device="cpu")
    texts = [
        load_config(file).load_architecture() for file in sorted((tmp_path / "out").glob("checkpoints/ada*/*/*.yaml"))
    ]
    heads = {"segmentation": 4, "depth": 1}
    latencies = [estimate(text, heads, (128, 256), load_target("coral_usb")).latency_ms for text in texts]
    assert latencies[0] > latencies[1]
    assert table.models[1].latency_ms == pytest.approx(sum(latencies) / 2)
    assert not (tmp_path / "out" / "predictions").exists()
