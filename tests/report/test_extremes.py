"""The best and the worst images, against errors that numpy finds."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from helpers.small_training import SIZE, TARGETS, small_architecture, write_dataset
from PIL import Image

from ednas.data import open_cache, open_dataset
from ednas.report.extremes import find_extremes
from ednas.training import build_model


@pytest.fixture
def split(tmp_path, monkeypatch):
    """Six images; those of the depth are scaled apart, so that their errors differ much."""
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    file = write_dataset(tmp_path / "data")
    for index in range(6):
        path = tmp_path / "data" / "train" / "depth" / f"{index}.npy"
        np.save(path, np.load(path) * (1 + (index * 5) % 6))
    return open_cache(open_dataset(file, "train"), SIZE)


@pytest.fixture
def model():
    return build_model(small_architecture(), ("segmentation", "depth"), TARGETS, input_size=SIZE, dataset="tiny")


def predictions(model, split, task):
    image = torch.from_numpy(np.array(split.image)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return model.forward(image)[task]


def depth_errors(model, split):
    raw = predictions(model, split, "depth")
    predicted = torch.nn.functional.interpolate(raw, SIZE, mode="bilinear", align_corners=False)[:, 0].numpy()
    return np.abs(predicted.clip(0) - split.targets["depth"]).mean((1, 2))


def mean_ious(model, split):
    raw = predictions(model, split, "segmentation")
    predicted = torch.nn.functional.interpolate(raw, SIZE, mode="bilinear", align_corners=False).argmax(1).numpy()
    found = []
    for image, label in zip(predicted, split.targets["segmentation"], strict=True):
        both = [(np.sum((image == c) & (label == c)), np.sum((image == c) | (label == c))) for c in range(4)]
        found.append(100 * np.mean([hit / union for hit, union in both if union]))
    return np.array(found)


def test_the_worst_is_the_worst_and_the_best_the_best(model, split):
    segmentation, depth = find_extremes(model, split, batch_size=4)
    errors, ious = depth_errors(model, split), mean_ious(model, split)
    assert (segmentation.metric, depth.metric) == ("miou", "abs_err")
    names = np.array(split.sources)
    order = np.argsort(errors)
    assert [example.picture.sample for example in depth.best] == list(names[order[:3]])
    assert [example.picture.sample for example in depth.worst] == list(names[order[:2:-1]])
    assert [example.value for example in depth.worst] == pytest.approx(errors[order[:2:-1]], rel=1e-4)
    order = np.argsort(-ious, kind="stable")
    assert [example.value for example in segmentation.best] == pytest.approx(ious[order[:3]])
    assert [example.value for example in segmentation.worst] == pytest.approx(ious[order[:2:-1]])
    assert depth.images == 6


def test_pictures_are_those_of_the_image(model, split):
    segmentation, _ = find_extremes(model, split)
    picture = segmentation.worst[0].picture
    index = split.sources.index(picture.sample)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.image))), split.image[index])
    made = model.tasks["segmentation"]
    expected = made.picture(np.asarray(split.targets["segmentation"][index]))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.label))), expected)
    assert picture.predictions[0][0] == "prediction"
    assert Image.open(io.BytesIO(picture.predictions[0][1])).size == (SIZE[1], SIZE[0])


def test_few_images_are_shown_once_and_those_without_a_label_not_at_all(model, split, tmp_path):
    np.save(tmp_path / "data" / "train" / "depth" / "0.npy", np.zeros(SIZE, np.float32))
    changed = open_cache(open_dataset(tmp_path / "data" / "dataset.yaml", "train"), SIZE)
    some = changed.select(np.arange(6) < 4, "train")
    seen: list[tuple[int, int]] = []
    segmentation, depth = find_extremes(model, some, progress=lambda *counts: seen.append(counts))
    assert (len(segmentation.best), len(segmentation.worst)) == (2, 2)
    assert (len(depth.best), len(depth.worst), depth.images) == (1, 2, 3)
    shown = [example.picture.sample for example in (*depth.best, *depth.worst)]
    assert len(set(shown)) == 3
    assert some.sources[0] not in shown
    assert seen[-1] == (4, 4)
