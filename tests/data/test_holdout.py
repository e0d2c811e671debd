"""A part of the training split is held out by the samples' names alone."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.memory_dataset import SIZE, TARGETS, MemoryDataset
from hypothesis import example, given
from hypothesis import strategies as st

from ednas.data.cache import CachedSplit, open_cache
from ednas.data.holdout import HELD_OUT, hold_out
from ednas.data.loader import BatchLoader, eval_batches
from ednas.data.sample import DatasetInfo
from ednas.exceptions import ConfigError


def named(names):
    images = np.zeros((len(names), 1, 1, 3), np.uint8)
    return CachedSplit(
        None, DatasetInfo("names", "test"), "train", (1, 1), images, {}, tuple(names), "", np.arange(len(names))
    )


@given(st.sets(st.text(max_size=8), min_size=2, max_size=60), st.floats(0.01, 0.9))
def test_every_sample_is_in_one_part_and_neither_is_empty(names, share):
    kept, held = hold_out(named(sorted(names)), share)
    assert sorted([*kept.rows, *held.rows]) == list(range(len(names)))
    assert len(kept) > 0
    assert len(held) > 0


def test_a_sample_stays_where_it_is_when_others_are_added():
    few, more = (named([f"image/{index}.png" for index in range(count)]) for count in (300, 900))
    small, large = (set(hold_out(split)[1].rows) for split in (few, more))
    assert small == {row for row in large if row < 300}
    assert len(large) == pytest.approx(90, abs=30)


def test_one_sample_cannot_be_divided():
    with pytest.raises(ConfigError, match="1 training sample cannot be divided"):
        hold_out(named(["only"]))


def test_batches_hold_the_samples_of_their_part(tmp_path):
    whole = open_cache(MemoryDataset(20), SIZE, tmp_path)
    kept, held = hold_out(whole, 0.4)
    assert (kept.split, held.split) == ("train", HELD_OUT)
    for part in (kept, pickle.loads(pickle.dumps(held)), replace(kept)):
        batches = torch.cat([batch["image"] for batch in eval_batches(part, 3)])
        assert (batches[:, 0, 0, 0] * 255).round().int().tolist() == part.rows.tolist()
        loader = BatchLoader(part, len(part), seed=0)
        first = (loader.batch(0)["image"][:, 0, 0, 0] * 255).round().int().tolist()
        assert sorted(first) == part.rows.tolist()


def with_labels(count, **labelled):
    """A split whose samples have a depth label (``depth=[...]``) or normals, where they are named."""
    split = named([f"image/{index}.png" for index in range(count)])
    shapes = {"depth": (count, 2, 2), "normals": (count, 2, 2, 3)}
    targets = {name: np.zeros(shapes[name], np.float32) for name in labelled}
    for name, indices in labelled.items():
        targets[name][indices, 1] = 1
    return replace(split, targets=targets, info=replace(split.info, targets={name: TARGETS[name] for name in labelled}))


@given(st.sets(st.integers(0, 39), min_size=2), st.sets(st.integers(0, 39), min_size=10))
@example({29, 32}, {1, 2, 3, 4, 5, 7, 9, 12, 13, 29})  # one sample is the only one of both in its part
def test_targets_with_few_labels_are_in_both_parts(depth, normals):
    split = with_labels(40, depth=sorted(depth), normals=sorted(normals))
    kept, held = hold_out(split, targets=("depth", "normals"))
    assert sorted([*kept.rows, *held.rows]) == list(range(40))
    for rows in map(set, (kept.rows, held.rows)):
        assert rows & depth
        assert rows & normals
    moved = set(held.rows) ^ set(hold_out(split)[1].rows)
    assert len(moved) <= 2


def test_labels_of_all_samples_change_nothing():
    split = with_labels(40, depth=range(40), normals=range(40))
    for one, other in zip(hold_out(split), hold_out(split, targets=("depth", "normals")), strict=True):
        assert one.rows.tolist() == other.rows.tolist()


@pytest.mark.parametrize("labelled", [[], [3]])
def test_what_too_few_samples_have_cannot_be_divided(labelled):
    split = with_labels(40, depth=labelled, normals=range(40))
    with pytest.raises(ConfigError, match="dataset names: has too few labels of depth to train on some"):
        hold_out(split, targets=("normals", "depth"))
    hold_out(split, targets=("normals",))
