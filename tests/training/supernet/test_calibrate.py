"""Batch statistics and losses, against their definitions."""

from __future__ import annotations

import pytest
import torch
from helpers.small_supernets import small_config
from torch import nn

from ednas.data.loader import load_samples
from ednas.training import prepare_judgement
from ednas.training.supernet.calibrate import calibrate, mean_losses


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


def test_statistics_are_those_of_all_images_together():
    model, split, _ = prepare_judgement(small_config())
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
    model, _, held_out = prepare_judgement(small_config())
    model.network.eval()
    with torch.inference_mode():
        batches = [load_samples(held_out, [row], ("depth",)) for row in range(len(held_out))]
        losses = [
            model.tasks["depth"].loss(model.forward(batch["image"])["depth"], batch["depth"]).item()
            for batch in batches
        ]
    assert mean_losses(model, held_out, 1)["depth"] == pytest.approx(sum(losses) / len(losses))
