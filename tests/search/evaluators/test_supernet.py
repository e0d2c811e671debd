"""A supernet judges what is cut out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.small_supernets import SPACE, small_config, small_supernet

from ednas.arch import Architecture
from ednas.hw.sources import load_source
from ednas.hw.summary import counts
from ednas.search.beginning import DeviceCost
from ednas.search.evaluators.setting import Setting
from ednas.search.evaluators.supernet import SupernetEvaluator, SupernetOptions, make_supernet
from ednas.search.objective import Objective
from ednas.training import evaluate, prepare_judgement
from ednas.training.supernet import train as module
from ednas.training.supernet.calibrate import calibrate, mean_losses
from ednas.training.supernet.file import TrainedSupernet

HEADS = {"segmentation": 19, "depth": 1}


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


@pytest.mark.parametrize("options", [{}, {"sandwich": False}, {"at_once": 2}])
def test_the_smallest_and_the_largest_are_trained_in_every_step(tmp_path, monkeypatch, options):
    seen = {}
    monkeypatch.setattr(module, "train_supernet", lambda *values, **named: seen.update(named, networks=values[2]))
    setting = Setting(
        training=small_config(),
        space=SPACE,
        cost=DeviceCost(load_source("coral_usb"), HEADS, (32, 64)),
        objective=Objective({}, prune_factor=1.0),
        initial=[[0] * len(SPACE.decisions)],
        digest="",
        input_size=(32, 64),
        device="cpu",
        folder=tmp_path,
        train=None,
        judge=None,
    )
    make_supernet(setting, SupernetOptions(networks=9, **options))
    macs = [counts(Architecture.from_text(text), HEADS, (32, 64)).macs for text in seen["networks"]]
    assert len(macs) == 9
    assert macs[:2] == [min(macs), max(macs)]
    assert list(seen["every_step"]) == ([] if options else seen["networks"][:2])


def test_a_candidate_is_cut_out_calibrated_and_measured_on_what_is_held_out(tmp_path):
    folder, config = small_supernet(tmp_path), small_config()
    architecture = SPACE.decode([1] * len(SPACE.decisions))
    evaluator = SupernetEvaluator(config, folder, 4, device="cpu")
    evaluation = evaluator.evaluate(architecture, seed=3)
    model, train_split, held_out = prepare_judgement(config)
    model = replace(model, network=TrainedSupernet.load(folder).cut(architecture))
    calibrate(model, train_split, 4, config.recipe.eval_batch_size)
    assert evaluation.tasks == evaluate(model, held_out)["tasks"]
    (point,) = evaluation.curve
    assert point.losses == mean_losses(model, held_out, config.recipe.eval_batch_size)
    assert evaluator.evaluate(architecture, seed=9) == evaluation  # nothing is drawn
