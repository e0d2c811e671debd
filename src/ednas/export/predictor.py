"""An exported model in the place of a network: what evaluates and predicts takes either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError, ExportError
from ednas.export.converter import by_suffix
from ednas.export.manifest import OutputSpec
from ednas.export.runtime import Runner, open_model
from ednas.nn.heads import resize_bilinear
from ednas.tasks import Task, make_tasks
from ednas.training.checkpoint import load_checkpoint
from ednas.training.device import resolve_device
from ednas.training.model import Model, normalise


class ExportedModel:
    """An exported model that takes and gives what a :class:`~ednas.training.Model` does.

    Args:
        runner: What runs it.

    Attributes:
        runner: The same.
        tasks: By name, in the order of the outputs.
        device: The CPU, where the runtimes are.

    Raises:
        ConfigError: A task is unknown.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        manifest = runner.manifest
        self.tasks: Mapping[str, Task] = make_tasks(manifest.tasks, manifest.targets, manifest.task_options)
        self.device = torch.device("cpu")

    @classmethod
    def open(cls, path: Path | str) -> ExportedModel:
        """Open a file that ``ednas export`` wrote; raises as :func:`~ednas.export.runtime.open_model`."""
        return cls(open_model(path))

    @property
    def targets(self) -> Mapping[str, TargetInfo]:
        """What the dataset said about the targets that the tasks read."""
        return self.runner.manifest.targets

    @property
    def input_size(self) -> tuple[int, int]:
        """``(H, W)``, the only size that it takes."""
        return self.runner.manifest.input_size

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map images ``(N, 3, H, W)`` in [0, 1] to what the network in PyTorch puts out, ``(N, C, H, W)`` by task.

        Outputs are enlarged bilinearly, as :class:`~ednas.nn.MultiTaskNetwork` enlarges its own. Class ids, which an
        argmax in the model leaves, take the value of the nearest pixel, and score 1.

        Raises:
            ExportError: The images have another size than the model's, or the model cannot be run.
        """
        manifest = self.runner.manifest
        if tuple(image.shape[2:]) != manifest.input_size:
            found, expected = (f"{height}x{width}" for height, width in (image.shape[2:], manifest.input_size))
            raise ExportError(
                f"{manifest.name}: takes images of {expected} alone, not {found}; "
                f"give it images of {expected}, or larger ones in tiles of {expected}"
            )
        outputs = self.runner.run(normalise(image, manifest.normalisation).permute(0, 2, 3, 1).numpy())
        return {
            task: _network_output(torch.from_numpy(np.ascontiguousarray(outputs[task])), spec, manifest.input_size)
            for task, spec in manifest.outputs.items()
        }


def open_predictor(path: Path, device: str) -> Model | ExportedModel:
    """Open a checkpoint, its network on a device, or an exported model.

    Raises:
        ConfigError: Unknown device, or an exported model is to run on another one than the CPU.
        EdnasError: It is missing or damaged.
    """
    if path.is_file() or path.suffix in by_suffix():
        if device not in ("auto", "cpu"):
            raise ConfigError(f"device '{device}': exported models run on the CPU; leave --device out")
        return ExportedModel.open(path)
    where = resolve_device(device)
    return load_checkpoint(path).to(where)


def _network_output(values: Tensor, spec: OutputSpec, size: tuple[int, int]) -> Tensor:
    if spec.decoding.kind != "class_ids":
        return resize_bilinear(values, size)
    ids = F.interpolate(values, size=list(size), mode="nearest")[:, 0].long()
    return F.one_hot(ids, spec.decoding.channels).movedim(-1, 1).float()
