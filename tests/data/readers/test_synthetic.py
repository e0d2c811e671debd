"""The dataset: determinism, splits, frequencies, errors."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from enum import IntEnum
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ednas import scenes
from ednas.data.classes import CITYSCAPES_19, NYU_40
from ednas.data.readers.synthetic import REVISION, TARGETS, SyntheticDataset
from ednas.data.sample import VOID, DenseDataset, Sample
from ednas.exceptions import DataError
from ednas.scenes import SCENES, Indoor, Street, describe_scene

FRAMES = 32
RECIPE = [(358, 281, 0.873), (58, 40, 0.534)]


def digest(sample: Sample) -> str:
    parts = [sample.image, *(sample.targets[key] for key in sorted(sample.targets))]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@pytest.fixture(scope="module", params=SCENES)
def frames(request: pytest.FixtureRequest) -> tuple[str, list[Sample]]:
    return request.param, list(SyntheticDataset(request.param, "train", count=FRAMES, size=(64, 128), seed=0))


@pytest.mark.slow
def test_another_process_renders_the_same_bytes() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_synthetic import digest\n"
        "from ednas.data.readers.synthetic import SyntheticDataset\n"
        "for scene in ('rooms', 'streets'):\n"
        "    print(digest(SyntheticDataset(scene, 'val', count=9, size=(40, 72), seed=3)[7]))\n"
    )
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    here = [digest(SyntheticDataset(scene, "val", count=9, size=(40, 72), seed=3)[7]) for scene in ("rooms", "streets")]
    assert done.stdout.split() == here


def test_order_of_reading_does_not_matter() -> None:
    forwards, backwards = (SyntheticDataset("streets", count=4, size=(32, 64)) for _ in range(2))
    assert [digest(forwards[i]) for i in range(4)] == [digest(backwards[i]) for i in (3, 2, 1, 0)][::-1]


def test_streams_are_disjoint() -> None:
    """Every (scene, seed, split, index) has a scene of its own."""
    datasets = [SyntheticDataset(scene, split, count=500, seed=seed) for scene, split, seed in _streams()]
    seeds = [dataset.scene_seed(index) for dataset in datasets for index in range(500)]
    assert len(set(seeds)) == len(seeds)
    pictures = [digest(SyntheticDataset(scene, split, 2, (32, 64), seed)[1]) for scene, split, seed in _streams()]
    assert len(set(pictures)) == len(pictures)


def _streams() -> list[tuple[str, str, int]]:
    return list(product(SCENES, ("train", "val"), (0, 1)))


def test_larger_counts_continue_smaller_ones() -> None:
    few, many = SyntheticDataset("rooms", count=3, size=(32, 32)), SyntheticDataset("rooms", count=30, size=(32, 32))
    assert [few.scene_seed(i) for i in range(3)] == [many.scene_seed(i) for i in range(3)]


@pytest.mark.parametrize(("classes", "names"), [(Street, CITYSCAPES_19), (Indoor, NYU_40)])
def test_ids_are_those_of_the_benchmarks(classes: type[IntEnum], names: tuple[str, ...]) -> None:
    assert [(label.value, label.name.lower().replace("_", " ")) for label in classes] == list(enumerate(names))
    assert scenes.VOID == VOID


@pytest.mark.parametrize("name", SCENES)
def test_samples_have_the_targets_that_are_promised(name: str) -> None:
    sample = SyntheticDataset(name, count=1, size=(32, 40))[0]
    assert set(sample.targets) == set(TARGETS[name]) == {"segmentation", "depth", "normals"}
    assert TARGETS[name]["depth"].kind == {"streets": "disparity", "rooms": "distance"}[name]


def test_enough_classes_of_realistic_frequency(frames: tuple[str, list[Sample]]) -> None:
    name, samples = frames
    counts = sum(np.bincount(sample.targets["segmentation"].ravel(), minlength=256) for sample in samples)
    present = np.flatnonzero(counts[:VOID])
    assert len(present) >= {"streets": 12, "rooms": 15}[name]
    assert counts[VOID] < 0.02 * counts.sum()
    shares = counts / counts.sum()
    assert shares.max() < 0.6
    # Some classes are large, some are rare, as in the benchmarks.
    assert (shares[present] > 0.05).sum() >= 3
    assert (shares[present] < 0.01).sum() >= 5
    large = {"streets": (0, 2), "rooms": (0, 1)}[name]
    assert all(shares[label] > 0.05 for label in large)


def test_depths_are_in_the_usual_range(frames: tuple[str, list[Sample]]) -> None:
    name, samples = frames
    depth = np.concatenate([sample.targets["depth"].ravel() for sample in samples])
    low, middle, high = np.percentile(depth[depth > 0], (1, 50, 99))
    if name == "streets":
        # Cityscapes' disparities reach 126 pixels: 126 * 256 / 65535 = 0.49.
        assert 0.005 < low < 0.02
        assert 0.03 < middle < 0.2
        assert high < 0.55
    else:
        assert low > 0.5
        assert 2 < middle < 4
        assert high < 10


def test_colour_alone_does_not_tell_the_class(frames: tuple[str, list[Sample]]) -> None:
    """A table from colour to its commonest class, made of other frames, must fail on many pixels."""
    _, samples = frames
    codes, labels = [], []
    for sample in samples:
        bins = (sample.image // 32).astype(np.int64)
        codes.append((bins @ np.array([64, 8, 1])).ravel())
        labels.append(sample.targets["segmentation"].ravel().astype(np.int64))
    half = FRAMES // 2
    votes = np.zeros((512, 256), np.int64)
    np.add.at(votes, (np.concatenate(codes[:half]), np.concatenate(labels[:half])), 1)
    guess = votes.argmax(1)[np.concatenate(codes[half:])]
    truth = np.concatenate(labels[half:])
    assert (guess == truth).mean() < 0.6
    recalls = [(guess[truth == label] == label).mean() for label in np.unique(truth)]
    assert np.mean(recalls) < 0.2


def test_pictures_vary_in_light(frames: tuple[str, list[Sample]]) -> None:
    _, samples = frames
    brightness = [sample.image.mean() for sample in samples]
    assert max(brightness) - min(brightness) > 40
    assert all(35 < value < 215 for value in brightness)


def test_protocol_and_description() -> None:
    dataset: DenseDataset = SyntheticDataset("rooms", "val", count=5, size=(32, 48), seed=2)
    assert (len(dataset), dataset.split) == (5, "val")
    assert (dataset.info.name, dataset.info.format) == ("synthetic-rooms", "synthetic")
    assert (
        dataset.info.targets["segmentation"].num_classes == len(dataset.info.targets["segmentation"].class_names) == 40
    )
    assert dataset.source(1).startswith("rooms/val/00001 (scene seed ")
    assert sum(1 for _ in dataset) == 5
    assert digest(dataset[-1]) == digest(dataset[4])
    with pytest.raises(IndexError):
        dataset[5]
    copy = pickle.loads(pickle.dumps(dataset))
    assert digest(copy[3]) == digest(dataset[3])
    assert copy.fingerprint() == dataset.fingerprint()


def test_fingerprint_tells_every_option_apart() -> None:
    base = {"scene": "streets", "split": "train", "count": 8, "size": (32, 64), "seed": 0}
    others = [
        {"scene": "rooms"},
        {"split": "val"},
        {"count": 9},
        {"size": (64, 32)},
        {"seed": 1},
    ]
    prints = [SyntheticDataset(**{**base, **change}).fingerprint() for change in ({}, *others)]
    assert len(set(prints)) == len(prints)
    assert prints[0] == SyntheticDataset(**base).fingerprint()


def test_recipe_has_not_changed_unnoticed() -> None:
    """If this fails, the same seeds give other data: raise REVISION and put the new numbers here."""
    found = []
    for name in SCENES:
        scene = describe_scene(name, 1)
        found.append((len(scene.primitives), len(scene.surfaces.label), round(float(scene.camera.focal), 3)))
    assert (REVISION, found) == (1, RECIPE)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"scene": "moon"}, "moon"),
        ({"split": "test"}, "train, val"),
        ({"count": 0}, "0"),
        ({"count": 2.5}, "2.5"),
        ({"count": True}, "True"),
        ({"size": (16, 64)}, "16"),
        ({"size": "64x128"}, "64x128"),
        ({"seed": -1}, "-1"),
        ({"seed": None}, "None"),
    ],
)
def test_wrong_arguments_are_named(change: dict, word: str) -> None:
    with pytest.raises(DataError, match=word) as caught:
        SyntheticDataset(**{"scene": "rooms", **change})
    assert "\n" not in str(caught.value)
