"""Samples that have only some of the targets: a task learns from those that have its own, and is measured on them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from helpers.small_training import SIZE, Batches, make_batch, write_dataset

from ednas.data import open_cache, open_dataset
from ednas.data.sample import VOID, no_label
from ednas.exceptions import ConfigError, DataError
from ednas.tasks.segmentation.losses import frequency_weights
from ednas.training import evaluate, fit, prepare, prepare_judgement, train
from ednas.training.trivial import measure_trivial

TASKS = ("segmentation", "depth", "normals")
LABELLED = {"segmentation": [0, 1], "depth": [1, 2, 3], "normals": []}
"""Which samples of a batch or a split of 4 have a label."""


def without_labels(name, values, samples):
    values[samples] = VOID if name == "segmentation" else 0


@pytest.fixture
def partial_split(config):
    """Four validation samples, one of which has two labels."""
    split = open_cache(open_dataset(config.data, "val"), SIZE)
    targets = {name: np.array(values) for name, values in split.targets.items()}
    for name in ("segmentation", "depth"):
        for row in set(range(4)) - set(LABELLED[name]):
            targets[name][row] = no_label(split.info.targets[name], SIZE)
    return dataclasses.replace(split, targets=targets)


def only(split, rows):
    return split.select(np.isin(split.rows, rows), split.split)


@pytest.fixture
def remove(config, tmp_path):
    """Makes a configuration whose data lack the given label files, ``train/depth/0``."""

    def make(*files, **changes):
        file = write_dataset(tmp_path / "data")
        description = yaml.safe_load(file.read_text())
        for target in description["targets"].values():
            target["partial"] = True
        file.write_text(yaml.safe_dump(description))
        for name in files:
            next(file.parent.glob(f"{name}.*")).unlink()
        return config.model_copy(update={"data": str(file), **changes})

    return make


def gradients(model, task, batch):
    model.network.zero_grad()
    # As in evaluation: in training, the statistics of a batch join its samples.
    output = model.network.eval()(batch["image"])[task]
    loss = model.tasks[task].loss(output, batch[task])
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in model.network.named_parameters()}


@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_gradient_is_that_of_its_labelled_samples_alone(build, task):
    model, batch = build(), make_batch()
    some = {name: values[LABELLED[task]] for name, values in batch.items()}
    for name, samples in LABELLED.items():
        without_labels(name, batch[name], [index for index in range(4) if index not in samples])
    loss, found = gradients(model, task, batch)
    if not LABELLED[task]:
        assert loss == 0
        assert all(not weight.any() for weight in found.values() if weight is not None)
        return
    expected_loss, expected = gradients(model, task, some)
    torch.testing.assert_close(loss, expected_loss)
    assert any(weight.any() for weight in expected.values() if weight is not None)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-6, msg=name)


def test_a_batch_without_any_label_trains_nothing(build, short):
    model = build()
    before = {name: weight.detach().clone() for name, weight in model.network.named_parameters()}

    def change(step, batch):
        for name in TASKS:
            without_labels(name, batch[name], slice(None))

    result = fit(
        model.network,
        model.tasks,
        Batches(change),
        short.model_copy(update={"weight_decay": 0.0, "grad_clip": 1.0}),
        device="cpu",
    )
    assert result.losses == dict.fromkeys(TASKS, 0.0)
    for name, weight in model.network.named_parameters():
        assert torch.equal(weight, before[name]), name


@pytest.mark.parametrize("protocol", ["standard", "adashare"])
@pytest.mark.parametrize("task", ["segmentation", "depth"])
def test_metrics_are_those_of_the_labelled_samples(build, partial_split, task, protocol):
    model = build((task,))
    found = evaluate(model, partial_split, protocol, batch_size=3)
    expected = evaluate(model, only(partial_split, LABELLED[task]), protocol)
    assert found["tasks"][task] == pytest.approx(expected["tasks"][task], rel=1e-5)
    if task == "segmentation":
        assert found["confusion"] == expected["confusion"]


@pytest.mark.parametrize("task", ["segmentation", "depth"])
def test_the_mean_label_is_that_of_the_labelled_samples(build, partial_split, task):
    tasks = build((task,)).tasks
    found = measure_trivial(tasks, partial_split, partial_split)["tasks"]
    expected = measure_trivial(tasks, only(partial_split, LABELLED[task]), partial_split)["tasks"]
    assert found[task] == pytest.approx(expected[task])


def test_class_weights_are_counted_from_the_labels_that_are_there(remove):
    options = {"segmentation": {"class_weights": "frequency"}}
    config = remove("train/segmentation/0", "train/segmentation/4")
    recipe = config.recipe.model_copy(update={"task_options": options})
    model, split, _ = prepare(config.model_copy(update={"recipe": recipe}))
    labels = split.targets["segmentation"][[1, 2, 3, 5]]
    counts = [int((labels == index).sum()) for index in range(4)]
    assert model.task_options["segmentation"]["class_weights"] == pytest.approx(frequency_weights(counts))


def test_a_training_takes_the_samples_that_have_a_label_of_its_tasks(remove):
    config = remove("train/segmentation/0", "train/depth/1", "train/depth/2", "val/depth/3")
    for tasks, rows, val_rows in (
        (("segmentation", "depth"), [0, 1, 2, 3, 4, 5], [0, 1, 2, 3]),
        (("depth",), [0, 3, 4, 5], [0, 1, 2]),
        (("segmentation",), [1, 2, 3, 4, 5], [0, 1, 2, 3]),
    ):
        _, train_split, val_split = prepare(config.model_copy(update={"tasks": tasks}))
        assert train_split.rows.tolist() == rows
        assert val_split.rows.tolist() == val_rows


def test_a_run_with_partial_labels(remove, tmp_path):
    config = remove("train/segmentation/0", "train/depth/1", "train/depth/2", "val/depth/1", "val/segmentation/0")
    result = train(config, tmp_path / "run", logs=False)
    assert result.metrics["tasks"].keys() == {"segmentation", "depth"} == result.metrics["trivial"]["tasks"].keys()
    assert all(np.isfinite(value) for task in result.metrics["tasks"].values() for value in task.values())


def test_what_is_held_out_has_a_label_of_every_task(remove):
    config = remove(*(f"train/depth/{index}" for index in (0, 2, 3, 5)))
    model, kept, held = prepare_judgement(config)
    for split in (kept, held):
        assert split.targets["depth"][split.rows].any()
        assert (split.targets["segmentation"][split.rows] != VOID).any()
    evaluate(model, held)


def test_one_label_cannot_be_learned_and_judged(remove):
    config = remove(*(f"train/depth/{index}" for index in range(5)))
    with pytest.raises(ConfigError, match="dataset tiny: has too few labels of depth"):
        prepare_judgement(config)
    prepare(config)


@pytest.mark.parametrize(("split", "count"), [("train", 6), ("val", 4)])
def test_a_split_without_any_label_of_a_task_is_refused_before_it_is_decoded(remove, split, count, monkeypatch):
    monkeypatch.setattr("ednas.training.preparation.open_cache", lambda *_, **__: pytest.fail("decoded"))
    config = remove(*(f"{split}/depth/{index}" for index in range(count)))
    with pytest.raises(DataError, match=f"dataset tiny: no sample of split '{split}' has a label of depth; look at"):
        prepare(config)
