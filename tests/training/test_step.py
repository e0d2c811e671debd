"""One step of a training, and what samples without some of the labels have to do with it."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import LABELLED, Batches, make_batch

from ednas.data.sample import VOID
from ednas.training import fit
from ednas.training.config import Normalisation
from ednas.training.device import make_fabric
from ednas.training.step import TrainingStep

TASKS = ("segmentation", "depth", "normals")


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
