"""Networks imitate a teacher: what is minimised, what fits, and what a run remembers of it."""

import dataclasses
from itertools import islice

import pytest
import torch
from helpers.small_training import (
    SIZE,
    TARGETS,
    Batches,
    Stop,
    double_width,
    make_batch,
    small_architecture,
    stop_at,
    with_recipe,
)
from torch.nn import functional as F

from ednas.data import TargetInfo
from ednas.exceptions import CheckpointError, ConfigError
from ednas.training import build_model, fit, load_checkpoint, save_checkpoint, train
from ednas.training.config import Normalisation
from ednas.training.device import make_fabric
from ednas.training.step import TrainingStep
from ednas.training.teacher import load_teacher

TASKS = ("segmentation", "depth", "normals")


def no_labels(step, batch):
    batch["segmentation"][:] = 255
    batch["depth"][:] = 0
    batch["normals"][:] = 0


def model_of(tasks=TASKS, targets=TARGETS, **options):
    return build_model(small_architecture(), tasks, targets, input_size=SIZE, **options)


def step_of(model, recipe, teacher):
    return TrainingStep(model.network, model.tasks, recipe, make_fabric("cpu"), model.normalisation, teacher)


@pytest.fixture
def checkpoint(tmp_path, build):
    """A network of other weights and another normalisation, with statistics of its own."""
    teacher = build(seed=5, normalisation=Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)))
    for name, buffer in teacher.network.named_buffers():
        if name.endswith("running_mean"):
            torch.nn.init.normal_(buffer, std=0.1, generator=torch.Generator().manual_seed(0))
    return save_checkpoint(tmp_path / "teacher", teacher)


@pytest.fixture
def plugin(tmp_path):
    """Writes a file with a function ``make``, and returns what names it."""

    def write(code, name="plugin_teacher"):
        file = tmp_path / f"{name}.py"
        file.write_text(f"import torch\nfrom torch import nn\n{code}\n")
        return f"{file}:make"

    return write


class TestLoss:
    def test_labels_and_teacher_have_their_shares(self, build, short, checkpoint):
        batch = make_batch(7)
        recipe = short.model_copy(update={"teacher_weight": 0.25, "temperature": 2.0})
        found = step_of(build(), recipe, load_teacher(str(checkpoint), build()))(batch, 0)
        labels = step_of(build(), recipe, None)(batch, 0)
        with torch.no_grad():
            student, teacher = build(), load_checkpoint(checkpoint)
            ours, theirs = student.forward(batch["image"]), teacher.forward(batch["image"])
        soft = [x["segmentation"].flatten(2).mT.reshape(-1, 4) / 2 for x in (ours, theirs)]
        imitation = torch.stack(
            [
                4 * F.kl_div(soft[0].log_softmax(1), soft[1].softmax(1), reduction="batchmean"),
                F.l1_loss(ours["depth"], theirs["depth"]),
                1 - F.cosine_similarity(ours["normals"], theirs["normals"], dim=1).mean(),
            ]
        )
        assert torch.allclose(found, 0.75 * labels + 0.25 * imitation, rtol=1e-4)

    def test_tasks_that_the_teacher_lacks_learn_from_labels_alone(self, build, short, tmp_path):
        save_checkpoint(tmp_path / "depth", build(("depth",), seed=5))
        teacher = load_teacher(str(tmp_path / "depth"), build())
        assert teacher.tasks == ("depth",)
        found, labels = (step_of(build(), short, each)(make_batch(), 0) for each in (teacher, None))
        assert torch.equal(found[[0, 2]], labels[[0, 2]])
        assert found[1] != labels[1]

    @pytest.mark.slow
    def test_a_student_approaches_its_teacher_without_any_label(self, build, short, checkpoint):
        recipe = short.model_copy(update={"steps": 80, "teacher_weight": 1.0, "weight_decay": 0.0})
        model = build()
        teacher = load_teacher(str(checkpoint), model)
        batches = Batches(no_labels, repeat=True)
        first = fit(model.network, model.tasks, batches, recipe.model_copy(update={"steps": 1}), teacher=teacher)
        last = fit(model.network, model.tasks, batches, recipe, teacher=teacher)
        for task, loss in last.losses.items():
            assert loss < 0.5 * first.losses[task], task

    @pytest.mark.slow
    def test_it_works_in_half_precision_with_an_average(self, build, short, checkpoint):
        recipe = short.model_copy(update={"precision": "bf16-mixed", "ema_decay": 0.5})
        model = build()
        teacher = load_teacher(str(checkpoint), model)
        assert fit(model.network, model.tasks, Batches(double_width), recipe, teacher=teacher, device="cpu").steps == 8

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: teachers on a GPU are not tested here")
    def test_it_works_on_cuda(self, build, short, checkpoint):
        model = build().to("cuda")
        teacher = load_teacher(str(checkpoint), model)
        assert fit(model.network, model.tasks, Batches(), short, teacher=teacher, device="cuda").steps == 8


class TestCheckpoints:
    def test_the_teacher_does_not_learn(self, build, short, checkpoint):
        model = build()
        teacher = load_teacher(str(checkpoint), model)
        image = make_batch()["image"]
        before = teacher(image)
        assert set(before) == set(TASKS)
        assert not any(output.requires_grad for output in before.values())
        fit(model.network, model.tasks, Batches(), short, teacher=teacher)
        for task, output in teacher(image).items():
            assert torch.equal(output, before[task])

    def test_its_own_input_size_does_not_matter(self, build, short, tmp_path):
        larger = build_model(small_architecture(), TASKS, TARGETS, input_size=(64, 128))
        save_checkpoint(tmp_path / "teacher", larger)
        model = build()
        teacher = load_teacher(str(tmp_path / "teacher"), model)
        assert fit(model.network, model.tasks, Batches(), short, teacher=teacher).steps == 8

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"segmentation": TargetInfo("labels", 5)}, "another segmentation .*: num_classes 5, not 4"),
            ({"segmentation": TargetInfo("labels", 4, ("road", "tree", "car", "sky"))}, "class 1 is 'tree', not 'car'"),
            ({"segmentation": TargetInfo("labels", 4)}, "only one of them names its classes"),
            ({"depth": TargetInfo("disparity", unit="m")}, "another depth .*: kind 'disparity', not 'distance'"),
            ({"depth": TargetInfo("distance", unit="mm")}, "unit 'mm', not 'm'"),
        ],
    )
    def test_what_predicts_something_else_is_refused(self, build, tmp_path, changes, said):
        save_checkpoint(tmp_path / "teacher", model_of(targets={**TARGETS, **changes}))
        with pytest.raises(ConfigError, match=said):
            load_teacher(str(tmp_path / "teacher"), build())

    def test_a_difference_in_a_task_that_is_not_trained_does_not_matter(self, build, tmp_path):
        save_checkpoint(tmp_path / "teacher", model_of(targets={**TARGETS, "depth": TargetInfo("disparity")}))
        assert load_teacher(str(tmp_path / "teacher"), build(("segmentation",))).tasks == ("segmentation",)

    def test_no_task_in_common(self, build, tmp_path):
        save_checkpoint(tmp_path / "teacher", build(("depth",)))
        with pytest.raises(ConfigError, match="predicts depth, which has no task in common .*: normals"):
            load_teacher(str(tmp_path / "teacher"), build(("normals",)))

    def test_there_is_none(self, build, tmp_path):
        with pytest.raises(ConfigError, match="no such folder"):
            load_teacher(str(tmp_path / "nowhere"), build())
        with pytest.raises(CheckpointError, match="no checkpoint"):
            load_teacher(str(tmp_path), build())


class TestPlugins:
    def test_a_function_at_stride_4(self, build, short, plugin):
        source = plugin("def make():\n    return lambda image: {'depth': image[:, :1, ::4, ::4] * 3}")
        model = build()
        teacher = load_teacher(source, model)
        assert teacher.tasks == ("depth",)
        assert fit(model.network, model.tasks, Batches(), short, teacher=teacher).steps == 8

    def test_a_module_is_put_into_evaluation_mode(self, build, plugin):
        source = plugin(
            "class Net(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.conv = nn.Conv2d(3, 1, 1)\n"
            "        nn.init.ones_(self.conv.weight)\n"
            "    def forward(self, image):\n"
            "        assert not self.training\n"
            "        return {'depth': self.conv(image)}\n"
            "make = Net\n"
        )
        output = load_teacher(source, build())(make_batch()["image"])["depth"]
        assert not output.requires_grad

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("def mak(): ...", "no function 'make'"),
            ("def make(image): ...", "must take no argument"),
            ("def make(): return lambda image: image", "returns Tensor, expected raw outputs by task"),
            ("def make(): return lambda image: {'edges': image}", "predicts edges, which has no task in common"),
            ("def make(): return lambda image: {'depth': image}", "has 3 channels for depth, the network 1"),
            ("def make(): return lambda image: {'depth': image[:, 0]}", r"depth has the shape \(1, 32, 64\)"),
            ("1 / 0", "cannot be imported: line 3: ZeroDivisionError"),
        ],
    )
    def test_what_is_wrong_is_said(self, build, plugin, code, said):
        with pytest.raises(ConfigError, match=said):
            load_teacher(plugin(code), build())

    def test_there_is_none(self, build):
        with pytest.raises(ConfigError, match="no module 'nowhere' can be imported"):
            load_teacher("nowhere.models:make", build())


class TestDigest:
    def test_it_is_that_of_the_weights(self, build, tmp_path, checkpoint):
        same = save_checkpoint(tmp_path / "copy", load_checkpoint(checkpoint))
        other = load_checkpoint(checkpoint)
        with torch.no_grad():
            next(islice(other.network.parameters(), 3, None)).view(-1)[0] += 1
        save_checkpoint(tmp_path / "other", other)
        digests = [load_teacher(str(folder), build()).digest for folder in (checkpoint, same, tmp_path / "other")]
        assert digests[0] == digests[1] != digests[2]

    def test_without_weights_it_is_that_of_the_file(self, build, plugin):
        codes = ("image[:, :1]", "image[:, 1:2]")
        digests = [
            load_teacher(plugin(f"def make(): return lambda image: {{'depth': {code}}}", name), build()).digest
            for name, code in zip("abc", (codes[0], codes[0], codes[1]), strict=True)
        ]
        assert digests[0] == digests[1] != digests[2]

    @pytest.mark.slow
    def test_a_resumed_run_has_the_same_teacher(self, build, short, tmp_path, checkpoint):
        whole, model = build(), build()
        teacher = load_teacher(str(checkpoint), model)
        fit(whole.network, whole.tasks, Batches(), short, teacher=teacher)
        with pytest.raises(Stop):
            fit(
                model.network,
                model.tasks,
                Batches(),
                short,
                teacher=teacher,
                callbacks=[stop_at(4)],
                checkpoint_folder=tmp_path,
            )
        for other in (None, dataclasses.replace(teacher, digest="another")):
            with pytest.raises(CheckpointError, match="another run .teacher was"):
                fit(
                    model.network,
                    model.tasks,
                    Batches(),
                    short,
                    teacher=other,
                    checkpoint_folder=tmp_path,
                    resume=True,
                )
        fit(model.network, model.tasks, Batches(), short, teacher=teacher, checkpoint_folder=tmp_path, resume=True)
        for name, tensor in model.network.state_dict().items():
            assert torch.equal(tensor, whole.network.state_dict()[name]), name


class TestRun:
    @pytest.mark.slow
    def test_a_run_has_a_teacher_whose_place_is_absolute(self, config, tmp_path, checkpoint, monkeypatch):
        monkeypatch.chdir(tmp_path)
        plain = train(config, tmp_path / "plain", logs=False)
        taught = with_recipe(config, teacher="teacher", teacher_weight=1.0)
        result = train(taught, tmp_path / "run", logs=False)
        assert taught.standalone().recipe.teacher == str(checkpoint)
        assert result.metrics["tasks"] != plain.metrics["tasks"]
        with pytest.raises(ConfigError, match="recipe.teacher: .* and None"):
            train(config, tmp_path / "run", resume=True)

    def test_a_teacher_in_a_file_is_absolute_too(self, config, tmp_path, plugin, monkeypatch):
        source = plugin("def make(): return lambda image: {'depth': image[:, :1]}")
        monkeypatch.chdir(tmp_path)
        taught = with_recipe(config, teacher="plugin_teacher.py:make")
        assert taught.standalone().recipe.teacher == source
        assert train(taught, tmp_path / "run", logs=False).metrics["steps"] == 6

    def test_a_name_of_a_module_stays(self, config):
        assert with_recipe(config, teacher="models.large:make").standalone().recipe.teacher == "models.large:make"
