"""A supernet computes what the networks that are cut out of it compute, and learns what they would learn."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from helpers.own_parts import BACKBONE
from helpers.small_training import settled, small_architecture
from torch import nn

from ednas.arch import Architecture, SearchSpace, SpaceConfig, StageConfig, load_architecture
from ednas.exceptions import ArchitectureError
from ednas.nn import MultiTaskNetwork
from ednas.nn.supernet import Supernet, cut, place_of

HEADS = {"segmentation": 4, "depth": 1}
SPACE = SearchSpace(
    small_architecture(),
    SpaceConfig(multipliers=(0.5, 1.0, 1.5), bifpn_widths=(8, 12), bifpn_depths=(1, 2, 3), head_laterals=(0, 4)),
)


def some_networks(count: int, space: SearchSpace = SPACE, seed: int = 0) -> list[Architecture]:
    rng = random.Random(seed)
    sizes = [len(decision.candidates) for decision in space.decisions]
    return [space.decode([rng.randrange(size) for size in sizes]) for _ in range(count)]


def make(space: SearchSpace = SPACE, at_once: int = 2, seed: int = 0, count: int = 6) -> Supernet:
    texts = [architecture.to_text() for architecture in some_networks(count, space)]
    return Supernet(space, HEADS, texts, at_once=at_once, seed=seed)


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 32, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def cut_double(supernet: Supernet, architecture: Architecture) -> MultiTaskNetwork:
    """A network of its own in float64, to the last bit as the supernet's."""
    network = cut(supernet.state_dict(), architecture, HEADS).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
    return network.train()


def shared(sharing: str) -> SearchSpace:
    return SearchSpace(SPACE.base.with_parts(sharing=settled(sharing, tuple(HEADS))), SPACE.config)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("sharing", ["hard", "branching(at=4)", "mtan", "cross_stitch", "single", "nddr"])
def test_what_is_run_and_what_is_cut_out_compute_and_learn_the_same(number, sharing):
    space = shared(sharing)
    supernet = make(space)  # float32 weights, which float64 holds exactly
    architecture = some_networks(4, space)[number]
    network = cut_double(supernet, architecture)
    supernet.double()
    ours, theirs = supernet.run(architecture, images()), network(images())
    for task in HEADS:
        torch.testing.assert_close(ours[task], theirs[task])
    for outputs in (ours, theirs):
        sum((output * torch.arange(output.numel()).view_as(output)).mean() for output in outputs.values()).backward()
    whole = dict(supernet.named_parameters())
    touched = set()
    for name, own in network.named_parameters():
        place = place_of(name, architecture)
        touched.add(place)
        corner = tuple(slice(side) for side in own.shape[:2])  # kernels of several sizes are not shared in this space
        torch.testing.assert_close(whole[place].grad[corner], own.grad, rtol=1e-5, atol=1e-7)
        whole[place].grad[corner] = 0
        assert not whole[place].grad.any(), name
    assert all(parameter.grad is None for place, parameter in whole.items() if place not in touched)


def test_gradients_of_several_networks_add_up():
    supernet = make(at_once=2).double()
    first, second = (Architecture.from_text(text) for text in _order(supernet)[:2])
    alone = []
    for architecture, part in zip((first, second), images().chunk(2), strict=True):
        supernet.zero_grad()
        supernet.run(architecture, part)["depth"].sum().backward()
        alone.append({name: p.grad for name, p in supernet.named_parameters() if p.grad is not None})
    supernet.zero_grad()
    supernet(images())["depth"].sum().backward()
    for name, parameter in supernet.named_parameters():
        expected = [grads[name] for grads in alone if name in grads]
        if expected:
            torch.testing.assert_close(parameter.grad, sum(expected))


def test_all_networks_take_turns_and_a_loaded_state_goes_on_with_the_next():
    supernet = make(at_once=2, count=6)
    order = _order(supernet, 12)
    assert sorted(order[:6]) == sorted(order[6:]) == sorted(set(order))
    assert order[:6] != order[6:]
    for _ in range(2):
        supernet(images().float())
    other = make(at_once=2, count=6)
    other.load_state_dict(supernet.state_dict())
    assert _order(other, 3) == order[4:7]


def test_some_networks_are_run_in_every_step_and_the_others_take_turns():
    texts = [architecture.to_text() for architecture in some_networks(6)]
    supernet = Supernet(SPACE, HEADS, texts, at_once=3, every_step=texts[:2])
    run, ran = supernet.run, []
    supernet.run = lambda architecture, image: ran.append(architecture.to_text()) or run(architecture, image)
    for _ in range(6):
        supernet(images(6).float())
    assert ran[0::3] == texts[:1] * 6
    assert ran[1::3] == texts[1:2] * 6
    assert sorted(ran[2::3]) == sorted(texts)
    assert int(supernet.drawn) == 6
    with pytest.raises(ArchitectureError, match="3 networks in every step of 3 leave no turns"):
        Supernet(SPACE, HEADS, texts, at_once=3, every_step=texts[:3])


def test_blocks_share_what_they_say_and_nothing_else():
    base = load_architecture("base")
    name = "encoder.stages.1.0.{}"

    def place(tensor: str, **values: int) -> str:
        blocks = list(base.blocks)
        blocks[1] = replace(blocks[1], **values)
        return place_of(name.format(tensor), replace(base, blocks=blocks))

    for tensor, shared in (
        ("expand.0.weight", True),
        ("project.0.weight", True),
        ("depthwise.0.weight", False),
        ("expand.1.weight", False),
    ):
        assert place(tensor, expand_ratio=3) == place(tensor, filters=12) == place(tensor)
        assert (place(tensor, kernel_size=5) == place(tensor)) is shared
    assert place_of("encoder.stages.0.0.0.weight", base) == "encoder.stages/0/0/0/weight"  # the stem
    shallow = replace(base, bifpn_depth=1)
    assert place_of("neck.layers.0.fusions.0.conv.0.weight", shallow) == place_of(
        "neck.layers.3.fusions.0.conv.0.weight", base
    )


def test_a_space_of_one_kind_or_one_stage_has_a_smaller_supernet():
    whole = sum(p.numel() for p in make().parameters())
    narrow = SearchSpace(small_architecture(), SpaceConfig(kinds=("ibn",), stages={2: StageConfig(kinds=("fused",))}))
    supernet = make(narrow)
    assert sum(p.numel() for p in supernet.parameters()) < whole
    for architecture in some_networks(3, narrow, seed=1):
        cut(supernet.state_dict(), architecture, HEADS)


def test_kinds_that_say_nothing_are_cut_too():
    space = SearchSpace(
        small_architecture(),
        SpaceConfig(kinds=("ibn", "uib"), block_fields={"start_kernel_size": (0, 3)}),
    )
    supernet = make(space)
    for architecture in some_networks(3, space, seed=2):
        outputs = supernet.run(architecture, images().float())
        assert outputs["segmentation"].shape == (4, 4, 32, 64)


def test_weights_depend_on_the_seed_alone():
    state = torch.get_rng_state()
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert torch.equal(state, torch.get_rng_state())
    name = "encoder.stages/0/0/0/weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize(
    ("space", "count", "message"),
    [
        (SearchSpace(small_architecture(), SpaceConfig(input_sizes=((32, 64), (64, 64)))), 4, "several input_sizes"),
        (SPACE, 1, "1 networks, at least 2"),
    ],
)
def test_what_cannot_be_one_supernet_is_refused(space, count, message):
    with pytest.raises(ArchitectureError, match=message):
        make(space, count=count)


def test_parts_of_ones_own_are_refused():
    space = SearchSpace(load_architecture(BACKBONE), SpaceConfig(bifpn_depths=(1, 2)))
    with pytest.raises(ArchitectureError, match="a backbone or decoder of your own"):
        Supernet(space, HEADS, ["a", "b"], at_once=1)


@pytest.mark.parametrize("sharing", ["adashare", "den", "sluice"])
def test_ways_to_share_that_cannot_be_cut_are_refused(sharing):
    with pytest.raises(ArchitectureError, match=f"sharing '{sharing}.* cannot be cut; search by proxy"):
        make(shared(sharing))


def test_copies_have_places_of_their_own_and_are_cut_as_one_is():
    base = load_architecture("base")
    name = "encoder.branches.1.0.0.depthwise.0.weight"
    assert place_of(name, base) == "encoder.stages/1/0/ibn/k3_s2/depthwise/0/weight/copy 0"
    assert place_of(name.replace("1.0.0", "1.1.0"), base) != place_of(name, base)
    assert place_of("encoder.encoder.stages.1.0.depthwise.0.weight", base) == place_of(
        "encoder.stages.1.0.depthwise.0.weight", base
    )
    assert "/last/" in place_of("decoders.1.neck.layers.3.fusions.0.conv.0.weight", base)


def test_a_network_of_another_space_is_refused():
    wider = replace(small_architecture(), bifpn_width=64)
    with pytest.raises(ArchitectureError, match="was not made for this network"):
        cut(make().state_dict(), wider, HEADS)


def _order(supernet: Supernet, count: int = 6) -> list[str]:
    """The next networks, which are asked for without moving on."""
    drawn = supernet.drawn.clone()
    texts = [supernet._next() for _ in range(count)]
    supernet.drawn.copy_(drawn)
    return texts
