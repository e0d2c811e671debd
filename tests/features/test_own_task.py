"""A task from outside the package, saliency, is one like any other in every command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.cli import Run
from helpers.small_training import SIZE, small_architecture, write_dataset
from PIL import Image

from ednas.tasks import base, losses

PLUGIN = """
import torch
from torch.nn import functional as F
from ednas.data.legend import Legend
from ednas.exceptions import DataError
from ednas.tasks import Task, TaskMetrics, register_loss, register_task
from ednas.tasks.base import check_kind
from ednas.tasks.losses import check_number, make_loss, weighted_mean


class BinaryCrossEntropy(torch.nn.Module):
    def __init__(self, positive_weight=1.0):
        super().__init__()
        check_number("positive_weight", positive_weight, lambda number: number > 0, "above 0")
        self.positive_weight = positive_weight

    def forward(self, prediction, target):
        valid, wanted = target != 255, (target == 1).float()
        each = F.binary_cross_entropy_with_logits(prediction[:, 0].float(), wanted, reduction="none")
        return weighted_mean(each * (1 + (self.positive_weight - 1) * wanted) * valid, valid)


class SaliencyTask(Task):
    name = "saliency"
    channels = 1

    def __init__(self, target_info, *, loss="bce", positive_weight=None, loss_options=None):
        check_kind(self.name, target_info, "labels")
        options = {"positive_weight": positive_weight, **(loss_options or {})}
        self._loss = make_loss(self.name, {"bce": BinaryCrossEntropy}, loss, options)

    def loss(self, prediction, target):
        return self._loss(prediction, target)

    def metrics(self, protocol="standard"):
        return SaliencyMetrics()

    def decode(self, prediction):
        return (prediction[:, 0] > 0).long()

    def trivial(self, targets):
        return torch.full((1, 1, 1, 1), -1.0)

    def picture(self, decoded):
        import numpy as np
        grey = np.select([decoded == 1, decoded == 0], [255, 64]).astype(np.uint8)
        return np.repeat(grey[..., None], 3, -1)

    def legend(self, decoded):
        return Legend((("salient", (255, 255, 255)), ("not", (64, 64, 64))))


class SaliencyMetrics(TaskMetrics):
    higher_is_better = {"saliency_iou": True}
    units = {"saliency_iou": "%"}

    def __init__(self):
        self.reset()

    def reset(self):
        self.hits = self.union = self.pixels = 0

    def update(self, prediction, target):
        if prediction.shape[-2:] != target.shape[-2:]:
            prediction = F.interpolate(prediction, size=target.shape[-2:], mode="bilinear")
        found, true, valid = prediction[:, 0] > 0, target == 1, target != 255
        self.hits += int((found & true).sum())
        self.union += int(((found & valid) | true).sum())
        self.pixels += int(valid.sum())

    def compute(self):
        if not self.pixels:
            raise DataError("saliency: nothing valid")
        return {"saliency_iou": 100 * self.hits / max(1, self.union)}


register_task("saliency", SaliencyTask)


def squared(prediction, target):
    valid = target != 255
    return weighted_mean((prediction[:, 0].sigmoid() - (target == 1).float()).square() * valid, valid)


register_loss("saliency", "squared", squared)
"""

Command = Callable[..., str]


def forget() -> None:
    """Be as a process that has loaded no plugin."""
    base._registry.pop("saliency", None)
    losses._registry.pop("saliency", None)
    for name in [name for name in sys.modules if name.startswith("ednas_plugin_saliency")]:
        del sys.modules[name]


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """The file of the task; what it registers is forgotten behind the test."""
    file = tmp_path / "saliency.py"
    file.write_text(PLUGIN)
    yield file
    forget()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images whose pixels tell what is salient, in masks of two classes."""
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    file = write_dataset(tmp_path / "data")
    for path in file.parent.glob("*/segmentation/*.png"):
        (path.parents[1] / "saliency").mkdir(exist_ok=True)
        salient = np.asarray(Image.open(path)) >= 2
        Image.fromarray(salient.astype(np.uint8)).save(path.parents[1] / "saliency" / path.name)
    description = yaml.safe_load(file.read_text())
    names = ["ground", "object"]
    mask = {"kind": "labels", "path": "{split}/saliency/{id}.png", "num_classes": 2, "class_names": names}
    description["targets"] = {"saliency": mask, "depth": description["targets"]["depth"]}
    file.write_text(yaml.safe_dump(description))
    return file


@pytest.fixture
def works(run: Run) -> Command:
    """Run a command that must succeed, and return what it prints."""

    def call(*words: object) -> str:
        code, out, err = run(*words)
        assert code == 0, err
        return out

    return call


@pytest.fixture
def train(works: Command, data: Path, plugin: Path, tmp_path: Path) -> Callable[..., Path]:
    """Train a small network a few steps, and return the run's folder."""

    def call(name: str, *options: object, tasks: str = "saliency,depth", own: str = "{positive_weight: 2.0}") -> Path:
        recipe = f"{{name: mini, steps: 4, batch_size: 2, input_size: {list(SIZE)}, task_options: {{saliency: {own}}}}}"
        config = tmp_path / f"{name}.yaml"
        config.write_text(f"recipe: {recipe}\nplugins: [{plugin}]\n")
        words = ["train", small_architecture().to_text(), "--config", config, "--data", data, "--tasks", tasks]
        works(*words, *options, "--out", tmp_path / name)
        return tmp_path / name

    return call


@pytest.mark.slow
def test_train_evaluate_predict_report(
    works: Command, train: Callable[..., Path], data: Path, plugin: Path, tmp_path: Path
) -> None:
    folder = train("run")
    checkpoint = folder / "checkpoint"
    forget()
    measured = json.loads(works("evaluate", checkpoint, "--data", data, "--plugin", plugin, "--json"))
    assert measured["tasks"] == json.loads((checkpoint / "metrics.json").read_text())["tasks"]
    assert measured["trivial"]["tasks"]["saliency"] == {"saliency_iou": 0.0}
    assert measured["units"]["saliency"] == {"saliency_iou": "%"}

    image = data.parent / "val" / "image" / "0.png"
    works("predict", checkpoint, image, "--plugin", plugin, "--out", tmp_path / "seen")
    assert set(np.unique(np.load(tmp_path / "seen" / "0_saliency.npy"))) <= {0, 1}
    assert (tmp_path / "seen" / "0_saliency.png").exists()

    forget()
    works("report", folder)
    assert "its plugin may be" in (folder / "report.html").read_text()
    works("report", folder, "--plugin", plugin)
    page = (folder / "report.html").read_text()
    assert "saliency_iou % ↑" in page
    assert "its plugin may be" not in page


@pytest.mark.slow
def test_data_init_teacher_registered_loss_compare(
    works: Command, train: Callable[..., Path], data: Path, tmp_path: Path
) -> None:
    assert "saliency" in works("data", "check", data)
    works("data", "preview", data, "--out", tmp_path / "preview.png")
    first = train("first", tasks="saliency") / "checkpoint"
    taught = train("taught", "--init", first, "--teacher", first, own="{loss: squared}", tasks="saliency")
    baseline = {"protocol": "standard", "tasks": {"saliency": {"saliency_iou": 50.0}}}
    (tmp_path / "baseline.json").write_text(json.dumps(baseline))
    table = works("compare", "--baseline", tmp_path / "baseline.json", taught, "--format", "json")
    found = json.loads((taught / "checkpoint" / "metrics.json").read_text())["tasks"]["saliency"]["saliency_iou"]
    gain = json.loads(table)["models"][0]["tasks"]["saliency"]
    assert gain == {
        "delta": pytest.approx(2 * found - 100),
        "metrics": {"saliency_iou": pytest.approx(2 * found - 100)},
    }


def test_cost(works: Command, plugin: Path) -> None:
    words = ("latency", small_architecture().to_text(), "--input", "32x64", "--target", "coral_usb", "--json")
    found = json.loads(works(*words, "--tasks", "saliency,depth", "--plugin", plugin))
    assert found == json.loads(works(*words, "--tasks", "saliency:1,depth:1"))


@pytest.mark.slow
def test_search_and_export(
    works: Command, train: Callable[..., Path], data: Path, plugin: Path, tmp_path: Path
) -> None:
    checkpoint = train("single", tasks="saliency") / "checkpoint"
    config = tmp_path / "search.yaml"
    config.write_text(json.dumps({"training": yaml.safe_load((tmp_path / "single.yaml").read_text())}))
    words = ("search", "--config", config, "--data", data, "--tasks", "saliency", "--target", "coral_usb")
    works(*words, "--trials", 2, "--latency", "none", "--prune-factor", "none", "--out", tmp_path / "search")
    works("report", tmp_path / "search")
    best = json.loads((tmp_path / "search" / "best.json").read_text())
    assert best["heads"] == {"saliency": 1}

    works("export", checkpoint, "--format", "onnx", "--data", data, "--plugin", plugin, "--out", tmp_path / "deploy")
    (model,) = (tmp_path / "deploy").glob("*.onnx")
    found = json.loads(works("evaluate", model, "--data", data, "--plugin", plugin, "--json"))
    assert found["tasks"].keys() == {"saliency"}
    manifest = json.loads((tmp_path / "deploy" / "model.json").read_text())
    assert manifest["outputs"]["saliency"]["decoding"]["kind"] == "raw"
