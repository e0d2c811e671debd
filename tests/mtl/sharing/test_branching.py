"""Trees of stages."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import small_architecture
from hypothesis import given
from hypothesis import strategies as st

from ednas.exceptions import ArchitectureError
from ednas.mtl.sharing.branching import Branching, parse_tree

TASKS = ("a", "b", "c")


def test_a_branch_is_the_stages_on_its_path():
    sharing = Branching(small_architecture(), TASKS, tree="3:a|b+c;6:a|b|c").eval()
    assert [len(copies) for copies in sharing.branches] == [1, 1, 2, 2, 2, 3, 3]
    image = torch.rand(1, 3, 64, 64)
    found = sharing(image)
    for group, path in enumerate([(0, 0, 0, 0, 0, 0, 0), (0, 0, 1, 1, 1, 1, 1), (0, 0, 1, 1, 1, 2, 2)]):
        x, outputs = image, []
        for stage, copy in enumerate(path):
            x = sharing.branches[stage][copy](x)
            outputs.append(x)
        for number, stage in enumerate(small_architecture().feature_stages):
            assert torch.equal(found[group][number], outputs[stage])


def test_tasks_that_never_part_have_one_neck():
    assert Branching(small_architecture(), TASKS, tree="4:a+c|b").groups == (("a", "c"), ("b",))
    assert Branching(small_architecture(), TASKS, at=7).groups == (("a",), ("b",), ("c",))


@given(st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True).map(sorted), st.data())
def test_a_written_tree_is_read_back(stages, data):
    groups = [list(TASKS)]
    text, expected = [], {}
    for stage in stages:
        splittable = [group for group in groups if len(group) > 1]
        if splittable and data.draw(st.booleans()):
            group = data.draw(st.sampled_from(splittable))
            cut = data.draw(st.integers(1, len(group) - 1))
            groups = [own for own in groups if own is not group] + [group[:cut], group[cut:]]
        text.append(f"{stage}:" + "|".join("+".join(group) for group in groups))
        expected[stage] = tuple(tuple(group) for group in groups)
    assert parse_tree(";".join(text), TASKS) == expected


@pytest.mark.parametrize(
    "text", ["", "3", "3:", "3:a|b", "3:a|b|c|d", "3:a|a|b+c", "0:a|b+c", "x:a|b|c", "3:a|b+c;3:a|b|c"]
)
def test_what_is_no_tree_is_refused(text):
    with pytest.raises(ArchitectureError, match="tree"):
        parse_tree(text, TASKS)
