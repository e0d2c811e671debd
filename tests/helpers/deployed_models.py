"""What the programs for the device are tested with: manifests as an export writes them, and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ednas.data.colors import palette
from ednas.data.sample import TargetInfo
from ednas.export.manifest import Decoding, Manifest, OutputSpec, TensorSpec
from ednas.plugins import load_plugin
from ednas.training.config import Normalisation
from helpers.small_training import TARGETS

EXAMPLES = Path(__file__).parents[2] / "examples" / "deploy"


SIZE = (64, 96)


OUTPUT = (16, 24)


CHANNELS = {"segmentation": 4, "depth": 1, "normals": 3}


KINDS = {"segmentation": "argmax", "depth": "depth", "normals": "normals", "edges": "raw"}


NORMALISATION = Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


COLORS = tuple(tuple(color) for color in palette(4)[:4].tolist())


def make_manifest(
    channels: Mapping[str, int] = CHANNELS,
    *,
    size: tuple[int, int] = OUTPUT,
    dtype: str = "float32",
    scale: float | None = None,
    zero_point: int = 0,
    runtime: str = "litert",
    kinds: Mapping[str, str] = KINDS,
    targets: Mapping[str, TargetInfo] = TARGETS,
) -> Manifest:
    """A manifest as an export writes it, all tensors of one type."""

    def shape(height: int, width: int, count: int) -> tuple[int, ...]:
        return (1, count, height, width) if runtime == "onnx" else (1, height, width, count)

    quantisation = {"dtype": dtype, "scale": scale, "zero_point": zero_point}
    outputs = {}
    for task, count in channels.items():
        painted = {"class_names": TARGETS[task].class_names, "colors": COLORS} if task == "segmentation" else {}
        decoding = Decoding(kind=kinds[task], channels=count, unit="m" if task == "depth" else "", **painted)
        fused = kinds[task] == "class_ids"
        outputs[task] = OutputSpec(
            name=task,
            shape=(1, *size) if fused else shape(*size, count),
            decoding=decoding,
            **({"dtype": "int32"} if fused else quantisation),
        )
    return Manifest(
        name="small",
        created_by="0",
        runtime=runtime,
        architecture={},
        tasks=tuple(channels),
        targets=dict(targets),
        input_size=SIZE,
        normalisation=NORMALISATION,
        precision="float32" if scale is None else "int8",
        input=TensorSpec(name="image", shape=shape(*SIZE, 3), **quantisation),
        outputs=outputs,
    )


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Smooth enough to be a picture, sharp enough to tell filters apart."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, shape, dtype=np.uint8)


def interpolate(values: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """(H, W, C) to (1, C, H, W) of another size, as torch resizes."""
    tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 0)))[None]
    return F.interpolate(tensor, size=size, mode="bilinear", align_corners=False)


decode: Any = load_plugin(EXAMPLES / "decode.py")


def make_decoder(*args: Any, **options: Any) -> Any:
    return decode.Decoder(json.loads(make_manifest(*args, **options).to_json()))
