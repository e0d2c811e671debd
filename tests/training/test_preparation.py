"""What a training starts from: the model, its sizes and options, and the samples that have labels."""

import numpy as np
import pytest
import torch
import yaml
from helpers.small_training import with_recipe, write_dataset
from PIL import Image

from ednas.data.sample import VOID
from ednas.exceptions import ConfigError, DataError
from ednas.tasks.segmentation.losses import frequency_weights
from ednas.training import (
    evaluate,
    load_checkpoint,
    load_config,
    prepare,
    prepare_judgement,
    train,
)


def test_seeds_differ(config, tmp_path):
    first, second = (prepare(config.model_copy(update={"seed": seed}))[0].network.state_dict() for seed in (0, 1))
    assert not torch.equal(first["encoder.stages.0.0.0.weight"], second["encoder.stages.0.0.0.weight"])


def test_preparing_leaves_torchs_generator_alone(config):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    prepare(config)
    assert torch.equal(torch.rand(2), expected)


def test_sizes_of_architecture_recipe_and_data(config):
    assert prepare(with_recipe(config, input_size=(64, 96)))[0].input_size == (64, 96)
    assert prepare(with_recipe(config, input_size=None))[0].input_size == (32, 64)
    own = with_recipe(config, input_size=None).model_copy(
        update={"architecture": {**config.architecture, "input_size": [96, 64]}}
    )
    assert prepare(own)[1].size == (96, 64)


def test_class_weights_by_frequency_are_numbers_in_the_checkpoint(config, tmp_path):
    own = with_recipe(config, task_options={"segmentation": {"class_weights": "frequency"}})
    result = train(own, tmp_path / "run", logs=False)
    model = load_checkpoint(result.checkpoint)
    _, split, _ = prepare(config)
    shares = [np.mean(split.targets["segmentation"] == label) for label in range(4)]  # no void in the tiny data
    found = model.task_options["segmentation"]["class_weights"]
    assert found == pytest.approx([1 / np.log(1.02 + share) for share in shares])
    assert load_config(tmp_path / "run" / "config.yaml").recipe.task_options == own.recipe.task_options
    prediction, target = torch.randn(1, 4, 2, 2), torch.tensor([[[0, 1], [2, 3]]])
    expected = torch.nn.functional.cross_entropy(prediction, target, torch.tensor(found))
    assert model.tasks["segmentation"].loss(prediction, target).item() == pytest.approx(expected.item())


def test_void_has_no_part_in_the_frequencies(tmp_path, config):
    folder = tmp_path / "data"
    file = write_dataset(folder)
    for path in (folder / "train" / "segmentation").iterdir():
        labels = np.full((32, 64), 255, np.uint8)
        labels[0, :4] = [0, 0, 0, 1]
        Image.fromarray(labels).save(path)
    frequency = [1 / np.log(1.02 + share) for share in (0.75, 0.25, 0, 0)]
    for rule, expected in (("frequency", frequency), ("sqrt_frequency", np.sqrt(frequency))):
        weighed = with_recipe(config, task_options={"segmentation": {"class_weights": rule}})
        model, _, _ = prepare(weighed.model_copy(update={"data": str(file)}))
        assert model.task_options["segmentation"]["class_weights"] == pytest.approx(expected)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(("target", "value"), [("segmentation", 255), ("depth", 0), ("normals", 0)])
def test_a_target_without_any_valid_pixel_is_found_before_the_first_step(config, tmp_path, split, target, value):
    data = write_dataset(tmp_path / "data")
    for file in (tmp_path / "data" / split / target).iterdir():
        if file.suffix == ".npy":
            np.save(file, np.full_like(np.load(file), value))
        else:
            Image.fromarray(np.full_like(np.asarray(Image.open(file)), value)).save(file)
    mine = config.model_copy(update={"data": str(data), "tasks": ("segmentation", "depth", "normals")})
    with pytest.raises(DataError, match=f"no pixel of {target} in split '{split}' is valid"):
        train(mine, tmp_path / "run", callbacks=[lambda report: pytest.fail("a step was made")])


def test_a_judgement_needs_no_validation_split(config, tmp_path):
    root = tmp_path / "data"
    file = write_dataset(root)
    content = yaml.safe_load(file.read_text())
    content["splits"] = {"train": "train"}
    file.write_text(yaml.safe_dump(content))
    _, kept, held = prepare_judgement(config.model_copy(update={"data": str(file)}))
    assert len(kept) + len(held) == 6


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
