"""A network of seconds, trained for seconds, and its exported files: converted once for all tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.export_packages import NEEDS_EXPORT, can_convert
from helpers.small_training import TARGETS, make_batch, small_architecture, write_dataset
from helpers.tiny_exports import (
    SIZE,
    Tiny,
    embed,
    tiny_manifest,
    tiny_model,
    write_tiny_int8,
    write_tiny_onnx,
    write_tiny_tflite,
)

from ednas.data import CachedSplit, open_cache, open_dataset
from ednas.export.deployed import Deployed
from ednas.export.manifest import write_manifest
from ednas.export.runtime import open_model
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
    from ednas.export.formats import litert

    folder = tmp_path_factory.mktemp("exported")
    deployed = Deployed(trained, input_size=INPUT_SIZE)
    result = Exported(folder, trained, deployed, normalised_images())
    litert.convert(deployed, result.float_path)
    litert.finish(result.float_path, deployed.manifest("tiny", litert.LITERT, "float32"))
    litert.quantise(result.float_path, result.calibration, result.int8_path)
    manifest = litert.finish(result.int8_path, deployed.manifest("tiny", litert.LITERT, "int8"))
    write_manifest(folder / "model.json", manifest)
    return result


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> CachedSplit:
    data = write_dataset(tmp_path_factory.mktemp("data"))
    return open_cache(open_dataset(str(data), "val"), SIZE, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def images(cached: CachedSplit) -> np.ndarray:
    """The samples, normalised."""
    normalisation = tiny_manifest().normalisation
    return ((cached.image / 255 - np.array(normalisation.mean)) / np.array(normalisation.std)).astype(np.float32)


@pytest.fixture(scope="module")
def tiny(cached: CachedSplit, images: np.ndarray) -> Tiny:
    """The network, trained, so that 8 bits and faults cost it something."""
    tiny = Tiny()
    image = torch.from_numpy(images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(cached.targets["segmentation"][:, 2::4, 2::4].astype(np.int64))
    optimiser = torch.optim.Adam(tiny.parameters(), lr=0.01)
    for _ in range(150):
        scores, depth = tiny(image)
        loss = F.cross_entropy(scores, labels) + F.l1_loss(depth[:, 0], 1 + labels.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return tiny.eval()


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> Model:
    return tiny_model(tiny)


@pytest.fixture(scope="module")
def float_path(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_tflite(tmp_path_factory.mktemp("float") / "model_float.tflite", tiny)


@pytest.fixture(scope="module")
def onnx_path(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
    pytest.importorskip("onnxruntime", reason='needs ONNX Runtime: pip install "ednas[onnx]"')
    return write_tiny_onnx(tmp_path_factory.mktemp("onnx") / "model_float.onnx", tiny)


@pytest.fixture(scope="module")
def int8_path(float_path: Path, images: np.ndarray) -> Path:
    pytest.importorskip("ai_edge_quantizer", reason='needs the quantiser: pip install "ednas[export]"')
    return write_tiny_int8(float_path.with_name("model.tflite"), float_path, images)


@pytest.fixture
def broken_path(int8_path: Path, tmp_path: Path) -> Path:
    """An int8 model whose layer ``middle`` saturates: 8 bits reach a fiftieth of its range."""
    path = tmp_path / "broken.tflite"
    path.write_bytes(int8_path.read_bytes())
    return embed(path, open_model(int8_path).manifest, {"middle": 0.02})
