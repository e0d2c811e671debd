"""A supernet is trained once, goes on where it was broken off, and judges what is cut out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.small_searches import small_search
from helpers.small_training import small_architecture
from torch import nn

from ednas.arch import SearchSpace, SpaceConfig
from ednas.data.loader import load_samples
from ednas.exceptions import CheckpointError
from ednas.nn.supernet import cut
from ednas.search.evaluators.supernet import (
    SupernetEvaluator,
    SupernetOptions,
    calibrate,
    mean_losses,
    train_supernet,
)
from ednas.training import evaluate, prepare_judgement
from ednas.training.tensors import read_tensors

SPACE = SearchSpace(small_architecture(), SpaceConfig(kinds=("ibn",), multipliers=(0.5, 1.0)))
OPTIONS = SupernetOptions(steps=4, at_once=2, networks=6, calibration=4)
NETWORKS = [
    SPACE.decode([number >> place & 1 for place in range(len(SPACE.decisions))]).to_text() for number in range(6)
]


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


def config(**changes):
    training = small_search().train_config(small_architecture())
    recipe = training.recipe.model_copy(update={"log_every": 1, "checkpoint_every": 1, **changes})
    return training.model_copy(update={"recipe": recipe})


def make(folder: Path, options: SupernetOptions = OPTIONS, callbacks=(), networks=NETWORKS, **changes) -> Path:
    return train_supernet(config(**changes), SPACE, networks, folder, options, device="cpu", callbacks=callbacks)


@pytest.mark.slow
def test_one_that_was_broken_off_ends_with_the_same_weights(tmp_path):
    whole = read_tensors(make(tmp_path / "whole"))[0]
    for step in (1, 3):

        def stop(report, last=step):
            if report.step == last:
                raise KeyboardInterrupt

        folder = tmp_path / str(step)
        with pytest.raises(KeyboardInterrupt):
            make(folder, callbacks=[stop])
        steps = []
        resumed = read_tensors(make(folder, callbacks=[lambda report, seen=steps: seen.append(report.step)]))[0]
        assert steps == list(range(step + 1, 5))
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)
        assert sorted(path.name for path in folder.iterdir()) == ["supernet.safetensors"]
    other = read_tensors(make(tmp_path / "other", learning_rate=0.5))[0]
    assert not all(torch.equal(whole[name], other[name]) for name in whole)


def test_a_trained_one_is_not_trained_again_and_another_ones_is_refused(tmp_path):
    weights = make(tmp_path)
    before = weights.stat().st_mtime_ns
    assert make(tmp_path, callbacks=[lambda report: pytest.fail("a step was made")]) == weights
    assert make(tmp_path, OPTIONS.model_copy(update={"calibration": 2})) == weights  # that is no matter of training
    for changes in (
        {"options": OPTIONS.model_copy(update={"steps": 9})},
        {"networks": NETWORKS[::-1]},
        {"learning_rate": 0.5},
    ):
        with pytest.raises(CheckpointError, match="is another supernet"):
            make(tmp_path, **changes)
    assert weights.stat().st_mtime_ns == before


def test_a_candidate_is_cut_out_calibrated_and_measured_on_what_is_held_out(tmp_path):
    weights = make(tmp_path)
    architecture = SPACE.decode([1] * len(SPACE.decisions))
    evaluation = SupernetEvaluator(config(), weights, 4, device="cpu").evaluate(architecture, seed=3)
    model, train_split, held_out = prepare_judgement(config())
    model = replace(model, network=cut(read_tensors(weights)[0], architecture, model.network.channels))
    calibrate(model, train_split, 4, config().recipe.eval_batch_size)
    assert evaluation.tasks == evaluate(model, held_out)["tasks"]
    (point,) = evaluation.curve
    assert point.losses == mean_losses(model, held_out, config().recipe.eval_batch_size)
    evaluator = SupernetEvaluator(config(), weights, 4, device="cpu")
    assert evaluator.evaluate(architecture, seed=9) == evaluation  # nothing is drawn


def test_statistics_are_those_of_all_images_together():
    model, split, _ = prepare_judgement(config())
    first = next(module for module in model.network.modules() if isinstance(module, nn.BatchNorm2d))
    momentum = first.momentum
    seen = []
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    calibrate(model, split, 4, batch_size=2)
    assert len(seen) == 2
    assert torch.allclose(first.running_mean, torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0), atol=1e-6)
    assert torch.allclose(first.running_var, torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0), rtol=1e-4)
    assert first.momentum == momentum
    assert not first.training


def test_losses_are_means_over_samples():
    model, _, held_out = prepare_judgement(config())
    model.network.eval()
    with torch.inference_mode():
        batches = [load_samples(held_out, [row], ("depth",)) for row in range(len(held_out))]
        losses = [
            model.tasks["depth"].loss(model.forward(batch["image"])["depth"], batch["depth"]).item()
            for batch in batches
        ]
    assert mean_losses(model, held_out, 1)["depth"] == pytest.approx(sum(losses) / len(losses))
