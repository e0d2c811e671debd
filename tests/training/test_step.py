"""One step of a training, and what samples without some of the labels have to do with it."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import (
    LABELLED,
    SIZE,
    TARGETS,
    Batches,
    Stop,
    assert_same_weights,
    double_width,
    make_batch,
    small_architecture,
    stop_at,
)
from helpers.weightings import OPTIONS

from ednas.data.sample import VOID
from ednas.exceptions import ConfigError
from ednas.mtl.weighting import GradientWeighting, LossWeighting, WeightingConfig, register_weighting, weighting_names
from ednas.mtl.weighting.searched import SEARCHED
from ednas.training import build_model, fit
from ednas.training.config import Normalisation
from ednas.training.device import make_fabric
from ednas.training.step import TrainingStep

TASKS = ("segmentation", "depth", "normals")
OURS = tuple(name for name in weighting_names() if name != SEARCHED)


def without_labels(name, values, samples):
    values[samples] = VOID if name == "segmentation" else 0


def gradients(model, task, batch):
    model.network.zero_grad()
    # As in evaluation: in training, the statistics of a batch join its samples.
    output = model.network.eval()(batch["image"])[task]
    loss = model.tasks[task].loss(output, batch[task])
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in model.network.named_parameters()}


@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_gradient_is_that_of_its_labelled_samples_alone(build, task):
    model, batch = build(), make_batch()
    some = {name: values[LABELLED[task]] for name, values in batch.items()}
    for name, samples in LABELLED.items():
        without_labels(name, batch[name], [index for index in range(4) if index not in samples])
    loss, found = gradients(model, task, batch)
    if not LABELLED[task]:
        assert loss == 0
        assert all(not weight.any() for weight in found.values() if weight is not None)
        return
    expected_loss, expected = gradients(model, task, some)
    torch.testing.assert_close(loss, expected_loss)
    assert any(weight.any() for weight in expected.values() if weight is not None)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-6, msg=name)


def test_a_batch_without_any_label_trains_nothing(build, short):
    model = build()
    before = {name: weight.detach().clone() for name, weight in model.network.named_parameters()}

    def change(step, batch):
        for name in TASKS:
            without_labels(name, batch[name], slice(None))

    result = fit(
        model.network,
        model.tasks,
        Batches(change),
        short.model_copy(update={"weight_decay": 0.0, "grad_clip": 1.0}),
        device="cpu",
    )
    assert result.losses == dict.fromkeys(TASKS, 0.0)
    for name, weight in model.network.named_parameters():
        assert torch.equal(weight, before[name]), name


def test_a_step_is_that_of_plain_pytorch(build, short):
    """An independent step: NCHW, separate losses, torch's own Adam without fusing."""
    ours, plain, fresh = (build(("segmentation", "depth")) for _ in range(3))
    recipe = short.model_copy(update={"loss_weights": {"segmentation": 0.4}, "learning_rate": 1e-3})
    step = TrainingStep(ours.network, ours.tasks, recipe, make_fabric("cpu"), Normalisation())
    network = plain.network.to(memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4, foreach=False)
    batch = make_batch()
    losses = step(batch, 0)
    outputs = network((batch["image"].contiguous() - 0.5) / 0.25)
    expected = [task.loss(outputs[name], batch[name]) for name, task in plain.tasks.items()]
    (0.4 * expected[0] + expected[1]).backward()
    optimizer.step()
    torch.testing.assert_close(losses, torch.stack(expected).detach(), rtol=1e-4, atol=1e-5)
    # Adam's first step is the gradient's sign, which rounding may turn where the gradient is nearly 0.
    start = torch.cat([parameter.detach().flatten() for parameter in fresh.network.parameters()])
    moved, wanted = (
        torch.cat([parameter.detach().flatten() for parameter in model.network.parameters()]) - start
        for model in (ours, plain)
    )
    same = (moved - wanted).abs() < 1e-5
    assert same.float().mean() > 0.97
    assert (wanted.abs() > 9e-4).float().mean() > 0.8


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole_one(build, short, parts):
    """Where batch normalisation does not tell a part from the whole, and every sample has labels."""
    whole, parted = build(), build()
    batch = {name: values.double() if values.is_floating_point() else values for name, values in make_batch().items()}
    recipe = short.model_copy(update={"loss_weights": {"segmentation": 0.4}})
    found = []
    for model, count in ((whole, 1), (parted, parts)):
        model.network.double()  # in which rounding turns no ReLU on or off
        step = TrainingStep(model.network, model.tasks, recipe, make_fabric("cpu"), Normalisation(), parts=count)
        model.network.eval()
        found.append((step(batch, 0), {name: weight.grad for name, weight in model.network.named_parameters()}))
    (losses, expected), (losses_in_parts, gradients_in_parts) = found
    torch.testing.assert_close(losses_in_parts, losses)
    assert any(weight.abs().max() > 1e-3 for weight in expected.values() if weight is not None)
    for name, weight in expected.items():
        torch.testing.assert_close(gradients_in_parts[name], weight, msg=name)


def test_parts_of_different_sizes_count_by_their_samples(build, short):
    """Five samples in two parts of three and two."""
    seen = []

    class Watched(TrainingStep):
        def _losses(self, batch):
            seen.append(len(batch["image"]))
            return super()._losses(batch)

    model = build(("depth",))
    step = Watched(model.network, model.tasks, short, make_fabric("cpu"), Normalisation(), parts=2)
    model.network.eval()
    batch = make_batch(samples=5)
    expected = model.tasks["depth"].loss(model.network((batch["image"] - 0.5) / 0.25)["depth"], batch["depth"])
    torch.testing.assert_close(step(batch, 0), expected.detach()[None])
    assert seen == [3, 2]


@register_weighting("test_ones")
class Ones(GradientWeighting):
    """Gradients as they are."""

    def weigh(self, gramian, losses, step):
        del gramian, step
        return torch.ones_like(losses)


@register_weighting("test_steep")
class Steep(LossWeighting):
    """A hundredth of every loss, and less of the first task's."""

    def weigh(self, losses, step):
        del step
        return torch.full_like(losses, 0.01).index_fill(0, torch.tensor(0), 0.002)


def weighed(recipe, name, **changes):
    """The same recipe with a weighting, whose phases pass in a few steps."""
    weighting = WeightingConfig(name=name, options=OPTIONS.get(name, {}))
    return recipe.model_copy(update={"weighting": weighting, **changes})


class TestWeighting:
    @pytest.mark.parametrize("parts", [1, 2])
    def test_tasks_gradients_as_they_are_add_up_to_the_whole(self, build, short, parts):
        whole, alone = build(), build()
        recipe = short.model_copy(update={"loss_weights": {"depth": 0.3}, "grad_clip": 0.5})
        found = []
        for model, own in ((whole, recipe), (alone, weighed(recipe, "test_ones"))):
            model.network.double()
            step = TrainingStep(model.network, model.tasks, own, make_fabric("cpu"), Normalisation(), parts=parts)
            batch = {name: t.double() if t.is_floating_point() else t for name, t in make_batch().items()}
            found.append((step(batch, 0), {name: weight.grad for name, weight in model.network.named_parameters()}))
        (losses, expected), (others, gradients_of_tasks) = found
        torch.testing.assert_close(others, losses)
        for name, weight in expected.items():
            torch.testing.assert_close(gradients_of_tasks[name], weight, msg=name)

    def test_weights_multiply_those_of_the_recipe(self, build, short):
        first, second = build(), build()
        constant = short.model_copy(update={"loss_weights": {"segmentation": 0.002, "depth": 0.02, "normals": 0.01}})
        fit(first.network, first.tasks, Batches(), constant, device="cpu")
        own = weighed(short.model_copy(update={"loss_weights": {"depth": 2.0}}), "test_steep")
        reports = []
        fit(second.network, second.tasks, Batches(), own, device="cpu", callbacks=[reports.append])
        assert_same_weights(second.network, first.network)
        assert reports[-1].task_weights == pytest.approx({"segmentation": 0.002, "depth": 0.02, "normals": 0.01})

    def test_fixed_weights_are_not_reported(self, build, short):
        model, reports = build(), []
        fit(model.network, model.tasks, Batches(), short, device="cpu", callbacks=[reports.append])
        assert all(report.task_weights == {} for report in reports)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", OURS)
    def test_a_broken_off_run_resumes_bit_for_bit(self, build, short, tmp_path, name):
        recipe = weighed(short, name, ema_decay=0.9, grad_clip=1.0)
        settings = {"device": "cpu", "parts": 2, "seed": 5}
        expected, model = build(), build()
        fit(expected.network, expected.tasks, Batches(), recipe, **settings)
        with pytest.raises(Stop):
            fit(model.network, model.tasks, Batches(), recipe, callbacks=[stop_at(4)], checkpoint_folder=tmp_path,
                **settings)  # fmt: skip
        model = build(seed=99)
        result = fit(model.network, model.tasks, Batches(), recipe, checkpoint_folder=tmp_path, resume=True, **settings)
        assert result.resumed_at == 3
        assert_same_weights(model.network, expected.network)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", OURS)
    def test_every_loss_falls(self, build, short, name):
        model, reports = build(), []
        recipe = weighed(short, name, steps=60, weight_decay=0.0, log_every=1)
        fit(model.network, model.tasks, Batches(repeat=True), recipe, device="cpu", callbacks=[reports.append])
        for task in TASKS:
            assert reports[-1].losses[task] < 0.8 * reports[0].losses[task], task

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["famo", "gradnorm", "pcgrad"])
    def test_bfloat16(self, build, short, name):
        model = build(("segmentation", "depth"))
        recipe = weighed(short, name, precision="bf16-mixed", steps=40, weight_decay=0.0, log_every=1)
        reports = []
        batches = Batches(double_width, repeat=True)
        fit(model.network, model.tasks, batches, recipe, device="cpu", callbacks=[reports.append])
        assert reports[-1].losses["segmentation"] < 0.8 * reports[0].losses["segmentation"]

    @pytest.mark.parametrize("name", ["uw_so", "log_sum", "imtl"])
    def test_batches_without_labels_of_a_task_change_its_weight_no_more_than_others_do(self, build, short, name):
        model, reports = build(("segmentation", "depth")), []

        def change(step, batch):
            if step >= 4:
                without_labels("depth", batch["depth"], slice(None))

        recipe = weighed(short, name, log_every=1)
        fit(model.network, model.tasks, Batches(change), recipe, device="cpu", callbacks=[reports.append])
        assert reports[-1].losses["depth"] == 0
        assert all(torch.isfinite(weight).all() for weight in model.network.parameters())
        if name != "imtl":
            before, after = (report.task_weights["depth"] for report in (reports[3], reports[-1]))
            assert 0.5 < after / before < 2

    def test_what_cannot_be_is_refused(self, build, short):
        model = build()

        def begin(recipe, **options):
            return TrainingStep(model.network, model.tasks, recipe, make_fabric("cpu"), Normalisation(), **options)

        with pytest.raises(ConfigError, match="unknown weighting 'dwaa'; did you mean 'dwa'"):
            begin(weighed(short, "dwaa"))
        with pytest.raises(ConfigError, match="the loss of depth weighs 0"):
            begin(weighed(short, "log_sum", loss_weights={"depth": 0}))
        with pytest.raises(ConfigError, match="train without --compile"):
            begin(weighed(short, "pcgrad"), compiled=True)


class TestSharing:
    def test_units_learn_at_their_rate_without_decay(self, build, short):
        model = build_model(
            small_architecture().with_parts(sharing="cross_stitch(rate=5)"), TASKS, TARGETS, input_size=SIZE
        )
        recipe = short.model_copy(update={"encoder_rate": 0.2, "weight_decay": 0.1})
        step = TrainingStep(model.network, model.tasks, recipe, make_fabric("cpu"), Normalisation())
        names = {parameter: name for name, parameter in model.network.named_parameters()}
        for group in step.optimizer.param_groups:
            for parameter in group["params"]:
                is_unit = names[parameter].startswith("encoder.units.")
                is_encoder = names[parameter].startswith("encoder.")
                assert group["rate"] == pytest.approx(1.0 if is_unit or not is_encoder else 0.2)
                assert group["weight_decay"] == (0 if is_unit else 0.1)

    @pytest.mark.parametrize("weighting", ["fixed", "test_ones"])
    @pytest.mark.parametrize("parts", [1, 2])
    def test_the_penalty_of_a_way_to_share_is_added(self, short, weighting, parts):
        own = small_architecture().with_parts(sharing="sluice(orthogonality=3)")
        with_penalty, without = (build_model(own, TASKS, TARGETS, input_size=SIZE) for _ in range(2))
        without.network.encoder._orthogonality = 0.0
        found = []
        for model in (with_penalty, without):
            step = TrainingStep(
                model.network, model.tasks, weighed(short, weighting), make_fabric("cpu"), Normalisation(), parts=parts
            )
            step(make_batch(), 0)
            found.append({name: weight.grad for name, weight in model.network.named_parameters()})
        expected = build_model(own, TASKS, TARGETS, input_size=SIZE).network
        expected.encoder.penalty(torch.zeros(2)).backward()
        for name, weight in expected.named_parameters():
            difference = found[0][name] - found[1][name]
            torch.testing.assert_close(difference, torch.zeros_like(difference) if weight.grad is None else weight.grad,
                                       rtol=1e-3, atol=1e-4)  # fmt: skip
