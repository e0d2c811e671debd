"""Searches that tables stand on; ``test_run.py`` does some."""

from __future__ import annotations

import pytest
from helpers.small_reproduction import TASKS, small_scale

from ednas.arch import SearchSpace, load_architecture
from ednas.exceptions import CheckpointError
from ednas.hw import estimate, load_target
from ednas.reproduce.searches import (
    BACKBONE,
    SEARCH,
    Found,
    describe_backbones,
    describe_found,
    describe_random,
    load_found,
    search_folder,
    seeded,
)

HEADS = {"segmentation": 19, "depth": 1}


def found(*networks, seconds=1.0, limit=100.0):
    texts = tuple(load_architecture(network).to_text() for network in networks)
    return Found(architecture=texts[0], best=texts, seconds=seconds, heads=HEADS, input_size=(256, 256),
                 limits={"latency_ms": limit})  # fmt: skip


def test_blocks_are_counted():
    both = describe_backbones([load_architecture(name) for name in ("base", "ednas_cityscapes")])[BACKBONE]
    assert both == {"fused_percent": 100 * 14 / 32, "ibn_2_percent": 100.0, "ibn_7_percent": 100.0}
    one = load_architecture("nas_depth")
    assert describe_backbones([one])[BACKBONE]["ibn_7_percent"] == 0


def test_several_searches_are_taken_together():
    values = describe_found([found("base", seconds=2), found("ednas_cityscapes", seconds=3)])
    assert values[SEARCH] == {"seconds": 5}
    assert values[BACKBONE]["fused_percent"] == 100 * 14 / 32


def test_random_networks_are_within_the_limits(tmp_path, monkeypatch):
    search = small_scale(tmp_path).search(TASKS)
    base = load_architecture("base")
    limit = estimate(base, HEADS, (256, 256), load_target("coral_usb")).latency_ms
    drawn = []
    monkeypatch.setattr("ednas.reproduce.searches.RANDOM", 20)
    monkeypatch.setattr(
        "ednas.reproduce.searches.describe_backbones", lambda networks: drawn.extend(networks) or {BACKBONE: {}}
    )
    describe_random(search, found("base", limit=limit), seed=0)
    assert len({network.fingerprint() for network in drawn}) == 20
    assert all(estimate(network, HEADS, (256, 256), load_target("coral_usb")).latency_ms <= limit for network in drawn)
    assert all(SearchSpace(base, search.space).encode(network) for network in drawn)


def test_seeds_share_a_folder_and_other_settings_do_not(tmp_path):
    search = small_scale(tmp_path / "data").search(TASKS)
    assert search_folder(seeded(search, 7), tmp_path).path == search_folder(search, tmp_path).path
    longer = search.model_copy(update={"reward": search.reward.model_copy(update={"q": -0.1})})
    assert search_folder(longer, tmp_path).path != search_folder(search, tmp_path).path


def test_a_damaged_file_is_named(tmp_path):
    search = small_scale(tmp_path / "data").search(TASKS)
    assert load_found(search, tmp_path, 0) is None
    file = search_folder(search, tmp_path).seed(0).found
    file.parent.mkdir(parents=True)
    for text in ('{"architecture": 5}', "[]", found("base").model_copy(update={"best": ()}).model_dump_json()):
        file.write_text(text)
        with pytest.raises(CheckpointError, match=r"found\.json"):
            load_found(search, tmp_path, 0)
