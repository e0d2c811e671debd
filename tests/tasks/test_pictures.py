"""What several tasks say about one image, painted together."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.small_training import TARGETS

from ednas.data.colors import NO_DEPTH, SKY, color_depth
from ednas.data.sample import TargetInfo
from ednas.tasks import make_task, make_tasks
from ednas.tasks.pictures import paint

CLASSES = np.array([[0, 1, 3, 3]])
DEPTH = np.array([[[2.0, 0.0, 90.0, 0.0]]], np.float32)


@pytest.mark.parametrize("order", [("segmentation", "depth"), ("depth", "segmentation")])
def test_depth_is_the_sky_where_the_classes_say_so_and_the_scale_leaves_it_out(order):
    decoded = {"segmentation": CLASSES, "depth": DEPTH}
    pictures, legends = paint(make_tasks(order, TARGETS), {task: decoded[task] for task in order}, {})
    assert list(pictures) == list(order)
    assert pictures["depth"][0, 1:].tolist() == [list(NO_DEPTH), list(SKY), list(SKY)]
    assert legends["depth"].scale == (2, 2)
    assert DEPTH[0, 0, 2] == 90


def test_without_classes_a_depth_is_what_it_is():
    pictures, legends = paint(make_tasks(["depth"], TARGETS), {"depth": DEPTH}, {"depth": (1.0, 50.0)})
    assert np.array_equal(pictures["depth"], color_depth(DEPTH[0], value_range=(1, 50)))
    assert legends["depth"].scale == (1, 50)


def test_a_task_of_ones_own_may_have_no_legend(monkeypatch):
    task = make_task("segmentation", TargetInfo("labels", 4))
    monkeypatch.delattr(type(task), "legend")
    assert paint({"segmentation": task}, {"segmentation": CLASSES}, {})[1]["segmentation"].colors == ()
