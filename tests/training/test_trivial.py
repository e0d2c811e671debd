"""The trivial predictor beside a network: measured as it is, and told where the network is no better."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers.memory_dataset import SIZE as SMALL
from helpers.memory_dataset import MemoryDataset
from helpers.small_training import LABELLED, only

from ednas.data.cache import open_cache
from ednas.data.sample import VOID
from ednas.exceptions import ConfigError
from ednas.tasks import NormalMetrics, Task, make_tasks
from ednas.training import prepare, read_metrics, train, train_runs, trivial
from ednas.training.trivial import measure_trivial, shortcomings


@pytest.fixture
def splits(tmp_path):
    """Nine samples to average and four others to measure on."""
    return tuple(open_cache(MemoryDataset(length), SMALL, tmp_path) for length in (9, 4))


def with_targets(split, **targets):
    return dataclasses.replace(split, targets={**split.targets, **targets})


def test_metrics_are_those_of_numpy(splits):
    train_split, val_split = splits
    tasks = make_tasks(["segmentation", "depth", "normals"], train_split.info.targets)
    found = measure_trivial(tasks, train_split, val_split)
    assert found["samples"] == 9

    labels, truth = train_split.targets["segmentation"], val_split.targets["segmentation"]
    counts = np.stack([(labels == index).sum(0) for index in range(5)])
    classes, valid = np.broadcast_to(counts.argmax(0), truth.shape), truth != VOID
    hits = [((classes == index) & (truth == index)).sum() for index in range(5)]
    unions = [((classes == index) & valid | (truth == index)).sum() for index in range(5)]
    assert found["tasks"]["segmentation"]["miou"] == pytest.approx(100 * np.mean(np.divide(hits, unions)))
    assert found["tasks"]["segmentation"]["pixel_acc"] == pytest.approx(100 * (classes == truth)[valid].mean())

    labels, truth = train_split.targets["depth"].astype(np.float64), val_split.targets["depth"]
    depth, valid = labels.sum(0) / np.maximum(1, (labels > 0).sum(0)), truth > 0
    error = np.abs(depth - truth)[valid]
    assert found["tasks"]["depth"]["abs_err"] == pytest.approx(error.mean(), rel=1e-5)
    assert found["tasks"]["depth"]["rel_err"] == pytest.approx((error / truth[valid]).mean(), rel=1e-5)

    sums, truth = (split.targets["normals"].astype(np.float64) for split in (train_split, val_split))
    sums = sums.sum(0)
    valid = truth.any(-1)
    cosine = (sums * truth).sum(-1) / np.linalg.norm(sums, axis=-1) / np.maximum(np.linalg.norm(truth, axis=-1), 1e-9)
    angle = np.degrees(np.arccos(cosine[valid])).mean()
    assert found["tasks"]["normals"]["mean_angle"] == pytest.approx(angle, abs=0.02)  # stored in half precision


def test_of_many_samples_some_are_taken_evenly_spaced(splits, monkeypatch):
    train_split, val_split = splits
    monkeypatch.setattr(trivial, "MAX_SAMPLES", 3)
    found = measure_trivial(make_tasks(["depth"], train_split.info.targets), train_split, val_split)
    some = train_split.select(np.isin(train_split.rows, [0, 4, 8]), "train")
    monkeypatch.undo()
    assert found == measure_trivial(make_tasks(["depth"], train_split.info.targets), some, val_split)
    assert found["samples"] == 3


def test_the_protocol_is_the_networks(splits):
    tasks = make_tasks(["normals"], splits[0].info.targets)
    standard, adashare = (measure_trivial(tasks, *splits, protocol)["tasks"] for protocol in ("standard", "adashare"))
    assert adashare["normals"]["mean_angle"] < standard["normals"]["mean_angle"]


def test_a_task_without_a_label_to_learn_from_is_left_out(splits):
    train_split, val_split = splits
    tasks = make_tasks(["segmentation", "depth"], train_split.info.targets)
    unlabelled = with_targets(train_split, segmentation=np.full_like(train_split.targets["segmentation"], VOID))
    assert measure_trivial(tasks, unlabelled, val_split)["tasks"].keys() == {"depth"}


class OwnTask(Task):
    """Predicts the camera's direction; ``output`` is what it says it would without a network."""

    name, target, channels = "own", "normals", 3

    def __init__(self, output=None):
        self.output = output

    def loss(self, prediction, target):
        return prediction.sum()

    def metrics(self, protocol="standard"):
        return NormalMetrics(protocol)

    def decode(self, prediction):
        return prediction

    def picture(self, decoded):
        raise NotImplementedError

    def trivial(self, targets):
        return super().trivial(targets) if self.output is None else self.output


def test_tasks_of_ones_own(splits):
    assert measure_trivial({"own": OwnTask()}, *splits) == {"tasks": {}, "samples": 9}
    facing = torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1)
    found = measure_trivial({"own": OwnTask(facing.expand(-1, -1, *SMALL))}, *splits)
    truth = splits[1].targets["normals"].astype(np.float64)
    valid = truth.any(-1)
    expected = np.degrees(np.arccos(-truth[valid][:, 2] / np.linalg.norm(truth[valid], axis=-1))).mean()
    assert found["tasks"]["own"]["mean_angle"] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(ConfigError, match=r"task 'own': trivial\(\) gives shape \(3, 12, 20\), expected \(1, 3, H, W"):
        measure_trivial({"own": OwnTask(torch.zeros(3, *SMALL))}, *splits)


def metrics(network, mean_label):
    return {
        "tasks": {"depth": {**network, "rmse": 2.0}, "edges": {"edge_f1": 0.6}},
        "higher_is_better": {"abs_err": False, "miou": True, "edge_f1": True, "rmse": False},
        "trivial": {"tasks": {"depth": {**mean_label, "rmse": 1.0}, "edges": {"edge_f1": 0.5}}, "samples": 3},
    }


@pytest.mark.parametrize(
    ("metric", "network", "mean_label", "warns"),
    [
        ("abs_err", 1.05, 0.98, True), ("abs_err", 0.98, 0.98, True), ("abs_err", 0.9, 0.98, False),
        ("miou", 9.0, 12.0, True), ("miou", 12.0, 12.0, True), ("miou", 13.0, 12.0, False),
    ],
)  # fmt: skip
def test_where_the_network_is_no_better_it_is_said(metric, network, mean_label, warns):
    lines = shortcomings(metrics({metric: network}, {metric: mean_label}))
    expected = (
        f"depth {metric}: the network ({network:g}) is no better than the mean training label of each pixel "
        f"({mean_label:g}); train longer, or check the data"
    )
    assert lines == ([expected] if warns else [])


def test_metrics_from_before_have_no_shortcomings():
    assert shortcomings({"tasks": {"depth": {"abs_err": 1.0}}, "higher_is_better": {"abs_err": False}}) == []


def test_a_training_says_how_good_no_network_is(config, tmp_path):
    result = train(config, tmp_path / "run", logs=False)
    model, train_split, val_split = prepare(config)
    assert result.metrics["trivial"] == measure_trivial(model.tasks, train_split, val_split)
    assert result.metrics["trivial"]["tasks"].keys() == result.metrics["tasks"].keys()
    assert result.metrics["trivial"]["samples"] == 6
    assert read_metrics(result.checkpoint) == result.metrics
    lines = shortcomings(result.metrics)
    assert any(line.startswith("depth abs_err: the network") for line in lines)  # after six steps
    log = (tmp_path / "run" / "log.txt").read_text()
    assert all(f"WARNING {line}" in log for line in lines)


@pytest.mark.slow
def test_several_runs_keep_it_and_the_remarks_of_all(config, tmp_path, monkeypatch):
    monkeypatch.setattr("ednas.tasks.segmentation.metrics.SegmentationMetrics.remark", lambda self: "all road")
    several = train_runs(config, tmp_path, runs=2, logs=False)
    assert several.metrics["trivial"] == several.runs[0].metrics["trivial"]
    assert several.metrics["remarks"] == ["segmentation: all road"] * 2


@pytest.mark.parametrize("task", ["segmentation", "depth"])
def test_the_mean_label_is_that_of_the_labelled_samples(build, partial_split, task):
    tasks = build((task,)).tasks
    found = measure_trivial(tasks, partial_split, partial_split)["tasks"]
    expected = measure_trivial(tasks, only(partial_split, LABELLED[task]), partial_split)["tasks"]
    assert found[task] == pytest.approx(expected[task])
