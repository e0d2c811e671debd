"""Deep elastic networks: blocks of fewer channels, and levels that are learned by REINFORCE."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import (
    SIZE,
    TARGETS,
    Batches,
    settled,
    small_architecture,
)

from ednas.arch import Architecture, load_architecture
from ednas.arch.parts import parse_part
from ednas.hw.summary import summarise
from ednas.mtl.sharing.den import DEN, FORGETS, LEVELS
from ednas.mtl.sharing.paths import parse_ways, ways_text
from ednas.nn.overlap import overlap
from ednas.training import Recipe, build_model, fit

TASKS = ("segmentation", "depth")
TEXT = parse_part(settled("den", TASKS)).options["levels"]
HEADS = {"segmentation": 4, "depth": 1}


def mixed() -> Architecture:
    """Both kinds of block that expand, and one that does not."""
    return load_architecture(
        "stem_c8 ibn_k3_s1_e1_c8 | fused_k3_s2_e4_c8 | ibn_k5_s2_e4_c12 ibn_k3_s1_e4_c12 | fused_k5_s2_e2_c16 | "
        "ibn_k3_s2_e6_c24 bifpn_w8_d1 heads_l4"
    )


@pytest.mark.parametrize("level", [1, 2])
def test_a_lower_level_is_the_block_without_its_last_channels(level):
    """A narrow block equals the whole one whose other inner channels are silenced before the last convolution."""
    torch.manual_seed(0)
    ways = [(3,) * 6, (level,) * 6]
    sharing = DEN(mixed(), TASKS, levels=ways_text(TASKS, ways)).eval()
    for norm in sharing.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):  # as if they had learned something
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 2)
    image = torch.rand(1, 3, 64, 96)
    stem, *blocks = [layer for stage in sharing.encoder.stages for layer in stage]
    x, outputs = stem(image), []
    for number, block in enumerate(blocks):
        if number == 0:  # it has no expansion
            x = block(x)
        else:
            *parts, last = block
            y = x
            for part in parts:
                y = part(y)
            y[:, round(LEVELS[level] * y.shape[1]) :] = 0
            y = sharing.norms[f"{number}_{level}"](last[0](y))
            x = x + y if block.shortcut else y
        outputs.append(x)
    for own, place in zip(sharing(image)[1], mixed().feature_blocks, strict=True):
        torch.testing.assert_close(own, outputs[place - 1], rtol=1e-4, atol=1e-5)


def test_channels_that_no_task_runs_are_left_out():
    halves = DEN(mixed(), TASKS, levels=ways_text(TASKS, [(2,) * 6, (1,) * 6]))
    full = DEN(mixed(), TASKS, levels=ways_text(TASKS, [(3,) * 6, (1,) * 6]))
    inner = [
        [block[0].conv.out_channels for stage in own.encoder.stages for block in stage if hasattr(block, "shortcut")]
        for own in (halves, full)
    ]
    assert inner == [[8, 16, 16, 24, 12, 48], [8, 32, 32, 48, 24, 96]]
    images = torch.rand(2, 3, *SIZE)
    assert [x.shape for x in halves(images)[0]] == [x.shape for x in full(images)[0]]
    small, large = (
        summarise(small_architecture().with_parts(sharing=f"den(levels={ways_text(TASKS, [(n,) * 16, (1,) * 16])})"),
                  HEADS, SIZE)
        for n in (2, 3)
    )  # fmt: skip
    assert small.macs < large.macs
    assert small.params < large.params


def test_what_is_deployed_has_weights_of_its_own_and_says_the_same():
    torch.manual_seed(0)
    sharing = DEN(mixed(), TASKS, levels=ways_text(TASKS, [(3, 3, 2, 1, 3, 2), (1, 1, 1, 3, 2, 0)]))
    sharing(torch.rand(4, 3, *SIZE))  # statistics
    sharing.eval()
    image = torch.rand(1, 3, *SIZE)
    before = sharing(image)
    sharing.unfold()
    assert set(sharing.unfolded) == {"1_1", "2_1", "3_1", "4_2"}
    with torch.no_grad():
        for norm in sharing.norms.values():  # not read any more
            norm.weight.fill_(torch.nan)
    for found, other in zip(sharing(image), before, strict=True):
        for one, two in zip(found, other, strict=True):
            torch.testing.assert_close(one, two)


def test_what_is_learned_is_measured_as_the_network_that_its_pattern_names():
    torch.manual_seed(0)
    learned = DEN(mixed(), TASKS)
    with torch.no_grad():
        for logits in learned.units:
            logits.normal_()
        for norm in learned.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.running_mean.normal_(std=0.1)
                norm.running_var.uniform_(0.5, 2)
    settled_one = DEN(mixed(), TASKS, **learned.pattern())
    theirs = learned.state_dict()
    state = {
        name: theirs[name][overlap(tensor.shape, theirs[name].shape)[1]]
        for name, tensor in settled_one.state_dict().items()
    }
    _, *blocks = [(f"encoder.stages.{s}.{p}", block) for s, stage in enumerate(settled_one.encoder.stages)
                  for p, block in enumerate(stage)]  # fmt: skip
    ways = parse_ways(learned.pattern()["levels"], TASKS, 6, 4, "").values()
    for number, (prefix, block) in enumerate(blocks):
        largest = max(way[number] for way in ways)
        if f"{number}_{largest}" in learned.norms:  # what was the whole block's is the largest level's
            last = [name for name, _ in block.named_children()][-1]
            state |= {f"{prefix}.{last}.1.{key}": value
                      for key, value in learned.norms[f"{number}_{largest}"].state_dict().items()}  # fmt: skip
    settled_one.load_state_dict(state)
    image = torch.rand(1, 3, *SIZE)
    found, other = learned.eval()(image), settled_one.eval()(image)
    assert len(found) == len(other) == 2
    for ours, named in zip(found, other, strict=True):
        for one, two in zip(ours, named, strict=True):
            torch.testing.assert_close(one, two)


def begun(step: int, **options) -> DEN:
    sharing = DEN(small_architecture(), TASKS, **options)
    torch.manual_seed(1)
    with torch.no_grad():
        for logits in sharing.units:
            logits.normal_()
    sharing.begin_step(step, 100, seed=3)
    return sharing


def test_weights_learn_as_a_whole_or_at_drawn_levels_and_tasks_at_their_own():
    sharing, drawn = DEN(small_architecture(), TASKS), []
    for step in range(0, 2000, 2):  # all in the warm-up or on the weights' turn
        sharing.begin_step(step, 2000, seed=0)
        assert len(set(sharing._drawn)) == 1
        drawn.append(sharing._drawn[0])
    others = [way for way in drawn if way != (3,) * 16]
    assert len(others) / len(drawn) == pytest.approx(0.25, abs=0.05)
    counts = torch.bincount(torch.tensor(others).flatten(), minlength=4) / (16 * len(others))
    assert counts.tolist() == pytest.approx([0.25] * 4, abs=0.03)
    sharing.begin_step(1501, 2000, seed=0)
    assert len(set(sharing._drawn)) == 2


def test_levels_are_drawn_by_their_probabilities_and_explored_less_and_less():
    sharing = DEN(small_architecture(), TASKS, exploration=0.5, warm_up=0)
    with torch.no_grad():
        sharing.units[0][:] = torch.tensor([0.0, 0.0, 20.0, 0.0])
    sharing.begin_step(1, 10**6, seed=0)
    assert sharing._explores == 0.5
    assert sharing._log_odds(sharing.units[0]).exp()[0].tolist() == pytest.approx([0.125, 0.125, 0.625, 0.125])
    sharing.begin_step(101, 10**6, seed=0)
    assert sharing._drawn[0] == (2,) * 16
    assert sharing._drawn[1] != (2,) * 16


def test_the_penalty_is_reinforce():
    sharing = begun(51, rho=4.0)
    sharing.mean_rewards.copy_(torch.tensor([0.5, -1.0]))
    sharing.rewarded.fill_(True)
    losses = torch.tensor([0.7, 2.0])
    sharing.penalty(losses).backward()
    for task, (loss, mean) in enumerate(((0.7, 0.5), (2.0, -1.0))):
        levels = list(sharing._drawn[task])
        density = sum(LEVELS[level] for level in levels) / 16  # all blocks of the small network can be narrowed
        reward = (1 - density**2) / 4 - loss + 1
        logits = sharing.units[task].detach().clone().requires_grad_()
        odds = sharing._explores / 4 + (1 - sharing._explores) * logits.softmax(1)
        (-(reward - mean) * odds[range(16), levels].log().sum()).backward()
        torch.testing.assert_close(sharing.units[task].grad, logits.grad)
        assert sharing.mean_rewards[task].item() == pytest.approx(FORGETS * mean + (1 - FORGETS) * reward)
    sharing.begin_step(52, 100, seed=3)
    assert sharing.penalty(losses) is None


def test_a_block_that_cannot_be_narrowed_is_rewarded_as_what_is_run_of_it():
    sharing = DEN(mixed(), TASKS)
    assert [sharing._share(0, level) for level in range(4)] == [0, 1, 1, 1]  # the first has no expansion
    assert [sharing._share(1, level) for level in range(4)] == [*LEVELS]


def test_the_first_reward_moves_nothing():
    sharing = begun(51)
    sharing.penalty(torch.ones(2)).backward()
    assert not any(logits.grad.any() for logits in sharing.units)


RECIPE = Recipe(steps=20, batch_size=4, learning_rate=1e-2, warmup_steps=0, checkpoint_every=3, log_every=1)


def build(sharing: str, seed: int = 0):
    own = small_architecture().with_parts(sharing=sharing)
    return build_model(own, TASKS, TARGETS, input_size=SIZE, seed=seed, dataset="tiny")


def test_where_size_is_all_that_counts_networks_get_small():
    model = build("den(warm_up=0,rho=0.001,rate=10,exploration=0.9)")
    fit(model.network, model.tasks, Batches(), RECIPE.model_copy(update={"steps": 200}), device="cpu")
    ways = parse_ways(model.network.sharing.pattern()["levels"], TASKS, 16, 4, "")
    shares = [LEVELS[level] for way in ways.values() for level in way]
    assert sum(shares) / len(shares) < 0.35
