"""The way of each task through one backbone, worked out block by block."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import PATTERNS, SIZE, settled, small_architecture
from hypothesis import given
from hypothesis import strategies as st

from ednas.arch import load_architecture
from ednas.arch.parts import parse_part
from ednas.mtl.sharing.adashare import AdaShare
from ednas.mtl.sharing.paths import parse_ways, ways_text

TASKS = ("segmentation", "depth")
POLICY = parse_part(settled("adashare", TASKS)).options["policy"]
WAYS = parse_ways(POLICY, TASKS, 16, 2, "")


def layers_of(sharing: AdaShare):
    stem, *blocks = [layer for stage in sharing.encoder.stages for layer in stage]
    return stem, blocks


@pytest.mark.parametrize("name", ["small", "base"])
def test_each_task_runs_its_blocks_and_skips_the_others(name):
    torch.manual_seed(0)
    architecture = small_architecture() if name == "small" else load_architecture(name)
    sharing = AdaShare(architecture, TASKS, policy=POLICY).eval()
    image = torch.rand(1, 3, 64, 96)
    stem, blocks = layers_of(sharing)
    for task, found in zip(TASKS, sharing(image), strict=True):
        x, outputs = stem(image), []
        for number, block in enumerate(blocks):
            skip = sharing.skips[str(number)] if str(number) in sharing.skips else torch.nn.Identity()
            x = block(x) if WAYS[task][number] else skip(x)
            outputs.append(x)
        for own, place in zip(found, architecture.feature_blocks, strict=True):
            torch.testing.assert_close(own, outputs[place - 1])
    assert isinstance(blocks[10], torch.nn.Identity)  # nobody runs it
    assert set(sharing.skips) == ({"3"} if name == "small" else {"3", "8", "15"})


def test_what_is_common_is_computed_once():
    sharing = AdaShare(small_architecture(), TASKS, policy=POLICY)
    runs = [0] * 16
    for number, block in enumerate(layers_of(sharing)[1]):
        block.register_forward_hook(lambda *_, number=number: runs.__setitem__(number, runs[number] + 1))
    sharing(torch.rand(2, 3, *SIZE))
    assert runs[:4] == [1, 1, 1, 1]  # before the ways part; and the fourth one task runs alone
    assert runs[4:8] == [2] * 4


def test_tasks_of_one_way_read_the_same():
    tasks = ("segmentation", "depth", "normals")
    sharing = AdaShare(small_architecture(), tasks, policy=PATTERNS["adashare"].partition("=")[2])
    assert sharing.groups == (("segmentation", "normals"), ("depth",))


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5).map(tuple), min_size=2, max_size=2))
def test_the_text_of_ways_is_read_back(ways):
    assert parse_ways(ways_text(TASKS, ways), TASKS, 5, 4, "levels") == dict(zip(TASKS, ways, strict=True))
