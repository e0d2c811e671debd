"""An exported model stands in for a network; what a path holds is told by its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers.tiny_exports import CHANNELS, SIZE, Tiny, tiny_manifest, tiny_model

from ednas.exceptions import CheckpointError, ConfigError, EdnasError, ExportError
from ednas.export.manifest import Manifest
from ednas.export.predictor import ExportedModel, open_predictor
from ednas.training import Model, save_checkpoint


@dataclass
class FakeRunner:
    """Runs a network in PyTorch, as an exported model would run it."""

    tiny: Tiny
    manifest: Manifest

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            outputs = dict(zip(CHANNELS, self.tiny(torch.from_numpy(images).permute(0, 3, 1, 2)), strict=True))
        if self.manifest.outputs["segmentation"].decoding.kind == "class_ids":
            outputs["segmentation"] = outputs["segmentation"].argmax(1, keepdim=True).float()
        return {task: values.numpy() for task, values in outputs.items()}


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_it_puts_out_what_the_network_does(image: torch.Tensor) -> None:
    tiny = Tiny().eval()
    model = ExportedModel(FakeRunner(tiny, tiny_manifest()))
    assert (model.input_size, tuple(model.tasks), model.device.type) == (SIZE, tuple(CHANNELS), "cpu")
    with torch.inference_mode():
        expected = tiny_model(tiny).forward(image)
    for task, values in model.forward(image).items():
        torch.testing.assert_close(values, expected[task], rtol=1e-4, atol=1e-5)


def test_class_ids_score_1_at_the_nearest_pixels(image: torch.Tensor) -> None:
    manifest = tiny_manifest()
    spec = manifest.outputs["segmentation"]
    fused = spec.model_copy(update={"decoding": spec.decoding.model_copy(update={"kind": "class_ids"})})
    manifest = manifest.model_copy(update={"outputs": manifest.outputs | {"segmentation": fused}})
    scores = ExportedModel(FakeRunner(Tiny().eval(), manifest)).forward(image)["segmentation"]
    assert scores.shape == (2, CHANNELS["segmentation"], *SIZE)
    assert scores.sum(1).eq(1).all()
    assert scores[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3).equal(scores)


def test_another_size_is_refused() -> None:
    model = ExportedModel(FakeRunner(Tiny(), tiny_manifest()))
    with pytest.raises(ExportError, match="tiny: takes images of 32x64 alone, not 64x64; .* in tiles of 32x64"):
        model.forward(torch.zeros(1, 3, 64, 64))


def test_a_folder_is_a_checkpoint(trained, tmp_path):
    opened = open_predictor(save_checkpoint(tmp_path / "checkpoint", trained), "cpu")
    assert isinstance(opened, Model)
    assert opened.input_size == trained.input_size


def test_an_exported_model_runs_on_the_cpu(tmp_path):
    with pytest.raises(ConfigError, match="exported models run on the CPU"):
        open_predictor(tmp_path / "model.tflite", "cuda")
    with pytest.raises(EdnasError, match="no such file"):
        open_predictor(tmp_path / "model.tflite", "auto")


def test_what_is_not_there_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        open_predictor(tmp_path / "none", "cpu")
