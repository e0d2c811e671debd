"""How far an output is from a teacher's, beside torch's own losses."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ednas.data.sample import TargetInfo
from ednas.plugins import load_plugin
from ednas.tasks import make_task

TARGETS = {
    "segmentation": TargetInfo("labels", 5),
    "depth": TargetInfo("disparity"),
    "normals": TargetInfo("normals"),
}
CHANNELS = {"segmentation": 5, "depth": 1, "normals": 3}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def outputs(task):
    return (3 * torch.randn(2, CHANNELS[task], 4, 6) for _ in range(2))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_segmentation_is_the_divergence_of_softened_classes(temperature):
    student, teacher = outputs("segmentation")
    pixels = [x.permute(0, 2, 3, 1).reshape(-1, 5) / temperature for x in (student, teacher)]
    expected = F.kl_div(pixels[0].log_softmax(1), pixels[1].softmax(1), reduction="batchmean") * temperature**2
    found = make_task("segmentation", TARGETS["segmentation"]).imitation(student, teacher, temperature)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_temperature_leaves_the_size_of_the_gradient():
    student, teacher = (x / 100 for x in outputs("segmentation"))
    task = make_task("segmentation", TARGETS["segmentation"])
    gradients = []
    for temperature in (1.0, 10.0):
        x = student.clone().requires_grad_()
        task.imitation(x, teacher, temperature).backward()
        gradients.append(x.grad)
    assert torch.allclose(*gradients, rtol=0.05, atol=0.02 * gradients[0].abs().max().item())


def test_depth_is_the_mean_absolute_difference():
    student, teacher = outputs("depth")
    found = make_task("depth", TARGETS["depth"]).imitation(student, teacher)
    assert found.item() == pytest.approx(F.l1_loss(student, teacher).item())


def test_normals_look_at_directions_alone():
    student, teacher = outputs("normals")
    expected = 1 - F.cosine_similarity(student, teacher, dim=1).mean()
    task = make_task("normals", TARGETS["normals"])
    for length in (1.0, 0.01):
        assert task.imitation(student, length * teacher).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_same_output_costs_nothing_and_another_pulls(name, kind):
    student, teacher = outputs(name)
    task = make_task(name, TARGETS[name])
    assert task.imitation(teacher.to(kind), teacher.to(kind)).item() == pytest.approx(0, abs=1e-5)
    student.requires_grad_()
    loss = task.imitation(student.to(kind), teacher.to(kind))
    assert loss.dtype == torch.float32
    loss.backward()
    with torch.no_grad():
        step = 1e-3 * student.grad / student.grad.norm()
        assert task.imitation(student - step, teacher) < task.imitation(student, teacher)


def test_a_task_of_ones_own_imitates_raw_outputs():
    load_plugin("examples/edge_task.py")
    task = make_task("edges", TARGETS["segmentation"])
    student, teacher = outputs("depth")
    assert task.imitation(student, teacher, 2.0).item() == pytest.approx(F.l1_loss(student, teacher).item())
