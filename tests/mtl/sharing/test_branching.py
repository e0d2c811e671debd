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


def begun(step: int, **options) -> Branching:
    sharing = Branching(small_architecture(), TASKS, tree="learned", **options)
    torch.manual_seed(1)
    with torch.no_grad():
        for logits in sharing.units:
            logits.normal_()
    sharing.begin_step(step, 100, seed=3)
    return sharing


def test_while_a_tree_is_learned_copies_read_mixtures():
    sharing = begun(60).train()
    temperature = 5 * 0.1**0.5
    image = torch.rand(2, 3, 64, 64)
    found = sharing(image)
    current = [copy(image) for copy in sharing.branches[0]]
    stages = [current]
    for stage, logits in enumerate(sharing.units):
        shares = torch.exp((logits + sharing._noise[stage]) / temperature)
        shares = shares / shares.sum(1, keepdim=True)
        current = [
            copy(sum(shares[number, other] * current[other] for other in range(3)))
            for number, copy in enumerate(sharing.branches[stage + 1])
        ]
        stages.append(current)
    for task in range(3):
        for number, stage in enumerate(small_architecture().feature_stages):
            torch.testing.assert_close(found[task][number], stages[stage][task], rtol=1e-3, atol=1e-4)


def test_the_tree_follows_each_task_from_its_last_copy():
    sharing = Branching(small_architecture(), TASKS, tree="learned").eval()
    picked = [(1, 1, 0), (0, 1, 1), (0, 1, 2), (0, 1, 1), (0, 1, 2), (0, 1, 2)]  # by stage 2 to 7, of copies 0 to 2
    with torch.no_grad():
        for logits, row in zip(sharing.units, picked, strict=True):
            logits[range(3), list(row)] = 1
    assert sharing.pattern() == {"tree": "2:a|b+c;5:a|b|c"}
    same = Branching(small_architecture(), TASKS, **sharing.pattern()).eval()
    passed = [(1, 0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 2, 2, 2)]  # the copies on the way of a, b, c
    for stage, copies in enumerate(same.branches):
        for task, copy in enumerate(copies):
            copy.load_state_dict(sharing.branches[stage][passed[task][stage]].state_dict())
    image = torch.rand(1, 3, 64, 64)
    for found, other in zip(sharing(image), same(image), strict=True):
        for one, two in zip(found, other, strict=True):
            torch.testing.assert_close(one, two)


def test_the_penalty_is_how_probably_copies_read_different_ones():
    sharing = begun(61, sharing=0.3)
    expected = 0.0
    for stage, logits in enumerate(sharing.units):
        odds = logits.softmax(1)
        for one, two in ((0, 1), (0, 2), (1, 2)):
            same = sum((odds[one, k] * odds[two, k]).item() for k in range(3))
            expected += 0.3 * (6 - stage) / 6 * (1 - same)
    assert sharing.penalty(torch.ones(3)).item() == pytest.approx(expected, rel=1e-5)
    sharing.begin_step(60, 100, seed=3)
    assert sharing.penalty(torch.ones(3)) is None
