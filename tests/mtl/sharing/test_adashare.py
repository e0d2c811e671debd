"""AdaShare: the way of each task, worked out block by block; and how the policy is learned."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.small_training import (
    SIZE,
    TARGETS,
    Batches,
    small_architecture,
)

from ednas.mtl.sharing.adashare import AdaShare
from ednas.mtl.sharing.paths import parse_ways
from ednas.nn.sharing import settled_text
from ednas.training import Recipe, build_model, fit

TASKS = ("segmentation", "depth")


def layers_of(sharing: AdaShare):
    stem, *blocks = [layer for stage in sharing.encoder.stages for layer in stage]
    return stem, blocks


def begun(step: int, steps: int = 100, **options) -> AdaShare:
    sharing = AdaShare(small_architecture(), TASKS, **options)
    torch.manual_seed(1)
    with torch.no_grad():
        for logits in sharing.units:
            logits.normal_()
    sharing.begin_step(step, steps, seed=3)
    return sharing


def test_what_is_learned_is_a_mixture():
    sharing = begun(60).train()  # half of the learning after the warm-up: of all blocks
    image = torch.rand(2, 3, *SIZE)
    found = sharing(image)
    stem, blocks = layers_of(sharing)
    temperature = 5 * 0.1**0.5
    assert sharing._temperature == pytest.approx(temperature)
    noise = sharing._noise
    for task, logits in enumerate(sharing.units):
        kept = torch.exp((logits + noise[task]) / temperature)
        kept = kept[:, 1] / kept.sum(1)
        x, outputs = stem(image), []
        for number, block in enumerate(blocks):
            skipped = sharing.skips[str(number)](x) if str(number) in sharing.skips else x
            x = kept[number] * block(x) + (1 - kept[number]) * skipped
            outputs.append(x)
        for own, place in zip(found[task], small_architecture().feature_blocks, strict=True):
            torch.testing.assert_close(own, outputs[place - 1], rtol=1e-3, atol=1e-4)


def test_the_noise_is_gumbels():
    sharing = AdaShare(small_architecture(), TASKS)
    drawn = []
    for step in range(40, 200):
        sharing.begin_step(step, 200, seed=0)
        drawn.append(sharing._noise)
    values = torch.stack(drawn).flatten().double()
    assert values.mean() == pytest.approx(0.5772, abs=0.05)  # Euler's constant
    assert values.var() == pytest.approx(math.pi**2 / 6, abs=0.1)
    sharing.begin_step(47, 200, seed=0)
    assert torch.equal(sharing._noise, drawn[7])


def test_the_last_blocks_come_first_and_all_of_them_in_the_middle():
    sharing = AdaShare(small_architecture(), TASKS)
    learned = []
    for step in range(100):
        sharing.begin_step(step, 100, seed=0)
        learned.append(0 if sharing._noise is None else sharing._learned_blocks)
    assert learned[:20] == [0] * 20
    assert learned[20] == 1
    assert learned == sorted(learned)
    assert learned[59] == learned[99] == 16
    assert learned[40] == 8
    assert [sharing.moves_units(step, 100) for step in (19, 20, 21, 22, 23)] == [False, False, True, False, True]


def test_the_first_blocks_are_all_run_until_they_are_learned_about():
    sharing = begun(30).train()  # a quarter of the blocks
    runs = [0] * 16
    for number, block in enumerate(layers_of(sharing)[1]):
        block.register_forward_hook(lambda *_, number=number: runs.__setitem__(number, runs[number] + 1))
    sharing(torch.rand(2, 3, *SIZE))
    assert runs == [1] * 12 + [2] * 4


def test_the_penalty_is_that_of_the_paper():
    sharing = begun(31, sparsity=0.3, sharing=0.7)
    learned = sharing._learned_blocks
    kept = [logits.softmax(1)[:, 1].tolist() for logits in sharing.units]
    sparsity = sum(sum(-math.log(1 - own[number]) for number in range(16 - learned, 16)) / learned for own in kept)
    pairs = ((0, 1), (1, 0))
    shared = sum(
        (16 - (number + 1)) / 16 * abs(kept[one][number] - kept[two][number])
        for one, two in pairs
        for number in range(16)
    )
    assert sharing.penalty(torch.ones(2)).item() == pytest.approx(0.3 * sparsity + 0.7 * shared, rel=1e-5)
    sharing.begin_step(32, 100, seed=3)  # a step of the weights
    assert sharing.penalty(torch.ones(2)) is None


def test_the_pattern_is_the_most_probable_policy():
    sharing = begun(99)
    expected = {
        task: tuple((logits[:, 1] > logits[:, 0]).int().tolist())
        for task, logits in zip(TASKS, sharing.units, strict=True)
    }
    assert parse_ways(sharing.pattern()["policy"], TASKS, 16, 2, "") == expected
    same = AdaShare(small_architecture(), TASKS, **sharing.pattern()).eval()
    assert same.load_state_dict(sharing.state_dict(), strict=False).missing_keys == []
    image = torch.rand(1, 3, *SIZE)
    for found, other in zip(sharing.eval()(image), same(image), strict=True):
        for one, two in zip(found, other, strict=True):
            torch.testing.assert_close(one, two)


def build(sharing: str, seed: int = 0):
    own = small_architecture().with_parts(sharing=sharing)
    return build_model(own, TASKS, TARGETS, input_size=SIZE, seed=seed, dataset="tiny")


RECIPE = Recipe(steps=20, batch_size=4, learning_rate=1e-2, warmup_steps=0, checkpoint_every=3, log_every=1)


def test_what_costs_too_much_is_skipped():
    model = build("adashare(warm_up=0,sparsity=1000,rate=20)")
    fit(model.network, model.tasks, Batches(), RECIPE.model_copy(update={"steps": 60}), device="cpu")
    assert settled_text(model.architecture, model.network.sharing.pattern()).endswith(
        f"policy=segmentation:{'0' * 16}|depth:{'0' * 16})"
    )
