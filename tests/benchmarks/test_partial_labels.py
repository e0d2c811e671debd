"""The labels that the benchmark removes in memory are those of files that are missing."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.small_training import SIZE, write_dataset

from ednas.data import open_cache, open_dataset

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("partial_labels")


def test_removed_labels_are_a_partial_dataset(benchmark, tmp_path):
    file = write_dataset(tmp_path)
    description = yaml.safe_load(file.read_text())
    del description["targets"]["normals"]
    file.write_text(yaml.safe_dump(description))
    whole = open_cache(open_dataset(file), SIZE, tmp_path / "cache")
    masks = {"segmentation": np.array([1, 1, 0, 0, 0, 1], bool), "depth": np.array([1, 0, 1, 0, 1, 0], bool)}
    found = benchmark.remove_labels(whole, masks)

    for name, keeps in masks.items():
        description["targets"][name]["partial"] = True
        for index in np.flatnonzero(~keeps):
            next((tmp_path / "train" / name).glob(f"{index}.*")).unlink()
    description["splits"] = {"train": "train.txt"}
    (tmp_path / "train.txt").write_text("0\n1\n2\n4\n5\n")  # sample 3 has no label left
    file.write_text(yaml.safe_dump(description))
    expected = open_cache(open_dataset(file), SIZE, tmp_path / "cache")

    np.testing.assert_array_equal(found.image[found.rows], expected.image)
    assert found.targets.keys() == expected.targets.keys()
    for name in masks:
        np.testing.assert_array_equal(found.targets[name][found.rows], expected.targets[name])


def test_half_of_each_tasks_labels_is_kept(benchmark):
    masks = benchmark.draw_masks(768, 0)
    assert {name: int(keeps.sum()) for name, keeps in masks.items()} == {"segmentation": 384, "depth": 384}
    both = int((masks["segmentation"] & masks["depth"]).sum())
    assert both == pytest.approx(192, abs=30)
    again, other = benchmark.draw_masks(768, 0), benchmark.draw_masks(768, 1)
    assert all((masks[name] == again[name]).all() and (masks[name] != other[name]).any() for name in masks)
