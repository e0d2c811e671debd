"""A network for each task."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import small_architecture

from ednas.mtl.sharing.single import start_weights
from ednas.nn import MultiTaskNetwork

HEADS = {"segmentation": 4, "depth": 1}


def test_every_task_has_a_network_of_its_own():
    both = MultiTaskNetwork(small_architecture().with_parts(sharing="single"), HEADS).eval()
    image = torch.rand(1, 3, 64, 64)
    for number, (task, channels) in enumerate(HEADS.items()):
        alone = MultiTaskNetwork(small_architecture(), {task: channels}).eval()
        alone.encoder.load_state_dict(both.encoder.encoders[number].state_dict())
        for part in ("neck", "detail", "heads"):
            getattr(alone, part).load_state_dict(getattr(both.decoders[number], part).state_dict())
        with torch.no_grad():
            assert torch.equal(both(image)[task], alone(image)[task])


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_what_tasks_read_in_the_beginning_adds_up_to_1(tasks):
    rows = torch.tensor(start_weights(tasks, 0.9))
    torch.testing.assert_close(rows.sum(1), torch.ones(tasks))
    assert (rows.diagonal() == 0.9).all()
