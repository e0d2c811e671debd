"""Lengthening: a finished run that goes on is, bit for bit, one that restarts where the first had ended."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_training import Stop, stop_at, with_recipe, write_dataset
from PIL import Image

from ednas.exceptions import CheckpointError, ConfigError, EdnasError
from ednas.files import exclusive
from ednas.training import load_checkpoint, load_config, train, train_runs
from ednas.training.summary import summarise


def same_weights(first, second):
    ours, theirs = (load_checkpoint(folder).network.state_dict() for folder in (first, second))
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [{"warmup_steps": 2}, {"ema_decay": 0.9, "optimizer": "SGD", "optimizer_options": {"momentum": 0.9}}],
)
def test_a_lengthened_run_is_one_with_a_restart_also_when_it_is_broken_off(config, tmp_path, values):
    config = with_recipe(config, **values)
    longer = with_recipe(config, steps=10)
    train(config, tmp_path / "run")
    lines: list[str] = []
    with pytest.raises(Stop):
        train(longer, tmp_path / "run", resume=True, callbacks=[stop_at(8)], announce=lines.append)
    assert "lengthening 6 steps to 10" in lines[1]
    assert load_checkpoint(tmp_path / "run").steps == 6  # that of the finished run stays until the new one is there
    assert (tmp_path / "run" / "state.safetensors").exists()
    result = train(longer, tmp_path / "run", resume=True)
    assert result.metrics["steps"] == load_checkpoint(result.checkpoint).steps == 10
    saved = load_config(tmp_path / "run" / "config.yaml")
    assert (saved.recipe.steps, saved.recipe.restarts) == (10, (6,))
    with (tmp_path / "run" / "logs" / "steps.csv").open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [2, 4, 6, 8, 10]

    train(saved, tmp_path / "whole", logs=False)
    assert same_weights(tmp_path / "run", tmp_path / "whole")
    train(longer, tmp_path / "one_cosine", logs=False)
    assert not same_weights(tmp_path / "run", tmp_path / "one_cosine")


@pytest.mark.slow
def test_one_that_stops_before_its_first_save_goes_on_from_the_checkpoint(config, tmp_path):
    config = with_recipe(config, checkpoint_every=100)
    longer = with_recipe(config, steps=9)
    train(config, tmp_path / "run", logs=False)
    with pytest.raises(Stop):
        train(longer, tmp_path / "run", resume=True, callbacks=[stop_at(8)], logs=False)
    assert not (tmp_path / "run" / "state.safetensors").exists()
    result = train(longer, tmp_path / "run", resume=True, logs=False)
    train(with_recipe(longer, restarts=(6,)), tmp_path / "whole", logs=False)
    assert same_weights(result.checkpoint, tmp_path / "whole")


@pytest.mark.slow
def test_a_run_that_was_broken_off_reaches_its_end_before_it_is_lengthened(config, tmp_path):
    with pytest.raises(Stop):
        train(config, tmp_path / "run", callbacks=[stop_at(4)], logs=False)
    train(with_recipe(config, steps=9), tmp_path / "run", resume=True, logs=False)
    train(with_recipe(config, steps=9, restarts=(6,)), tmp_path / "whole", logs=False)
    assert same_weights(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
def test_twice_lengthened_and_never_shortened(config, tmp_path):
    config = with_recipe(config, steps=2)
    for steps in (2, 4, 6):
        train(with_recipe(config, steps=steps), tmp_path, resume=True, logs=False)
    assert load_config(tmp_path / "config.yaml").recipe.restarts == (2, 4)
    finished = train(with_recipe(config, steps=6), tmp_path, resume=True, logs=False, callbacks=[stop_at(0)])
    assert finished.metrics["steps"] == 6
    with pytest.raises(ConfigError, match="holds a run of 6 steps, 4 are asked for; it can be lengthened, not short"):
        train(with_recipe(config, steps=4), tmp_path, resume=True)
    with pytest.raises(ConfigError, match=r"another configuration \(recipe.learning_rate"):
        train(with_recipe(config, steps=8, learning_rate=1e-3), tmp_path, resume=True)
    with pytest.raises(ConfigError, match=r"another configuration \(recipe.restarts"):
        train(with_recipe(config, steps=6, restarts=(3,)), tmp_path, resume=True)


@pytest.fixture
def own(config, tmp_path):
    """The same run on data that may be changed."""
    return config.model_copy(update={"data": str(write_dataset(tmp_path / "data"))})


def relabel(config, split):
    """Change a class of a label of a split."""
    file = Path(config.data).parent / split / "segmentation" / "0.png"
    label = np.array(Image.open(file))
    label[0, 0] = (label[0, 0] + 1) % 4
    Image.fromarray(label).save(file)


def test_a_run_on_data_that_mean_something_else_is_not_gone_on_with(own, tmp_path):
    config = with_recipe(own, steps=2)
    train(config, tmp_path / "run", logs=False)
    file = Path(config.data)
    file.write_text(file.read_text().replace("- road\n", "- lane\n"))
    with pytest.raises(ConfigError, match="the split 'train' of .* has changed since this run was trained"):
        train(with_recipe(config, steps=4), tmp_path / "run", resume=True, logs=False)


@pytest.mark.parametrize("devices", [1, 2])
def test_two_trainings_in_one_folder(config, tmp_path, devices):
    with exclusive(tmp_path), pytest.raises(EdnasError, match="another process works in this folder"):
        train(config, tmp_path, device="cpu", devices=devices, logs=False)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_finished_run_on_other_data_is_not_gone_on_with(own, tmp_path, split):
    config = with_recipe(own, steps=2)
    first = train(config, tmp_path / "run", logs=False)
    for file in Path(config.data).parent.rglob("*.png"):
        file.touch()  # the same content: nothing has changed
    assert train(config, tmp_path / "run", resume=True, logs=False).metrics == first.metrics
    relabel(config, split)
    for steps in (2, 4):
        with pytest.raises(ConfigError, match=f"the split '{split}' of .* has changed since this run was trained"):
            train(with_recipe(config, steps=steps), tmp_path / "run", resume=True, logs=False)
    shutil.rmtree(Path(config.data).parent)  # gone, so that nothing can be mixed
    assert train(config, tmp_path / "run", resume=True, logs=False).metrics == first.metrics


def test_a_broken_off_run_on_other_data_is_not_gone_on_with(own, tmp_path):
    with pytest.raises(Stop):
        train(own, tmp_path / "run", callbacks=[stop_at(4)], logs=False)
    relabel(own, "train")
    with pytest.raises(CheckpointError, match="data"):
        train(own, tmp_path / "run", resume=True, logs=False)


@pytest.mark.slow
def test_seeds_on_different_data_have_no_mean(own, tmp_path):
    config = with_recipe(own, steps=2)
    runs = [train(config, tmp_path / "a", logs=False).metrics]
    relabel(config, "val")
    runs.append(train(config, tmp_path / "b", logs=False).metrics)
    with pytest.raises(CheckpointError, match="trained or measured on different data"):
        summarise(runs)


@pytest.mark.slow
def test_every_seed_is_lengthened_and_a_new_one_is_trained_alike(config, tmp_path):
    config = with_recipe(config, steps=2)
    train_runs(config, tmp_path, runs=2, logs=False)
    result = train_runs(with_recipe(config, steps=4), tmp_path, runs=3, resume=True, logs=False)
    assert [run.metrics["steps"] for run in result.runs] == [4, 4, 4]
    assert {load_config(run.folder / "config.yaml").recipe.restarts for run in result.runs} == {(2,)}
    assert json.loads((tmp_path / "summary.json").read_text())["seeds"] == [0, 1, 2]
