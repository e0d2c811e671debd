"""A supernet judges what is cut out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.small_supernets import SPACE, small_config, small_supernet

from ednas.search.evaluators.supernet import SupernetEvaluator
from ednas.training import evaluate, prepare_judgement
from ednas.training.supernet.calibrate import calibrate, mean_losses
from ednas.training.supernet.file import TrainedSupernet


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


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
