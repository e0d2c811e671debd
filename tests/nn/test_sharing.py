"""What holds for every way to share, and how one is found by name."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.small_training import (
    SIZE,
    TARGETS,
    Batches,
    Stop,
    assert_same_weights,
    make_batch,
    settled,
    small_architecture,
    stop_at,
)

from ednas.arch import Architecture, load_architecture
from ednas.exceptions import ArchitectureError, ConfigError
from ednas.hw import estimate, load_target
from ednas.hw.summary import summarise
from ednas.nn import MultiTaskNetwork
from ednas.nn.sharing import Sharing, register_sharing, settled_text, sharing_names
from ednas.training import Recipe, build_model, fit

TASKS = ("segmentation", "depth", "normals")
OURS = tuple(name for name in sharing_names() if name != "hard")
WAYS = (*OURS, "nddr(shortcut=true)", "branching(tree=2:segmentation+normals|depth)", "hard")


def architecture(sharing: str) -> Architecture:
    return small_architecture().with_parts(sharing=sharing)


def fitting(sharing: str, tasks: tuple[str, ...]) -> str:
    """The tree or policy of three tasks, for two."""
    return settled(sharing if len(tasks) == 3 else sharing.replace("segmentation+normals", "segmentation"), tasks)


def heads(tasks: tuple[str, ...]) -> dict[str, int]:
    return {task: {"segmentation": 4, "depth": 1, "normals": 3}[task] for task in tasks}


def readers(sharing: str, name: str, tasks: tuple[str, ...]) -> set[str]:
    """Which tasks' losses a weight should be moved by."""
    parts = name.split(".")
    if "heads" in parts:
        return {parts[parts.index("heads") + 1]}
    if sharing == "hard":
        return set(tasks)
    if sharing.startswith(("adashare", "den")):
        ways = {part.split(":")[0]: part.split(":")[1] for part in sharing[:-1].partition("=")[2].split("|")}
        if parts[0] == "decoders":
            way = [*dict.fromkeys(ways.values())][int(parts[1])]
            return {task for task in tasks if ways[task] == way}
        if parts[1] == "skips":
            return {task for task in tasks if ways[task][int(parts[2])] == "0"}
        if parts[1] == "norms":
            number, level = parts[2].split("_")
            return {task for task in tasks if ways[task][int(number)] == level}
        stages = small_architecture().stages()
        number = sum(map(len, stages[: int(parts[3])])) + int(parts[4]) - (parts[3] == "0")  # stage 0 has the stem
        if number < 0:
            return set(tasks)
        used = {task: way[number] for task, way in ways.items() if way[number] != "0"}
        if "project.1" in name:  # of the largest level alone
            used = {task: level for task, level in used.items() if level == max(used.values())}
        return set(used)
    if sharing.startswith("branching"):
        groups = [{task} for task in tasks] if "tree" not in sharing else [set(tasks) - {"depth"}, {"depth"}]
        first = 5 if "tree" not in sharing else 2
        if parts[0] == "decoders":
            return groups[int(parts[1])]
        return groups[int(parts[3])] if int(parts[2]) + 1 >= first else set(tasks)
    if parts[0] == "decoders":
        return {tasks[int(parts[1])]}
    if sharing == "single":
        return {tasks[int(parts[2])]}
    if parts[1] == "masks":
        return {tasks[int(parts[3])]}
    if parts[1] in ("shortcuts", "projections"):
        return {tasks[int(parts[2])]}
    if parts[1] == "units":  # by stage and task; what is mixed after the last stage, or of all depths, one task reads
        kind, stage, task = ("alpha", *parts[2:4]) if parts[2].isdecimal() else parts[2:5]
        if kind == "beta":
            return {tasks[int(stage)]}
        return {tasks[int(task)]} if int(stage) == len(small_architecture().stages()) - 1 else set(tasks)
    return set(tasks)


@pytest.mark.parametrize("tasks", [TASKS[:2], TASKS])
@pytest.mark.parametrize("sharing", WAYS)
class TestEvery:
    def test_predicts_every_task(self, sharing, tasks):
        network = MultiTaskNetwork(architecture(fitting(sharing, tasks)), heads(tasks))
        outputs = network(torch.rand(2, 3, 64, 96))
        assert {task: tuple(y.shape) for task, y in outputs.items()} == {
            task: (2, channels, 64, 96) for task, channels in heads(tasks).items()
        }
        assert list(outputs) == list(tasks)

    def test_a_tasks_loss_moves_what_it_shares_and_nothing_else(self, sharing, tasks):
        network = MultiTaskNetwork(architecture(fitting(sharing, tasks)), heads(tasks))
        image = torch.rand(2, 3, *SIZE)
        moved: dict[str, set[str]] = {name: set() for name, _ in network.named_parameters()}
        for task in tasks:
            network.zero_grad()
            network(image)[task].square().mean().backward()
            for name, parameter in network.named_parameters():
                if parameter.grad is not None and parameter.grad.any():
                    moved[name].add(task)
        assert moved == {name: readers(fitting(sharing, tasks), name, tasks) for name in moved}

    def test_state_and_text_make_the_same_network(self, sharing, tasks):
        torch.manual_seed(0)
        first = MultiTaskNetwork(architecture(fitting(sharing, tasks)), heads(tasks)).eval()
        text = first.architecture.to_text()
        second = MultiTaskNetwork(Architecture.from_text(text), heads(tasks)).eval()
        second.load_state_dict(first.state_dict())
        image = torch.rand(1, 3, *SIZE)
        with torch.no_grad():
            for task, output in first(image).items():
                assert torch.equal(second(image)[task], output)
        assert Architecture.from_dict(first.architecture.to_dict()) == first.architecture

    def test_it_costs_what_it_consists_of(self, sharing, tasks):
        own = architecture(fitting(sharing, tasks))
        network = MultiTaskNetwork(own, heads(tasks))
        counts = summarise(own, heads(tasks), SIZE)
        assert counts.params == sum(parameter.numel() for parameter in network.parameters())
        target = load_target("coral_usb")
        costs = [estimate(each, heads(tasks), (128, 256), target) for each in (small_architecture(), own)]
        assert counts.macs >= summarise(small_architecture(), heads(tasks), SIZE).macs
        assert (costs[1].latency_ms > costs[0].latency_ms) == (sharing != "hard")

    @pytest.mark.slow
    def test_every_loss_falls(self, sharing, tasks):
        model = build(fitting(sharing, tasks), tasks)
        recipe = Recipe(steps=60, batch_size=4, learning_rate=1e-2, weight_decay=0.0, log_every=1, input_size=SIZE)
        reports = []
        fit(model.network, model.tasks, Batches(repeat=True), recipe, device="cpu", callbacks=[reports.append])
        for task in tasks:
            assert reports[-1].losses[task] < 0.75 * reports[0].losses[task], task


def build(sharing: str, tasks: tuple[str, ...] = TASKS, seed: int = 0):
    return build_model(
        architecture(fitting(sharing, tasks)), tasks, TARGETS, input_size=SIZE, seed=seed, dataset="tiny"
    )


@pytest.mark.slow
@pytest.mark.parametrize("sharing", WAYS)
def test_a_broken_off_run_resumes_bit_for_bit(sharing, tmp_path):
    recipe = Recipe(steps=8, batch_size=4, learning_rate=1e-2, checkpoint_every=3, log_every=2, ema_decay=0.9)
    expected, model = build(sharing), build(sharing)
    fit(expected.network, expected.tasks, Batches(), recipe, device="cpu")
    with pytest.raises(Stop):
        fit(model.network, model.tasks, Batches(), recipe, callbacks=[stop_at(4)], checkpoint_folder=tmp_path,
            device="cpu")  # fmt: skip
    model = build(sharing, seed=9)
    fit(model.network, model.tasks, Batches(), recipe, checkpoint_folder=tmp_path, resume=True, device="cpu")
    assert_same_weights(model.network, expected.network)


LEARNED = ("adashare", "den", "branching(tree=learned)")


def build_learned(sharing: str, seed: int = 0):
    return build_model(architecture(sharing), TASKS[:2], TARGETS, input_size=SIZE, seed=seed, dataset="tiny")


@pytest.mark.parametrize("sharing", LEARNED)
class TestEveryLearned:
    RECIPE = Recipe(steps=20, batch_size=4, learning_rate=1e-2, warmup_steps=0, checkpoint_every=3, log_every=1)

    def test_a_step_moves_the_units_or_the_weights(self, sharing):
        model = build_learned(sharing)
        before, moved = {}, []

        def look(report):
            nonlocal before
            own = {name: tensor.clone() for name, tensor in model.network.named_parameters()}
            moved.append({name for name in own if before and not torch.equal(own[name], before[name])})
            before = own

        fit(model.network, model.tasks, Batches(), self.RECIPE, device="cpu", callbacks=[look])
        units = {name for name in before if name.startswith("encoder.units.")}
        for step, names in enumerate(moved[1:], 1):
            is_theirs = model.network.sharing.moves_units(step, 20)
            assert is_theirs == (step >= 4 and step % 2 == 1)
            assert names <= units if is_theirs else names and not names & units
        assert set().union(*moved) >= units

    def test_the_pattern_names_a_network(self, sharing):
        torch.manual_seed(0)
        model = build_learned(sharing)
        with torch.no_grad():
            for logits in model.network.sharing.units:
                logits.normal_()
        settled_way = settled_text(model.architecture, model.network.sharing.pattern())
        settled_network = build_learned(settled_way).network
        assert settled_network.sharing is None or settled_network.sharing.is_settled
        assert settled_text(settled_network.architecture, {}) == settled_way
        image = torch.rand(1, 3, *SIZE)
        outputs = model.network.eval()(image)
        assert {task: y.shape for task, y in settled_network.eval()(image).items()} == {
            task: y.shape for task, y in outputs.items()
        }

    @pytest.mark.slow
    def test_a_learning_that_was_broken_off_goes_on_bit_for_bit(self, sharing, tmp_path):
        expected, model = build_learned(sharing), build_learned(sharing)
        fit(expected.network, expected.tasks, Batches(), self.RECIPE, device="cpu")
        with pytest.raises(Stop):
            fit(model.network, model.tasks, Batches(), self.RECIPE, callbacks=[stop_at(14)], checkpoint_folder=tmp_path,
                device="cpu")  # fmt: skip
        model = build_learned(sharing, seed=9)
        fit(model.network, model.tasks, Batches(), self.RECIPE, checkpoint_folder=tmp_path, resume=True, device="cpu")
        assert_same_weights(model.network, expected.network)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "ednas_cityscapes"])
@pytest.mark.parametrize("sharing", OURS)
def test_networks_of_the_paper_can_be_shared_so(sharing, name):
    own = load_architecture(name).with_parts(sharing=fitting(sharing, TASKS))
    outputs = MultiTaskNetwork(own, heads(TASKS))(torch.rand(2, 3, 64, 64))
    assert all(y.isfinite().all() for y in outputs.values())


@pytest.mark.parametrize("sharing", WAYS)
def test_a_single_task_shares_with_nobody(sharing):
    own = MultiTaskNetwork(architecture(fitting(sharing, TASKS)), heads(("depth",)))
    plain = MultiTaskNetwork(small_architecture(), heads(("depth",)))
    assert [*own.state_dict()] == [*plain.state_dict()]
    assert own.sharing is None


def test_hard_sharing_needs_no_name():
    assert architecture("hard") == small_architecture()
    assert architecture("mtan").with_parts(sharing="hard").to_text() == small_architecture().to_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cross_stich", "unknown sharing 'cross_stich'; did you mean 'cross_stitch'"),
        ("cross_stitch(begin=1)", "unknown key 'begin'"),
        ("cross_stitch(start=2)", "start"),
        ("branching(at=9)", "stage 9, the backbone has 7"),
        ("branching(tree=2:depth)", "each of segmentation, depth, normals must be named once"),
        ("adashare(policy=depth:10)", "write it like a:101|b:011, with a digit from 0 to 1 for each of 16 blocks"),
        ("adashare(policy=depth:1111111111111111)", "each of segmentation, depth, normals must be named once"),
        ("branching(tree=x)", "write it like 3:a|b"),
        ("branching(tree=4:segmentation|depth|normals;3:segmentation|depth|normals)", "with stages from 1 that rise"),
        ("branching(tree=2:segmentation|depth+normals;3:segmentation+depth|normals)", "cannot come together again"),
    ],
)
def test_mistakes_are_one_line(text, said):
    with pytest.raises(ArchitectureError) as error:
        MultiTaskNetwork(architecture(text), heads(TASKS))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_beside_parts_of_ones_own_it_is_refused():
    with pytest.raises(ArchitectureError, match="sharing 'mtan' is of our backbones"):
        dataclasses.replace(architecture("mtan"), decoder="mine", bifpn_width=64, bifpn_depth=4)


def test_a_way_of_ones_own_is_known_by_its_name():
    @register_sharing("test_swapped")
    class Swapped(Sharing):
        def __init__(self, architecture, tasks):
            super().__init__(architecture, tasks)
            self.inner = torch.nn.ModuleList(MultiTaskNetwork(architecture.with_parts(sharing="hard"), {"a": 1}).encoder
                                             for _ in tasks)  # fmt: skip

        def forward(self, image):
            return [self._at_feature_strides(encoder(image)) for encoder in reversed(self.inner)]

    assert "test_swapped" in sharing_names()
    network = MultiTaskNetwork(architecture("test_swapped"), heads(TASKS))
    assert set(network(make_batch()["image"])) == set(TASKS)
    with pytest.raises(ConfigError, match="exists already"):
        register_sharing("test_swapped")(type("Other", (Sharing,), {}))
