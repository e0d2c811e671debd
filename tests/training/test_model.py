"""A model is a pure function of what it is built from, and normalises what it is given."""

from __future__ import annotations

import numpy as np
import torch
from helpers.small_training import SIZE, TARGETS, assert_same_weights, small_architecture

from ednas.training import Normalisation
from ednas.training.model import build_model, normalise


def test_building_leaves_torchs_generator_alone(build) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, same = build(seed=5), build(seed=5)
    assert torch.equal(torch.rand(2), expected)
    assert_same_weights(first.network, same.network)


def test_images_are_normalised_channel_by_channel() -> None:
    image = torch.rand(2, 3, 4, 5)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    found = normalise(image, Normalisation(mean=mean, std=std))
    expected = (image.numpy().transpose(0, 2, 3, 1) - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_model_keeps_what_its_tasks_read_and_nothing_else() -> None:
    options = {"depth": {"loss": "jared"}, "segmentation": {}}
    model = build_model(small_architecture(), ("depth", "segmentation"), TARGETS, input_size=SIZE, task_options=options)
    assert list(model.tasks) == ["depth", "segmentation"]
    assert model.targets == {name: TARGETS[name] for name in ("depth", "segmentation")}
    assert model.task_options == {"depth": {"loss": "jared"}}
    assert model.class_names == TARGETS["segmentation"].class_names
    assert model.params == sum(tensor.numel() for tensor in model.network.parameters())
    outputs = model.forward(torch.rand(2, 3, *SIZE))
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "depth": (2, 1, *SIZE),
        "segmentation": (2, 4, *SIZE),
    }
