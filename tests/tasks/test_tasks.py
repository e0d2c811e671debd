from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ednas.tasks
from ednas.data.colors import NO_DEPTH, color_scale, palette
from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks import Task, load_plugin, make_task, make_tasks, register_task, task_names, task_target
from ednas.tasks import base as registry
from ednas.tasks.metrics import ANGLE_BIN

LABELS = TargetInfo("labels", 19)
NAMED = TargetInfo("labels", 3, ("road", "car", "sky"))
METRES = TargetInfo("distance", unit="m")
DISPARITY = TargetInfo("disparity", unit="p/65535")
NORMALS = TargetInfo("normals")
TARGETS = {"segmentation": LABELS, "depth": METRES, "normals": NORMALS}


@pytest.fixture
def clean_registry(monkeypatch):
    """Undo what a test registers and imports."""
    task_target("segmentation"), task_target("depth"), task_target("normals")
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    before = set(sys.modules)
    yield
    for name in {name for name in sys.modules if "plugin" in name} - before:
        del sys.modules[name]


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

    @pytest.mark.parametrize("num_classes", [0, 256])
    def test_number_of_classes_out_of_range(self, num_classes):
        with pytest.raises(ConfigError, match="1 to 255 classes"):
            make_task("segmentation", TargetInfo("labels", num_classes))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"los": "l1"}, "no option 'los'; did you mean 'loss'"),
            ({"loss": "jarde"}, "unknown loss 'jarde'; did you mean 'jared'"),
            ({"rel_weight": 0.1}, "rel_weight belongs to loss 'jared'"),
            ({"loss": "jared", "rel_weight": -0.1}, "rel_weight = -0.1"),
            (
                {"loss": "jared", "variance_focus": 0.5},
                "variance_focus belongs to loss 'silog', but the loss is 'jared'",
            ),
        ],
    )
    def test_wrong_options_of_depth(self, options, words):
        with pytest.raises(ConfigError, match=words):
            make_task("depth", METRES, **options)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"loss": "lovas"}, "unknown loss 'lovas'; did you mean 'lovasz'"),
            ({"gamma": 2}, "gamma belongs to loss 'focal', but the loss is 'cross_entropy'"),
            ({"loss": "focal", "threshold": 0.5}, "threshold belongs to loss 'ohem', but the loss is 'focal'"),
            (
                {"loss": {"dice": 1, "lovasz": 1}, "class_weights": [1, 1, 1]},
                "class_weights belongs to loss 'cross_entropy' or 'focal' or 'ohem', but the loss is 'dice . lovasz'",
            ),
            ({"class_weights": [1, 2]}, "class_weights: 2 weights for 3 classes"),
            ({"class_weights": [1, 2, -3]}, r"class_weights\[2\] = -3"),
            ({"class_weights": {"cra": 2}}, "class_weights: unknown class 'cra'; did you mean 'car'"),
            ({"class_weights": {"car": math.nan}}, r"class_weights\[1\] = nan"),
            ({"class_weights": "frequency"}, "class_weights = 'frequency': .* is for the configuration of a training"),
            ({"class_weights": 3}, "class_weights = 3: give a number per class"),
            ({"label_smoothing": 1}, "label_smoothing = 1"),
        ],
    )
    def test_wrong_options_of_segmentation(self, options, words):
        with pytest.raises(ConfigError, match=words) as caught:
            make_task("segmentation", NAMED, **options)
        assert "\n" not in str(caught.value)

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

    def test_public_names_exist(self):
        assert all(getattr(ednas.tasks, name) is not None for name in ednas.tasks.__all__)
        with pytest.raises(AttributeError, match="no attribute 'DeptTask'"):
            _ = ednas.tasks.DeptTask


@pytest.mark.usefixtures("clean_registry")
class TestPlugins:
    def test_file(self, tmp_path):
        file = tmp_path / "my_plugin.py"
        file.write_text("from ednas.tasks import register_task\nregister_task('mine', lambda info: None)\nX = 1\n")
        module = load_plugin(file)
        assert module.X == 1
        assert "mine" in task_names()
        assert load_plugin(str(file)) is module, "loading twice must not register twice"

    def test_what_a_file_defines_can_be_pickled(self, tmp_path):
        file = tmp_path / "plugin_data.py"
        file.write_text(
            "from __future__ import annotations\nfrom dataclasses import dataclass\n"
            "@dataclass\nclass Point:\n    x: int = 3\n"
        )
        assert pickle.loads(pickle.dumps(load_plugin(file).Point())).x == 3

    def test_module(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(str(tmp_path))
        package = tmp_path / "plugin_package"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "tasks.py").write_text("X = 2\n")
        assert load_plugin("plugin_package.tasks").X == 2
        with pytest.raises(ConfigError, match=r"no module 'plugin_package\.task' can be imported"):
            load_plugin("plugin_package.task")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("x = 1\nraise ValueError('bad\\nvalue')\n", "line 2: ValueError: bad value"),
            ("x = 1\ny = (\n", "line 2: "),
            (
                "import not_installed_anywhere\n",
                "line 1: ModuleNotFoundError: No module named 'not_installed_anywhere'",
            ),
            ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
            ("from ednas.tasks import *\nregister_task('depth', int)\n", "line 2: ConfigError: a task 'depth' exists"),
        ],
    )
    def test_code_that_fails(self, tmp_path, monkeypatch, code, words):
        monkeypatch.syspath_prepend(str(tmp_path))
        file = tmp_path / "plugin_broken.py"
        file.write_text(code)
        with pytest.raises(ConfigError) as caught:
            load_plugin(file)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(ConfigError, match="plugin 'plugin_broken' cannot be imported"):
            load_plugin("plugin_broken")

    @pytest.mark.parametrize("name", ["none.py", "folder/none", "no_such_module_here", "no_such.module"])
    def test_missing(self, name):
        with pytest.raises(ConfigError, match=r"no such \.py file|can be imported"):
            load_plugin(name)


class TestSegmentationTask:
    def test_loss_takes_smaller_outputs(self):
        task = make_task("segmentation", TargetInfo("labels", 3))
        labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
        prediction = torch.randn(1, 3, 1, 2)
        expected = F.cross_entropy(prediction, torch.tensor([[[0, 1]]]))
        assert task.loss(prediction, labels).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_class_weights_by_name_or_in_order(self):
        prediction, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
        expected = F.cross_entropy(prediction, labels, torch.tensor([1.0, 5.0, 0.5])).item()
        for weights in ([1, 5, 0.5], {"sky": 0.5, "car": 5}):
            task = make_task("segmentation", NAMED, class_weights=weights)
            assert task.loss(prediction, labels).item() == pytest.approx(expected)

    def test_region_loss_beside_cross_entropy(self):
        prediction, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
        alone, other, both = (
            make_task("segmentation", NAMED, loss=loss).loss(prediction, labels).item()
            for loss in ("cross_entropy", "lovasz", {"cross_entropy": 1, "lovasz": 0.5})
        )
        assert both == pytest.approx(alone + other / 2)

    def test_decode(self):
        task = make_task("segmentation", TargetInfo("labels", 3))
        found = task.decode(torch.tensor([0.1, 0.9, 0.3]).reshape(1, 3, 1, 1))
        assert found.dtype == torch.int64
        assert found.tolist() == [[[1]]]

    def test_void_option_reaches_the_metrics(self):
        task = make_task("segmentation", TargetInfo("labels", 2), void_counts=True)
        metrics = task.metrics("adashare")
        metrics.update(torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]]), torch.tensor([[[0, 255]]]))
        assert metrics.compute()["pixel_acc"] == 50

    def test_class_names_reach_the_metrics(self):
        metrics = make_task("segmentation", TargetInfo("labels", 2, ("road", "sky"))).metrics()
        metrics.update(torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[0]]]))
        assert list(metrics.classes()) == ["road", "sky"]

    def test_picture(self):
        picture = make_task("segmentation", LABELS).picture(np.array([[0, 13], [255, 18]], dtype=np.uint8))
        assert picture.dtype == np.uint8
        assert picture.tolist() == [[[128, 64, 128], [0, 0, 142]], [[0, 0, 0], [119, 11, 32]]]


class TestDepthTask:
    def test_decode_is_not_negative(self):
        task = make_task("depth", METRES)
        assert task.decode(torch.tensor([-1.0, 2.0]).reshape(1, 1, 1, 2)).flatten().tolist() == [0, 2]

    def test_smallest_valid_label_reaches_loss_and_metrics(self):
        task = make_task("depth", METRES, min_valid=1.0)
        prediction, label = torch.tensor([[[[9.0, 3.0]]]]), torch.tensor([[[[0.5, 2.0]]]])
        assert task.loss(prediction, label).item() == pytest.approx(1.0)
        metrics = task.metrics()
        metrics.update(prediction, label)
        assert metrics.compute()["abs_err"] == pytest.approx(1.0)

    @pytest.mark.parametrize(("info", "near"), [(METRES, 1.0), (DISPARITY, 5.0)])
    def test_picture_paints_near_bright_and_no_depth_grey(self, info, near):
        far = 6.0 - near
        picture = make_task("depth", info).picture(np.array([[[near, far, 0.0, math.nan]]], dtype=np.float32))
        assert picture.shape == (1, 4, 3)
        assert picture[0, 0].sum() > picture[0, 1].sum() > 0
        assert (picture[0, 2:] == NO_DEPTH).all()

    @pytest.mark.parametrize("info", [METRES, DISPARITY])
    def test_the_legend_has_the_scale_of_the_picture(self, info):
        task = make_task("depth", info)
        depth = np.array([[[1.0, 3.0, 5.0]]], dtype=np.float32)
        legend = task.legend(depth)
        near, far = legend.scale
        assert sorted((near, far)) == pytest.approx((1.08, 4.92))
        assert legend.unit == info.unit
        ends = task.picture(np.array([[near, far]]), (min(near, far), max(near, far)))
        assert (ends == color_scale(np.array([[1.0, 0.0]]))).all()
        assert task.legend(depth, (0.0, 10.0)).scale in ((0.0, 10.0), (10.0, 0.0))

    def test_picture_with_a_given_range(self):
        task = make_task("depth", METRES)
        wide = task.picture(np.array([[2.0, 4.0]]), value_range=(0.0, 10.0))
        assert (wide[0, 0] == task.picture(np.array([[2.0]]), value_range=(0.0, 10.0))[0, 0]).all()
        assert (wide != task.picture(np.array([[2.0, 4.0]]))).any()

    @pytest.mark.parametrize("value", [0.0, 3.0, math.nan])
    def test_picture_of_a_constant(self, value):
        picture = make_task("depth", METRES).picture(np.full((1, 2, 2), value, dtype=np.float32))
        assert (picture == picture[0, 0]).all()

    @pytest.mark.parametrize(("info", "units"), [(METRES, {"abs_err": "m", "rmse": "m"}), (DISPARITY, {})])
    def test_errors_are_in_the_labels_unit_which_a_disparity_has_not(self, info, units):
        assert make_task("depth", info).metrics().units == units


class TestNormalsTask:
    def test_decode_gives_unit_vectors(self):
        found = make_task("normals", NORMALS).decode(torch.randn(2, 3, 4, 5) * 7)
        assert found.norm(dim=1) == pytest.approx(torch.ones(2, 4, 5), abs=1e-5)

    def test_picture_of_predictions_and_labels(self):
        task = make_task("normals", NORMALS)
        label = np.zeros((2, 4, 3), dtype=np.float32)
        label[0, 0] = (0, 0, -1)
        label[1, 3] = (1, 0, 0)
        picture = task.picture(label)
        assert picture[0, 0].tolist() == [128, 128, 0]
        assert picture[1, 3].tolist() == [255, 128, 128]
        assert picture.sum() == 256 + 511
        assert (task.picture(np.moveaxis(label, -1, 0)) == picture).all()


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


class TestPictures:
    @pytest.mark.parametrize("num_classes", [1, 7, 13, 19, 40, 255])
    def test_colours_are_distinct_and_void_alone_is_black(self, num_classes):
        colours = palette(num_classes)
        assert len({tuple(colour) for colour in colours[:num_classes].tolist()}) == num_classes
        assert (colours[:num_classes].max(axis=1) > 0).all()
        assert (colours[num_classes:] == 0).all()

    def test_few_classes_are_far_apart(self):
        colours = palette(40)[:40].astype(int)
        distance = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(40, dtype=int)
        assert distance.min() > 30
