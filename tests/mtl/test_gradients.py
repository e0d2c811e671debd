"""Gradients of single tasks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ednas.mtl.gradients import TaskGradients


class Forked(nn.Module):
    """A trunk of a convolution, two heads, and a weight that nothing uses."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.heads = nn.ModuleList(nn.Linear(4, 1) for _ in range(2))
        self.unused = nn.Parameter(torch.ones(1))

    def losses(self, seed=0):
        image = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
        features = self.trunk(image).mean((2, 3))
        return [head(features).square().mean() for head in self.heads]


def trunk_gradients(network, task):
    return torch.autograd.grad(network.losses()[task], [*network.trunk.parameters()])


def backward(loss, retain_graph):
    loss.backward(retain_graph=retain_graph)


def test_with_weights_of_one_they_add_up_to_the_whole_gradient():
    network, reference = Forked(), Forked()
    gradients = TaskGradients(network, 2)
    for seed in (0, 1):
        gradients.add(network.losses(seed), backward)
        sum(reference.losses(seed)).backward()
    gradients.combine(torch.ones(2))
    for found, expected in zip(network.parameters(), reference.parameters(), strict=True):
        assert (found.grad is None) == (expected.grad is None)
        if expected.grad is not None:
            torch.testing.assert_close(found.grad, expected.grad)
            assert found.grad.stride() == found.stride()


def test_the_gramian_is_that_of_the_shared_part():
    network = Forked()
    gradients = TaskGradients(network, 2)
    gradients.add(network.losses(), backward)
    own = [torch.cat([part.flatten() for part in trunk_gradients(network, task)]) for task in range(2)]
    matrix = torch.stack(own).double()
    torch.testing.assert_close(gradients.gramian(), matrix @ matrix.T, rtol=1e-5, atol=1e-9)


def test_shared_parts_are_weighed_and_heads_are_not():
    network = Forked()
    gradients = TaskGradients(network, 2)
    gradients.add(network.losses(), backward)
    gradients.combine(torch.tensor([2.0, -1.0]))
    first, second = (trunk_gradients(network, task) for task in range(2))
    for part, one, other in zip(network.trunk.parameters(), first, second, strict=True):
        torch.testing.assert_close(part.grad, 2 * one - other)
    for task, head in enumerate(network.heads):
        torch.testing.assert_close(head.weight.grad, torch.autograd.grad(network.losses()[task], head.weight)[0])


@pytest.mark.parametrize("tasks", [2, 3])
def test_without_anything_shared_the_gramian_is_0(tasks):
    network = nn.ModuleList(nn.Linear(2, 1) for _ in range(tasks))
    gradients = TaskGradients(network, tasks)
    gradients.add([part(torch.ones(1, 2)).sum() for part in network], backward)
    assert (gradients.gramian() == torch.zeros(tasks, tasks)).all()
    gradients.combine(torch.zeros(tasks))
    assert all(part.weight.grad.any() for part in network)
