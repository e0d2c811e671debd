"""A network of seconds, trained for seconds, and its exported files: converted once for all tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from export_fakes import NEEDS_EXPORT, can_convert
from training_fakes import TARGETS, make_batch, small_architecture

from ednas.export.deployed import Deployed
from ednas.export.manifest import write_manifest
from ednas.training import Model, build_model

INPUT_SIZE = (64, 128)


@dataclass(frozen=True)
class Exported:
    """A folder with ``model_float.tflite``, ``model.tflite`` (int8) and ``model.json``, and where they come from."""

    folder: Path
    model: Model
    deployed: Deployed
    images: np.ndarray

    @property
    def float_path(self) -> Path:
        return self.folder / "model_float.tflite"

    @property
    def int8_path(self) -> Path:
        return self.folder / "model.tflite"

    @property
    def calibration(self) -> list[np.ndarray]:
        """The images one by one, as they are calibrated with."""
        return [image[None] for image in self.images]


def big_batch(seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch of learnable samples at the input size."""
    batch = make_batch(seed)
    scaled = {name: F.interpolate(batch[name], INPUT_SIZE) for name in ("image", "depth", "normals")}
    classes = F.interpolate(batch["segmentation"][:, None].float(), INPUT_SIZE)[:, 0].long()
    return {**scaled, "segmentation": classes}


def normalised_images() -> np.ndarray:
    """Calibration images ``(N, H, W, 3)``."""
    images = torch.cat([big_batch(seed)["image"] for seed in (100, 101)])
    return np.ascontiguousarray(((images - 0.5) / 0.25).permute(0, 2, 3, 1).numpy())


@pytest.fixture(scope="session")
def trained() -> Model:
    """A small network for three tasks that has learned a little: random weights say nothing about int8."""
    model = build_model(small_architecture(), tuple(TARGETS), TARGETS, input_size=INPUT_SIZE, dataset="tiny")
    optimiser = torch.optim.Adam(model.network.parameters(), lr=1e-2)
    model.network.train()
    for step in range(60):
        batch = big_batch(step)
        outputs = model.forward(batch["image"])
        loss = sum(task.loss(outputs[name], batch[name]) for name, task in model.tasks.items())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.network.eval()
    return model.with_training(steps=60, seed=0)


@pytest.fixture(scope="session")
def exported(trained: Model, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The trained network's folder."""
    if not can_convert():
        pytest.skip(NEEDS_EXPORT)
    from ednas.export import litert

    folder = tmp_path_factory.mktemp("exported")
    deployed = Deployed(trained, input_size=INPUT_SIZE)
    result = Exported(folder, trained, deployed, normalised_images())
    litert.convert(deployed, result.float_path)
    litert.finish(result.float_path, deployed.manifest("tiny", "litert", "float32"))
    litert.quantise(result.float_path, result.calibration, result.int8_path)
    manifest = litert.finish(result.int8_path, deployed.manifest("tiny", "litert", "int8"))
    write_manifest(folder / "model.json", manifest)
    return result
