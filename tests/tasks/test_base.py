"""What a task is, the registry, and what all built-in tasks have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ednas.tasks
from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks import (
    DepthTask,
    NormalsTask,
    SegmentationTask,
    Task,
    make_task,
    make_tasks,
    register_task,
    task_channels,
    task_names,
    task_target,
)
from ednas.tasks.normals import ANGLE_BIN

LABELS = TargetInfo("labels", 19)
NAMED = TargetInfo("labels", 3, ("road", "car", "sky"))
METRES = TargetInfo("distance", unit="m")
DISPARITY = TargetInfo("disparity", unit="p/65535")
NORMALS = TargetInfo("normals")
TARGETS = {"segmentation": LABELS, "depth": METRES, "normals": NORMALS}


class Minimal(Task):
    name = "minimal"
    channels = 1

    def __init__(self, target_info, *, strength: float = 1.0):
        self.strength = strength

    def loss(self, prediction, target):
        return prediction.sum()

    def metrics(self, protocol="standard"):
        raise NotImplementedError

    def decode(self, prediction):
        return prediction

    def picture(self, decoded):
        raise NotImplementedError


class TestRegistry:
    def test_built_in_tasks(self):
        assert {"segmentation", "depth", "normals"} <= set(task_names())
        tasks = make_tasks(["normals", "segmentation", "depth"], TARGETS)
        assert [(name, task.name, task.target, task.channels) for name, task in tasks.items()] == [
            ("normals", "normals", "normals", 3),
            ("segmentation", "segmentation", "segmentation", 19),
            ("depth", "depth", "depth", 1),
        ]

    def test_unknown_task_names_the_nearest(self):
        with pytest.raises(ConfigError, match="did you mean 'segmentation'"):
            make_task("segmentatoin", LABELS)
        with pytest.raises(ConfigError, match=r"known: .*depth"):
            task_target("qqqq")

    @pytest.mark.parametrize(
        ("name", "info"),
        [("segmentation", METRES), ("depth", LABELS), ("depth", NORMALS), ("normals", DISPARITY)],
    )
    def test_target_of_the_wrong_kind(self, name, info):
        with pytest.raises(ConfigError, match=f"task '{name}' needs a target of kind .* is '{info.kind}'"):
            make_task(name, info)

    def test_several_tasks(self):
        tasks = make_tasks(["depth"], TARGETS, {"depth": {"loss": "jared", "rel_weight": 0.5}})
        assert tasks["depth"].loss(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)).item() == pytest.approx(1.25)
        for names, targets, options, words in (
            (["depth", "depth"], TARGETS, None, "twice"),
            (["depth"], {"segmentation": LABELS}, None, "the dataset has segmentation"),
            (["depth"], TARGETS, {"normals": {}}, "options for task 'normals'"),
        ):
            with pytest.raises(ConfigError, match=words):
                make_tasks(names, targets, options)

    @pytest.mark.usefixtures("clean_registry")
    def test_own_task(self):
        register_task("minimal", Minimal)
        assert "minimal" in task_names()
        assert task_target("minimal") == "minimal"
        assert make_task("minimal", METRES, strength=2.0).strength == 2.0
        with pytest.raises(ConfigError, match="exists already"):
            register_task("minimal", Minimal)
        register_task("minimal", Minimal, target="depth", replace=True)
        assert task_target("minimal") == "depth"

    @pytest.mark.usefixtures("clean_registry")
    def test_built_in_names_are_taken_until_replaced(self):
        for name, factory in (("depth", Minimal), ("", Minimal)):
            with pytest.raises(ConfigError):
                register_task(name, factory)
        register_task("depth", Minimal, replace=True)
        assert isinstance(make_task("depth", METRES), Minimal)

    @pytest.mark.usefixtures("clean_registry")
    def test_factory_that_makes_no_task(self):
        class Nameless(Minimal):
            channels = property()

        register_task("a", lambda info: object())
        register_task("b", Nameless)
        register_task("c", lambda: None)
        with pytest.raises(ConfigError, match="object is no subclass"):
            make_task("a", METRES)
        with pytest.raises(ConfigError, match="Nameless sets no 'channels'"):
            make_task("b", METRES)
        with pytest.raises(ConfigError, match="task 'c': too many positional"):
            make_task("c", METRES)

    def test_target_is_the_name_unless_said_or_inherited(self):
        class Other(Minimal):
            name = "other"

        class Borrowing(Minimal):
            name = "borrowing"
            target = "depth"

        assert (Minimal.target, Other.target, Borrowing.target) == ("minimal", "minimal", "depth")

    def test_a_decoding_of_ones_own_is_raw_unless_it_says_what_it_does(self):
        class Likeness(SegmentationTask):
            pass

        class Strange(DepthTask):
            def decode(self, prediction):
                return prediction.exp()

        class Said(Minimal):
            decoding = "argmax"

            def decode(self, prediction):
                return prediction.argmax(1)

        kinds = [task.decoding for task in (SegmentationTask, DepthTask, NormalsTask, Likeness, Minimal, Strange, Said)]
        assert kinds == ["argmax", "depth", "normals", "argmax", "raw", "raw", "argmax"]

    def test_channels_that_do_not_depend_on_the_data(self):
        assert [task_channels(name) for name in ("segmentation", "depth", "normals")] == [None, 1, 3]
        with pytest.raises(ConfigError, match="did you mean 'depth'"):
            task_channels("dpeth")

    def test_public_names_exist(self):
        assert all(getattr(ednas.tasks, name) is not None for name in ednas.tasks.__all__)
        with pytest.raises(AttributeError, match="no attribute 'DeptTask'"):
            _ = ednas.tasks.DeptTask


@pytest.mark.parametrize("name", ["segmentation", "depth", "normals"])
class TestEveryTask:
    def example(self, name):
        task = make_task(name, TARGETS[name])
        generator = torch.Generator().manual_seed(0)
        prediction = torch.randn(2, task.channels, 8, 6, generator=generator, requires_grad=True)
        target = {
            "segmentation": torch.randint(0, 19, (2, 8, 6), generator=generator),
            "depth": torch.rand(2, 1, 8, 6, generator=generator) + 0.5,
            "normals": F.normalize(torch.randn(2, 3, 8, 6, generator=generator), dim=1),
        }[name]
        return task, prediction, target

    def test_learning_lowers_the_loss_and_betters_every_metric(self, name):
        task, prediction, target = self.example(name)
        before = task.metrics()
        before.update(prediction, target)
        first = task.loss(prediction, target)
        optimiser = torch.optim.Adam([prediction], lr=0.1)
        for _ in range(100):
            optimiser.zero_grad()
            loss = task.loss(prediction, target)
            loss.backward()
            optimiser.step()
        after = task.metrics()
        after.update(prediction, target)
        assert loss < first / 4
        for metric, higher in after.higher_is_better.items():
            assert (after.compute()[metric] > before.compute()[metric]) == higher

    def test_right_prediction_is_perfect_under_both_protocols(self, name):
        task, _, target = self.example(name)
        prediction = F.one_hot(target, 19).movedim(-1, 1).float() if name == "segmentation" else target
        for protocol in ("standard", "adashare"):
            metrics = task.metrics(protocol)
            metrics.update(prediction, target)
            for metric, value in metrics.compute().items():
                resolution = ANGLE_BIN if metric == "median_angle" else 1e-3
                assert value == pytest.approx(100 if metrics.higher_is_better[metric] else 0, abs=resolution)

    def test_pictures_of_prediction_and_label(self, name):
        task, prediction, target = self.example(name)
        for decoded in (task.decode(prediction), task.decode_target(target)):
            picture = task.picture(decoded[0].detach().numpy())
            assert picture.shape == (8, 6, 3)
            assert picture.dtype == np.uint8

    def test_metrics_start_fresh(self, name):
        task, prediction, target = self.example(name)
        task.metrics().update(prediction, target)
        assert task.metrics().sums == {}
